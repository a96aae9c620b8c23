import multiprocessing

import pytest
from golden_files import golden

from bert_squad.data import parallel
from bert_squad.data.examples import read_squad_examples, shuffle_examples
from bert_squad.data.records import write_features
from bert_squad.errors import ConfigError
from bert_squad.text.tokenization import FullTokenizer


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(parallel, "EXAMPLES_IN_A_CHUNK", 3)


def arguments(is_training=True):
    data = golden(f"model/legacy_run/v1/{'train' if is_training else 'dev'}.json")
    examples = read_squad_examples(str(data), is_training)
    shuffle_examples(examples)
    tokenizer = FullTokenizer(str(golden("model/legacy_run/v1/vocab.txt")), True)
    return examples, tokenizer


@pytest.mark.parametrize("is_training", [True, False])
def test_the_file_is_the_same_to_the_byte(is_training, tmp_path):
    given = (*arguments(is_training), 64, 24, 16, is_training)
    one = write_features(str(tmp_path / "one"), *given)
    several = parallel.write_features_in_processes(str(tmp_path / "several"), *given, processes=2)
    assert one == several > 6
    assert (tmp_path / "one").read_bytes() == (tmp_path / "several").read_bytes()
    assert not multiprocessing.active_children()


def test_an_error_in_a_process_is_the_error_and_leaves_no_file(tmp_path):
    examples, tokenizer = arguments(False)
    examples[7].question_text = "where " * 60
    with pytest.raises(ConfigError, match=f"leaves no room.*{examples[7].qas_id}"):
        parallel.write_features_in_processes(
            str(tmp_path / "records"), examples, tokenizer, 40, 8, 37, False, processes=2
        )
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()

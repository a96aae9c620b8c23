import multiprocessing
import os
import subprocess
import sys

import pytest
from golden_files import golden
from program import environment

from bert_squad.data import parallel
from bert_squad.data.examples import read_squad_examples, shuffle_examples
from bert_squad.data.records import write_features
from bert_squad.errors import ConfigError, OutputError
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


def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    """However it ends: here by SIGKILL, which leaves it no time to tell anybody."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from bert_squad.data import parallel\n"
        "from multiprocessing import get_context\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(2, get_context('spawn'), parallel._start, (None,))\n"
        "    print(pool.submit(len, 'abc').result(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert parent.stdout.readline()
    parent.kill()
    parent.communicate(timeout=30)  # ends when no process holds the pipe any more


class Deadly:
    """Whoever unpickles it ends."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_process_that_is_killed_is_one_error(tmp_path):
    examples, tokenizer = arguments()
    examples[4] = Deadly()
    with pytest.raises(OutputError, match="a process that converts questions has ended"):
        parallel.write_features_in_processes(
            str(tmp_path / "records"), examples, tokenizer, 64, 24, 16, True, processes=1
        )
    assert not list(tmp_path.iterdir())

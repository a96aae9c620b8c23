"""Questions are prepared once and answered as often as the model has new weights."""

import json

import pytest
import tensorflow as tf
from golden_files import golden
from tiny_models import weights

from bert_squad.answers import answering
from bert_squad.answers.answering import PreparedQuestions
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.compute_options import ComputeOptions
from bert_squad.config import SquadConfig
from bert_squad.data.examples import read_squad_examples
from bert_squad.errors import OutOfMemoryError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.text.tokenization import FullTokenizer

SOURCE = golden("model/legacy_run/v1/dev.json").parent


def prepared(tmp_path, dtype="float32"):
    config = SquadConfig(
        bert_config_file=str(SOURCE / "bert_config.json"),
        vocab_file=str(SOURCE / "vocab.txt"),
        output_dir=str(tmp_path),
        max_seq_length=64,
        doc_stride=24,
        max_query_length=16,
    )
    model = BertForSquad(BertConfig.from_json_file(config.bert_config_file), dtype)
    examples = read_squad_examples(str(SOURCE / "dev.json"), is_training=False)
    tokenizer = FullTokenizer(config.vocab_file)
    compute = ComputeOptions(dtype=dtype)
    return model, PreparedQuestions(
        config, examples, tokenizer, compute, model, str(tmp_path / "eval.tf_record")
    )


def written(questions, place):
    place.mkdir()
    questions.write_answers(str(place))
    return json.loads((place / "predictions.json").read_text())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_new_weights_give_new_answers_from_the_same_records(tmp_path, dtype):
    model, questions = prepared(tmp_path, dtype)
    records = (tmp_path / "eval.tf_record").stat().st_mtime_ns
    load_checkpoint(model, str(SOURCE / "output" / "model.ckpt-24"))
    expected = json.loads((SOURCE / "output" / "predictions.json").read_text())
    trained = written(questions, tmp_path / "trained")
    same = sum(trained[qas_id] == text for qas_id, text in expected.items())
    assert same == len(expected) if dtype == "float32" else same >= len(expected) / 2
    before = weights(model)
    for variable in model.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    assert written(questions, tmp_path / "zeros") != trained
    load_checkpoint(model, str(SOURCE / "output" / "model.ckpt-24"))
    assert all((before[name] == value).all() for name, value in weights(model).items())
    assert written(questions, tmp_path / "again") == trained
    assert (tmp_path / "eval.tf_record").stat().st_mtime_ns == records


def test_a_lack_of_memory_names_the_flags(tmp_path, monkeypatch):
    def too_large(*_, **__):
        def predict(batches):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nwith more lines")
            yield

        return predict

    monkeypatch.setattr(answering, "make_predictor", too_large)
    _, questions = prepared(tmp_path)
    message = (
        r"Out of memory while predicting \(OOM when allocating tensor\): lower --predict_batch_size \(8\) or"
    )
    with pytest.raises(OutOfMemoryError, match=message):
        written(questions, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())

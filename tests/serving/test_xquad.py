"""Real passages and questions: the graph answers as the Python program does with the same model."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from golden_files import data_file, golden
from minilm import minilm_directory
from serving.legacy_models import questions_of
from serving.scripted_model import assert_offsets_say_the_same, assert_same_answer
from tiny_models import tiny_model

from bert_squad import files
from bert_squad.answers.nbest import NbestOptions, RawResult, compute_predictions
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.config import SquadConfig
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.data.windows import WindowLengths
from bert_squad.model.squad_model import BertForSquad
from bert_squad.pipeline import run
from bert_squad.serving.asking import ExportedModel
from bert_squad.serving.export import export_model
from bert_squad.serving.graph_tokenizer import GraphTokenizer
from bert_squad.serving.graph_windows import WindowLayout
from bert_squad.serving.text_model import TextModel
from bert_squad.text.tokenization import FullTokenizer

BATCH = 32


def part_of(data: Path, tmp_path: Path, every: int) -> Path:
    """Write every n-th paragraph of a SQuAD file to a file of its own, with the first two questions of each."""
    paragraphs = [p for article in json.loads(data.read_text())["data"] for p in article["paragraphs"]][
        ::every
    ]
    chosen = [{"context": p["context"], "qas": p["qas"][:2]} for p in paragraphs]
    path = tmp_path / "part.json"
    path.write_text(json.dumps({"data": [{"paragraphs": chosen}]}))
    return path


@pytest.mark.parametrize(
    ("name", "vocab", "lengths", "version_2"),
    [
        ("xq-dev.json", "vocab-uncased.txt", (384, 128, 64), False),
        ("xq2-dev.json", "vocab-uncased.txt", (128, 32, 24), True),
        ("xquad.zh.json", "vocab-multilingual-cased.txt", (256, 128, 64), False),
        ("xquad.ar.json", "vocab-multilingual-cased.txt", (128, 64, 32), True),
    ],
)
def test_a_random_model_on_some_paragraphs(name, vocab, lengths, version_2, tmp_path):
    data = part_of(data_file(name), tmp_path, every=12)
    do_lower_case = "uncased" in vocab
    tokenizer = FullTokenizer(str(data_file(vocab)), do_lower_case)
    config = BertConfig(
        vocab_size=len(tokenizer.vocab),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        type_vocab_size=2,
    )
    model = tiny_model(3, config)
    examples = read_squad_examples(str(data), False)
    features = list(convert_examples_to_features(examples, tokenizer, *lengths, False))
    inputs = {
        key: tf.constant([getattr(feature, key) for feature in features])
        for key in ("input_ids", "input_mask", "segment_ids")
    }
    logits = [value.numpy() for value in model(inputs)]
    results = [RawResult(f.unique_id, *row) for f, *row in zip(features, *logits, strict=True)]
    options = {
        "n_best_size": 20,
        "max_answer_length": 30,
        "version_2_with_negative": version_2,
        "null_score_diff_threshold": 0.5,
    }
    expected = compute_predictions(examples, features, results, do_lower_case=do_lower_case, **options)

    layout = WindowLayout(WindowLengths(*lengths), tokenizer.vocab["[CLS]"], tokenizer.vocab["[SEP]"])
    text_model = TextModel(
        GraphTokenizer(tokenizer), layout, model, NbestOptions(do_lower_case=do_lower_case, **options)
    )
    ids, questions, contexts = questions_of(data)
    outputs = {
        key: value.numpy()
        for key, value in text_model.answer(tf.constant(questions), tf.constant(contexts)).items()
    }
    for row, qas_id in enumerate(ids):
        assert_same_answer(
            outputs, row, expected.predictions[qas_id], expected.nbest[qas_id], expected.null_odds.get(qas_id)
        )
    assert_offsets_say_the_same(outputs, contexts)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_minilm_on_all_of_the_english_dev_sets(version, tmp_path):
    """The files of a whole run, and the exported model asked each question; the head is random, the encoder is not."""
    directory = minilm_directory()
    data = data_file("xq-dev.json" if version == "v1" else "xq2-dev.json")
    bert_config = BertConfig.from_json_file(str(directory / "config.json"))
    model = BertForSquad(bert_config)
    load_checkpoint(model, str(directory))
    head = np.load(golden("model/minilm/head.npz"))
    entry = tf1_variables(model)["cls/squad/output_weights"]
    entry.variable.assign(
        tf.transpose(head["output_weights"] * 10)
    )  # so that scores differ more than they round
    checkpoint = str(tmp_path / "model.ckpt-0")
    save_tf1_checkpoint(checkpoint, model)
    config = SquadConfig(
        bert_config_file=str(directory / "config.json"),
        vocab_file=str(directory / "vocab.txt"),
        output_dir=str(tmp_path / "out"),
        init_checkpoint=checkpoint,
        predict_file=str(data),
        do_predict=True,
        version_2_with_negative=version == "v2",
        null_score_diff_threshold=2.0,
    )
    run(config)

    def written(name):
        return json.loads(files.read_bytes(str(tmp_path / "out" / name)))

    predictions, nbest = written("predictions.json"), written("nbest_predictions.json")
    null_odds = written("null_odds.json") if version == "v2" else {}
    tokenizer = FullTokenizer(config.vocab_file)
    path = export_model(model, config, bert_config, tokenizer, None, str(tmp_path / "export"))
    ids, questions, contexts = questions_of(data)
    exported = ExportedModel(path)
    for begin in range(0, len(ids), BATCH):
        batch = slice(begin, begin + BATCH)
        answers = exported.answer(questions[batch], contexts[batch])
        for qas_id, answer in zip(ids[batch], answers, strict=True):
            assert answer["answer"] == predictions[qas_id]
            wanted = nbest[qas_id]
            assert [entry["text"] for entry in answer["nbest"]] == [entry["text"] for entry in wanted]
            for got, entry in zip(answer["nbest"], wanted, strict=True):
                assert abs(got["probability"] - entry["probability"]) < 1e-5
            if version == "v2":
                assert abs(answer["null_odds"] - null_odds[qas_id]) < 1e-4

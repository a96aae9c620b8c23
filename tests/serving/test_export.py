import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from program import environment
from serving.legacy_models import METRICS, THRESHOLD, legacy_model, questions_of

from bert_squad import whole_files
from bert_squad.answers.nbest import compute_predictions
from bert_squad.answers.raw_results import RawResult
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.errors import ConfigError, OutputError
from bert_squad.serving import export as export_module
from bert_squad.serving.asking import ExportedModel
from bert_squad.serving.export import EXPORT_DTYPES, check_exportable, versions
from bert_squad.serving.signatures import ServedModel


def test_a_version_is_complete(exported_v2):
    path = Path(exported_v2.path)
    assert path.name.isdecimal()
    assert int(path.name) > 1_700_000_000
    assert os.listdir(path.parent) == [path.name], "nothing temporary is left beside it"
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert files >= {
        "saved_model.pb",
        "variables/variables.index",
        "assets.extra/tf_serving_warmup_requests",
        "assets.extra/vocab.txt",
        "export.json",
    }
    vocab = Path(exported_v2.legacy.config.vocab_file).read_bytes()
    assert (path / "assets.extra/vocab.txt").read_bytes() == vocab


def test_what_export_json_says(exported_v2):
    vocab = Path(exported_v2.legacy.config.vocab_file).read_bytes()
    said = json.loads((Path(exported_v2.path) / "export.json").read_text())
    assert said["vocabulary"]["sha256"] == hashlib.sha256(vocab).hexdigest()
    assert said["vocabulary"]["pieces"] == 434
    assert said["metrics"] == METRICS
    assert said["null_score_diff_threshold"] == THRESHOLD
    assert said["flags"]["doc_stride"] == 24
    assert said["bert_config"] == exported_v2.legacy.bert_config.to_dict()
    assert said["export_dtype"] == "float32"
    assert "answer" in said["signatures"]
    legacy = exported_v2.legacy
    v1 = dataclasses.replace(legacy.config, version_2_with_negative=False)
    unsaid = export_module._description(v1, legacy.bert_config, legacy.tokenizer, None, "float32", [])
    assert unsaid["null_score_diff_threshold"] is None, "it means nothing in version 1.1"
    assert unsaid["metrics"] is None


def test_the_model_is_saved_once_and_without_keras(exported_v2):
    path = Path(exported_v2.path)
    assert not (path / "keras_metadata.pb").exists()
    used = sum(weight.shape.num_elements() for weight in exported_v2.legacy.model.bert.weights)
    size = (path / "variables/variables.data-00000-of-00001").stat().st_size
    assert used * 4 <= size < used * 4 * 1.05


def test_bfloat16_halves_the_weights_and_keeps_the_signatures(exported_v2, loaded_v2, tmp_path):
    path = exported_v2.legacy.export(tmp_path / "export", dtype="bfloat16")
    assert tf_keras.mixed_precision.global_policy().name == "float32", "left as it was"

    def weights_size(version):
        return (Path(version) / "variables/variables.data-00000-of-00001").stat().st_size

    assert weights_size(path) < 0.55 * weights_size(exported_v2.path)
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    outputs = []
    for model in (loaded_v2, tf.saved_model.load(path)):
        answers = model.signatures["answer"](question=tf.constant(questions), context=tf.constant(contexts))
        outputs.append({name: value.numpy() for name, value in answers.items()})
    exact, rounded = outputs
    assert {name: value.dtype for name, value in exact.items()} == {
        name: value.dtype for name, value in rounded.items()
    }
    np.testing.assert_allclose(rounded["null_score"], exact["null_score"], atol=0.3)
    assert (rounded["nbest_text"][:, 0] == exact["nbest_text"][:, 0]).mean() > 0.8
    assert not np.array_equal(rounded["null_score"], exact["null_score"]), "these are other weights"


def test_unknown_types_are_refused(exported_v2, tmp_path):
    assert EXPORT_DTYPES == ("float32", "bfloat16")
    with pytest.raises(ConfigError, match="--export_dtype must be one of float32, bfloat16, not 'int8'"):
        exported_v2.legacy.export(tmp_path / "export", dtype="int8")
    assert not (tmp_path / "export").exists()


def test_versions_grow_even_within_a_second(tmp_path, monkeypatch):
    assert versions(str(tmp_path / "absent")) == []
    for name in ("7", "12", "temp-13-1", "notes.txt"):
        (tmp_path / name).mkdir()
    assert versions(str(tmp_path)) == [7, 12]
    monkeypatch.setattr(export_module.time, "time", lambda: 12.5)
    assert export_module._next_version(str(tmp_path)) == 13
    monkeypatch.setattr(export_module.time, "time", lambda: 99.9)
    assert export_module._next_version(str(tmp_path)) == 99


def test_a_failed_export_leaves_no_version(exported_v2, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "ServedModel", lambda *_: _Servable())
    monkeypatch.setattr(export_module, "write_warmup_requests", refuse)
    with pytest.raises(OutputError, match=r"Cannot export to .*/export/\d+ \(.*No space left on device\)"):
        exported_v2.legacy.export(tmp_path / "export")
    assert os.listdir(tmp_path / "export") == []


class _Servable(tf.Module):
    """The least that can be saved."""

    def __init__(self):
        super().__init__()
        twice = tf.function(lambda x: {"y": 2 * x}, autograph=False)
        self.functions = {
            "serving_default": twice.get_concrete_function(tf.TensorSpec([None], tf.int32, "x"))
        }


def test_a_directory_that_cannot_be_written(exported_v2, tmp_path):
    (tmp_path / "export").write_text("a file is in the way")
    with pytest.raises(OutputError, match="export cannot be written"):
        exported_v2.legacy.export(tmp_path / "export")


@pytest.fixture
def quick(exported_v2, monkeypatch):
    """An export of next to nothing, to test what surrounds it."""
    monkeypatch.setattr(export_module, "ServedModel", lambda *_: _Servable())
    monkeypatch.setattr(export_module, "write_warmup_requests", lambda *_: True)
    return exported_v2.legacy


@pytest.mark.parametrize("place", ["ServedModel", "_write_json", "write_warmup_requests", "described_files"])
@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_an_export_nothing_is_left(quick, tmp_path, monkeypatch, place, problem):
    def end(*_):
        assert [name.startswith("temp-") for name in os.listdir(tmp_path / "export")] == [True]
        raise problem

    monkeypatch.setattr(export_module, place, end)
    with pytest.raises(problem):
        quick.export(tmp_path / "export")
    assert os.listdir(tmp_path / "export") == []


KILLED = """
import os, sys
from bert_squad import files, whole_files
temporary = whole_files.create_temporary(files.join(sys.argv[1], "temp-5"), is_directory=True)
open(os.path.join(temporary, "saved_model.pb"), "w").write("half")
os.kill(os.getpid(), 9)
"""


def test_the_next_export_removes_what_a_killed_one_left(quick, tmp_path):
    export_dir = tmp_path / "export"
    users = export_dir / "temp-mine.tmp-2024"
    users.mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", KILLED, str(export_dir)], env=environment(), check=False)
    assert done.returncode == -9
    assert len(os.listdir(export_dir)) == 2
    with_lock = whole_files.create_temporary(str(export_dir / "temp-6"), is_directory=True)
    try:
        path = quick.export(export_dir)
        left = {Path(path).name, users.name, Path(with_lock).name}
        assert set(os.listdir(export_dir)) == left, (
            "what another export is writing stays, as what is a user's"
        )
    finally:
        whole_files.discard(with_lock)


def test_a_version_is_on_the_disk_before_it_has_its_name(quick, tmp_path, monkeypatch):
    events = []
    synchronize_tree, rename = export_module.files.synchronize_tree, export_module.files.rename
    monkeypatch.setattr(
        export_module.files, "synchronize_tree", lambda path: (events.append("flush"), synchronize_tree(path))
    )
    monkeypatch.setattr(
        export_module.files,
        "rename",
        lambda old, new: (events.append("rename") if Path(new).name.isdecimal() else None, rename(old, new)),
    )
    quick.export(tmp_path / "export")
    assert events == ["flush", "rename"]


def test_a_number_that_was_taken_meanwhile_is_passed_over(quick, tmp_path, monkeypatch):
    taken = []

    def take(*_):
        (temporary,) = (name for name in os.listdir(tmp_path) if name.startswith("temp-"))
        number = int(temporary.removeprefix("temp-").split(".")[0])
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_text("theirs")
        (tmp_path / str(number + 1)).write_text("a file")
        taken.append(number)

    monkeypatch.setattr(export_module, "write_warmup_requests", take)
    monkeypatch.setattr(export_module.time, "time", lambda: 12.5)
    path = quick.export(tmp_path)
    assert taken == [12]
    assert Path(path).name == "14"
    assert (tmp_path / "12" / "saved_model.pb").read_text() == "theirs"


def test_an_export_dir_is_no_pattern(exported_v2, tmp_path):
    sibling = tmp_path / "ex1"
    sibling.mkdir()
    path = exported_v2.legacy.export(tmp_path / "ex[1]*")
    assert os.listdir(sibling) == []
    assert Path(path).parent == tmp_path / "ex[1]*"
    assert os.listdir(Path(path).parent) == [Path(path).name]
    (answer,) = ExportedModel(path).answer(["who ?"], ["the fox"])
    assert answer["nbest"]
    assert "variables/variables.index" in json.loads((Path(path) / "export.json").read_text())["files"]


def test_what_cannot_be_exported_is_known_at_the_start(tmp_path, monkeypatch):
    check_exportable(str(tmp_path / "a" / "b"))
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(OutputError, match="name another with --export_dir"):
        check_exportable("/proc/nope")
    with pytest.raises(
        OutputError, match=r"--export_dir: Cannot reach s3://b/e: this TensorFlow has no file"
    ):
        check_exportable("s3://b/e")
    with pytest.raises(ConfigError, match="--export_dir: TensorFlow reaches only paths that are UTF-8"):
        check_exportable(str(tmp_path) + b"/\xff".decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    "line",
    [
        "import tensorflow as tf; raise tf.errors.NotFoundError(None, None, 'x.so: undefined symbol: _ZN\\nmore')",
        "raise ImportError('x.so: undefined symbol: _ZN')",
        "raise AttributeError('undefined symbol: _ZN')",
    ],
)
def test_a_broken_tensorflow_text_is_one_sentence(exported_v2, tmp_path, monkeypatch, line):
    (tmp_path / "tensorflow_text").mkdir()
    (tmp_path / "tensorflow_text" / "__init__.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow_text")
    sentence = (
        r"TensorFlow Text cannot be loaded \(.*undefined symbol: _ZN\), .* 'tensorflow-text==[\d.]+\*'\.$"
    )
    for use in (lambda: check_exportable(str(tmp_path / "export")), lambda: ExportedModel(exported_v2.path)):
        with pytest.raises(ConfigError, match=sentence):
            use()
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_numbers_beyond_32_bits_mean_what_they_mean_in_prediction(version, tmp_path):
    legacy = legacy_model(version)
    huge = {"doc_stride": 2**31, "max_answer_length": 2**31 + 5, "n_best_size": 2**40}
    legacy = legacy._replace(config=dataclasses.replace(legacy.config, **huge))
    config, data = legacy.config, str(legacy.folder / "dev.json")
    examples = read_squad_examples(data, False)
    lengths = (config.max_seq_length, config.doc_stride, config.max_query_length)
    features = list(convert_examples_to_features(examples, legacy.tokenizer, *lengths, False))
    start_logits, end_logits = legacy.model(
        {
            name: tf.constant([getattr(feature, name) for feature in features])
            for name in ("input_ids", "input_mask", "segment_ids")
        }
    )
    results = [
        RawResult(feature.unique_id, start, end)
        for feature, start, end in zip(features, start_logits.numpy(), end_logits.numpy(), strict=True)
    ]
    predictions, nbest, _ = compute_predictions(
        examples,
        features,
        results,
        n_best_size=config.n_best_size,
        max_answer_length=config.max_answer_length,
        do_lower_case=config.do_lower_case,
        version_2_with_negative=config.version_2_with_negative,
        null_score_diff_threshold=config.null_score_diff_threshold,
    )
    served = ServedModel(legacy.model, config, legacy.bert_config, legacy.tokenizer)
    ids, questions, contexts = questions_of(Path(data))
    outputs = served.functions["answer"](question=tf.constant(questions), context=tf.constant(contexts))
    assert outputs["nbest_text"].shape[1] > config.max_seq_length, "longer than any usual list"
    for row, qas_id in enumerate(ids):
        assert outputs["answer"][row].numpy().decode() == predictions[qas_id]
        texts = outputs["nbest_text"][row, : outputs["nbest_count"][row]].numpy()
        # Equal probabilities may change places, since both compute them in float32 in another order.
        assert sorted(text.decode() for text in texts) == sorted(entry["text"] for entry in nbest[qas_id])


def test_a_server_never_sees_half_a_model(exported_v2, tmp_path, monkeypatch):
    """Whenever something is written, all numbered directories are complete."""
    seen = []

    def watch(*arguments):
        seen.append(sorted(os.listdir(tmp_path / "export")))
        return True

    monkeypatch.setattr(export_module, "ServedModel", lambda *_: _Servable())
    monkeypatch.setattr(export_module, "write_warmup_requests", watch)
    path = exported_v2.legacy.export(tmp_path / "export")
    assert len(seen) == 1
    assert [name.startswith("temp-") for name in seen[0]] == [True]
    assert os.listdir(tmp_path / "export") == [Path(path).name]

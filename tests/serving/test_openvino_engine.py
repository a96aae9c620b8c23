"""OpenVINO as engine of `ask`, `answer`, `--do_predict` and `ExportedModel`, and the models that `quantize` writes."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tensorflow as tf
from absl import flags
from golden_files import golden
from program import ROOT, environment, run_console, run_program
from serving.legacy_models import LAST_STEP, questions_of
from serving.test_openvino_answers import assert_same_answers

from bert_squad.cli import ask, quantize
from bert_squad.errors import ConfigError
from bert_squad.serving.asking import ExportedModel

FOLDER = "model/legacy_run/v2"
LENGTHS = ("--max_seq_length=64", "--doc_stride=24", "--max_query_length=16")
TO_INSTALL = "OpenVINO is not installed; install it: pip install 'bert-squad[openvino]'."

needs_openvino = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("openvino", "nncf"))),
    reason="OpenVINO and NNCF are not installed (extra openvino)",
)
needs_beam = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed (extra beam)"
)


@pytest.fixture(scope="module")
def asked(exported_v2):
    _, questions, contexts = questions_of(exported_v2.legacy.folder / "dev.json")
    return questions, contexts


@pytest.fixture(scope="module")
def rows_file(asked, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows = [{"question": question, "context": context} for question, context in zip(*asked, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def quantized(exported_v2, tmp_path_factory):
    """A quantized model, and what the program printed; tests must not change it."""
    folder = tmp_path_factory.mktemp("quantized")
    (folder / "home").mkdir()
    target = folder / "int8"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        done = run_program(
            "quantize",
            exported_v2.path,
            target,
            f"--calibration_file={golden(FOLDER) / 'dev.json'}",
            starts_cold=True,
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    return target, done


def copy_of(folder, tmp_path, change=None):
    """Copy a version; with `change`, a function of its description, its files are not compared any more."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    if change:
        path = copy / "export.json"
        said = json.loads(path.read_text(encoding="utf-8"))
        del said["files"]
        change(said)
        path.write_text(json.dumps(said), encoding="utf-8")
    return str(copy)


def predict(tmp_path, *words, code=0):
    """Predict with the checkpoint of the tiny model; return the contents of the files, and the log."""
    folder = golden(FOLDER)
    done = run_program(
        "--do_predict",
        f"--predict_file={folder / 'dev.json'}",
        f"--bert_config_file={folder / 'bert_config.json'}",
        f"--vocab_file={folder / 'vocab.txt'}",
        f"--output_dir={tmp_path}",
        "--version_2_with_negative",
        *LENGTHS,
        *words,
    )
    assert done.returncode == code, done.stderr
    written = {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in Path(tmp_path).glob("*.json")
        if path.name != "run.json"
    }
    return written, done.stderr


CHECKPOINT = f"--init_checkpoint={golden(FOLDER) / 'output' / 'model.ckpt'}-{LAST_STEP['v2']}"


# ---- everywhere


@pytest.fixture
def without_library(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "openvino" else find(name, *rest)
    )


def test_without_the_library_one_sentence_says_what_to_install(exported_v2, without_library, tmp_path):
    flags.FLAGS.mark_as_parsed()
    with pytest.raises(ConfigError) as error:
        ExportedModel(exported_v2.path, engine="openvino")
    assert str(error.value) == TO_INSTALL
    (tmp_path / "passage.txt").write_text("Ada did it.")
    words = [f"--context_file={tmp_path / 'passage.txt'}", "--question=Who?", "--engine=openvino"]
    with pytest.raises(ConfigError) as error:
        ask.main("bert-squad ask", [f"--model={exported_v2.path}", *words])
    assert str(error.value) == TO_INSTALL
    with pytest.raises(ConfigError) as error:
        quantize.main("bert-squad quantize", [exported_v2.path, str(tmp_path / "x"), "--calibration_file=y"])
    assert str(error.value) == TO_INSTALL
    assert [path.name for path in tmp_path.iterdir()] == ["passage.txt"]


@pytest.mark.skipif(importlib.util.find_spec("openvino") is not None, reason="OpenVINO is installed")
def test_prediction_without_the_library_ends_before_it_begins(tmp_path):
    written, log = predict(tmp_path, CHECKPOINT, "--engine=openvino", code=1)
    assert log.endswith(f"run_squad.py: error: {TO_INSTALL}\n")
    assert written == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["only_one"], r"quantize takes EXPORT and DIR, not \['only_one'\]"),
        (["a", "b"], "--calibration_file is missing"),
        (
            ["a", "b", "--calibration_file=c", "--windows=3"],
            "Unknown flag --windows; the nearest known one is",
        ),
    ],
)
def test_words_of_quantize_that_are_wrong(words, message):
    with pytest.raises(ConfigError, match=message):
        quantize.main("bert-squad quantize", words)


# ---- with the library


@needs_openvino
@pytest.mark.parametrize("kind", ["exported_v2", "exported_features"])
def test_answers_are_those_of_answer_fast(kind, request, exported_v2, loads_once, asked):
    expected = ExportedModel(exported_v2.path, "answer_fast").answer(*asked)
    path = Path(request.getfixturevalue(kind).path).parent  # of all versions
    assert_same_answers(ExportedModel(path, engine="openvino").answer(*asked), expected)


@needs_openvino
def test_types(exported_v2, asked):
    models = {
        dtype: ExportedModel(exported_v2.path, engine="openvino", dtype=dtype)
        for dtype in (None, "float32", "bfloat16")
    }
    hints = {
        dtype: model._engine._encoder._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        for dtype, model in models.items()
    }
    assert hints[None] == hints["float32"] == "f32"
    assert hints["bfloat16"] in ("bf16", "f32")  # the latter where the processor has no other
    scores = {dtype: [row["score"] for row in model.answer(*asked)] for dtype, model in models.items()}
    assert scores[None] == scores["float32"]
    assert scores["bfloat16"] == pytest.approx(scores["float32"], abs=0.5)
    if hints["bfloat16"] == "bf16":
        assert scores["bfloat16"] != scores["float32"]
    with pytest.raises(
        ConfigError, match=r"OpenVINO computes in float32 or bfloat16, not in 'float16' \(--dtype\)"
    ):
        ExportedModel(exported_v2.path, engine="openvino", dtype="float16")


@needs_openvino
def test_threads_share_a_model(exported_v2, asked):
    model = ExportedModel(exported_v2.path, engine="openvino")
    expected, found = model.answer(*asked), {}

    def answer(number):
        found[number] = model.answer(*asked)

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] == expected for number in range(4)] == [True] * 4


SIGNAL_AFTER_TWO_MODELS = """
import gc, os, signal, sys
from bert_squad.serving.asking import ExportedModel
models = [ExportedModel(sys.argv[1], engine="openvino") for _ in range(2)]
while models:
    del models[0]
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@needs_openvino
def test_signals_are_handled_after_models_are_gone(exported_v2):
    """OpenVINO takes away the stack on which the process handles signals, with two cores of its own."""
    command = [sys.executable, "-c", SIGNAL_AFTER_TWO_MODELS, str(exported_v2.path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


MORE_THAN_THE_MEMORY = """
import resource, sys
import numpy as np
from bert_squad.errors import OutOfMemoryError
from bert_squad.serving.export_settings import read_settings
from bert_squad.serving.openvino_engine import OpenVinoEncoder, read_model
encoder = OpenVinoEncoder(read_model(sys.argv[1], read_settings(sys.argv[1])))
def predict(number):
    ids, ones = np.arange(number, dtype=np.int32), np.ones([number, 64], np.int32)
    batch = {"unique_ids": ids, "input_ids": ones, "input_mask": ones, "segment_ids": ones}
    return len(list(encoder.predict([batch])))
predict(2)
with open("/proc/self/statm") as reader:
    limit = int(reader.read().split()[0]) * resource.getpagesize() + 2**28
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    predict(200_000)
except OutOfMemoryError as error:
    print(error)
print(predict(3))
"""


@needs_openvino
def test_a_batch_that_does_not_fit_the_memory_is_an_error_that_says_so(exported_v2):
    command = [sys.executable, "-c", MORE_THAN_THE_MEMORY, str(exported_v2.path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert re.fullmatch(
        r"Not enough memory for 200000 windows at a time \(Failed to allocate \d+ bytes of memory\); lower "
        r"--predict_batch_size\.\n3\n",
        done.stdout,
    ), done.stdout + done.stderr


@needs_openvino
def test_ask_answers_without_tensorflow(exported_v2, rows_file, tmp_path):
    words = ["ask", f"--model={exported_v2.path}", f"--batch_file={rows_file}", "--nbest=3"]
    expected = run_console(*words, "--fast")
    code = (
        "import sys; sys.modules['tensorflow'] = None; from bert_squad.cli.main import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "bert-squad", *words, "--engine=openvino"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expected.returncode == 0, done.stderr
    rows, others = (list(map(json.loads, text.splitlines())) for text in (done.stdout, expected.stdout))
    assert len(rows) == len(rows_file.read_text(encoding="utf-8").splitlines())
    assert_same_answers(rows, others)


@needs_openvino
@needs_beam
@pytest.mark.filterwarnings("default")
def test_answer_in_bulk(exported_v2, rows_file, tmp_path):
    for words in (["--fast"], ["--engine=openvino"]):
        done = run_console(
            "answer",
            f"--model={exported_v2.path}",
            f"--input={rows_file}",
            f"--output={tmp_path / words[0].strip('-')}",
            "--num_shards=1",
            *words,
        )
        assert done.returncode == 0, done.stderr
    rows, expected = (
        {(row["question"], row["context"]): row for row in map(json.loads, path.read_text().splitlines())}
        for path in sorted(tmp_path.glob("*.jsonl"), key=lambda path: "fast" in path.name)
    )
    assert_same_answers(list(map(rows.get, expected)), list(expected.values()))


@needs_openvino
def test_predictions_are_those_of_unpadded_windows(exported_v2, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    expected, _ = predict(tmp_path / "tensorflow", CHECKPOINT, "--pad_to=batch")
    of_weights, log = predict(tmp_path / "weights", CHECKPOINT, "--engine=openvino", "--do_eval")
    of_export, _ = predict(tmp_path / "export", "--engine=openvino", f"--engine_model={exported_v2.path}")
    assert set(of_weights) == {*expected, "eval_results.json"}
    assert of_export["nbest_predictions.json"] == of_weights["nbest_predictions.json"]
    for written in (of_weights, of_export):
        assert written["predictions.json"] == expected["predictions.json"]
        assert written["null_odds.json"] == pytest.approx(expected["null_odds.json"], abs=1e-4)
    assert "pipeline.py:" in log  # it has its usual form
    assert list((tmp_path / "scratch").iterdir()) == []


@needs_openvino
def test_the_model_of_another_run_is_refused(exported_v2, tmp_path):
    folder = golden(FOLDER)
    vocabulary = tmp_path / "vocab.txt"
    *pieces, _ = (folder / "vocab.txt").read_bytes().splitlines()
    vocabulary.write_bytes(b"\n".join([*pieces, b"another", b""]))
    sizes = json.loads((folder / "bert_config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**sizes, "num_hidden_layers": 1}))
    for words, message in (
        ([f"--vocab_file={vocabulary}"], "is not the vocabulary that the model"),
        (
            [f"--bert_config_file={tmp_path / 'config.json'}"],
            "is not the one that --bert_config_file describes",
        ),
        (["--do_lower_case=False"], "was exported with --do_lower_case=True; add that"),
    ):
        model = f"--engine_model={exported_v2.path}"
        written, log = predict(tmp_path / "out", "--engine=openvino", model, *words, code=1)
        assert message in log.splitlines()[-1]
        assert written == {}


@needs_openvino
def test_a_quantized_model_is_laid_out_for_model_servers(quantized, exported_v2):
    target, done = quantized
    assert done.stdout == f"{target} answers with --engine=openvino; it was calibrated with 100 windows.\n"
    (version,) = target.iterdir()
    assert version.name == "1"
    assert {path.name for path in version.iterdir()} == {
        "model.xml",
        "model.bin",
        "export.json",
        "assets.extra",
    }
    assert sorted(path.name for path in target.parent.iterdir()) == ["home", target.name]
    import openvino

    model = openvino.Core().read_model(version / "model.xml")
    assert {port.get_any_name() for port in model.inputs} == {"input_ids", "input_mask", "segment_ids"}
    assert {port.get_any_name() for port in model.outputs} == {"start_logits", "end_logits"}
    kinds = {node.get_type_name() for node in model.get_ops()}
    assert "FakeQuantize" in kinds
    types = {
        str(node.get_output_element_type(0)) for node in model.get_ops() if node.get_type_name() == "Constant"
    }
    assert any("int8" in name for name in types)
    said = json.loads((version / "export.json").read_text(encoding="utf-8"))
    assert said["quantized"]["from"] == exported_v2.path
    assert set(said["files"]) == {"model.xml", "model.bin"}


@needs_openvino
def test_a_quantized_model_answers_nearly_the_same(quantized, exported_v2, loads_once, asked, tmp_path):
    target, _ = quantized
    expected = ExportedModel(exported_v2.path, "answer_fast").answer(*asked)
    answers = ExportedModel(target, engine="openvino").answer(*asked)
    same = sum(one["answer"] == other["answer"] for one, other in zip(answers, expected, strict=True))
    assert same >= 0.8 * len(expected)
    assert answers != expected
    written, _ = predict(tmp_path, "--engine=openvino", f"--engine_model={target}")
    assert len(written["predictions.json"]) == len(expected)


@needs_openvino
def test_no_statistics_are_sent_to_the_makers_of_the_libraries(exported_v2, quantized, tmp_path):
    """They would be, by a process that is forked on import, and noted in the home directory."""
    model = quantized[0]
    code = (
        "import multiprocessing; multiprocessing.Process = None; import sys; "
        "from bert_squad.serving.asking import ExportedModel; "
        f"ExportedModel({str(model)!r}, engine='openvino').answer(['Who?'], ['Ada did.'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for home in (tmp_path, model.parent / "home"):
        assert list(home.rglob("*openvino*")) == []


@needs_openvino
def test_the_lines_of_the_page(exported_v2, rows_file, tmp_path):
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8").split("## OpenVINO\n")[1]
    lines = [line for line in page.splitlines() if line.startswith("bert-squad ")]
    assert len(lines) == 3
    (tmp_path / "output" / "export").mkdir(parents=True)
    (tmp_path / "output" / "export" / "3").symlink_to(exported_v2.path)
    shutil.copy(rows_file, tmp_path / "questions.jsonl")
    shutil.copy(golden(FOLDER) / "dev.json", tmp_path / "train.json")
    for line in lines:
        done = run_console(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    num_rows = len(rows_file.read_text(encoding="utf-8").splitlines())
    for name in ("answers.jsonl", "int8-answers.jsonl"):
        assert len((tmp_path / name).read_text(encoding="utf-8").splitlines()) == num_rows


@needs_openvino
def test_quantizing_twice_gives_the_same_model(quantized, exported_v2, tmp_path):
    target, _ = quantized
    done = run_console(
        "quantize", exported_v2.path, tmp_path / "x/", f"--calibration_file={golden(FOLDER) / 'dev.json'}"
    )
    assert done.returncode == 0, done.stderr
    said = [
        json.loads((folder / "1" / "export.json").read_text(encoding="utf-8"))["files"]
        for folder in (target, tmp_path / "x")
    ]
    assert said[0]["model.bin"] == said[1]["model.bin"]


ON_A_FULL_DISK = """
import resource, signal, sys
import nncf
from bert_squad.cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
sys.exit(main(["bert-squad", "quantize", *sys.argv[1:]]))
"""


@pytest.mark.slow
@needs_openvino
def test_quantize_on_a_full_disk_leaves_nothing(exported_v2, tmp_path):
    """A limit on the size of files stands for the disk."""
    words = [str(exported_v2.path), str(tmp_path / "x"), f"--calibration_file={golden(FOLDER) / 'dev.json'}"]
    command = [sys.executable, "-c", ON_A_FULL_DISK, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1, done.stderr
    assert f"bert-squad quantize: error: Cannot write {tmp_path / 'x'} (" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@needs_openvino
def test_quantize_replaces_nothing_and_leaves_nothing(exported_v2, quantized, tmp_path):
    empty = tmp_path / "empty.json"
    empty.write_text('{"data": []}')
    blank = tmp_path / "blank.json"
    blank.write_text(
        json.dumps({"data": [{"paragraphs": [{"context": " ", "qas": [{"id": "1", "question": "Who?"}]}]}]})
    )
    taken = tmp_path / "taken"
    taken.mkdir()
    dev = golden(FOLDER) / "dev.json"
    target = quantized[0]
    for source, folder, file, message in (
        (exported_v2.path, taken, dev, f"{taken} exists already; name a new directory."),
        (
            exported_v2.path,
            tmp_path / "x",
            empty,
            f"The data set {empty} has no questions; check --calibration_file.",
        ),
        (
            exported_v2.path,
            tmp_path / "x",
            blank,
            f"No passage of {blank} holds any text; check --calibration_file.",
        ),
        (exported_v2.path, tmp_path / "x", tmp_path / "no", "Cannot read the data set"),
        (tmp_path, tmp_path / "x", dev, f"There is no exported model in {tmp_path}; "),
        (target, tmp_path / "x", dev, f"The model {target}/1 is quantized already."),
        (exported_v2.path, blank / "x", dev, f"Cannot write {blank}/x ("),
    ):
        done = run_console("quantize", source, folder, f"--calibration_file={file}")
        assert done.returncode == 1
        assert f"bert-squad quantize: error: {message}" in done.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.json", "empty.json", "taken"]
    assert list(taken.iterdir()) == []


@needs_openvino
@pytest.mark.parametrize(
    "change",
    [
        lambda version: (version / "model.xml").write_bytes((version / "model.xml").read_bytes()[:5000]),
        lambda version: (version / "model.bin").write_bytes(
            (version / "model.bin").read_bytes()[:-9] + b"123456789"
        ),
        lambda version: (version / "model.bin").unlink(),
    ],
)
def test_a_damaged_quantized_model(quantized, tmp_path, change):
    version = Path(copy_of(quantized[0] / "1", tmp_path))
    change(version)
    with pytest.raises(
        ConfigError, match=r"The model .* is (damaged|not whole): 'model\..*; quantize it again\."
    ):
        ExportedModel(version, engine="openvino")


@needs_openvino
def test_a_damaged_model_that_nothing_tells_of(quantized, tmp_path):
    version = copy_of(quantized[0] / "1", tmp_path, lambda said: said.update(files={}))
    for size in (5000, 0):
        with open(f"{version}/model.xml", "r+b") as file:
            file.truncate(size)
        with pytest.raises(
            ConfigError, match=r"OpenVINO cannot read the model .* \([^()]*\); export or quantize it"
        ):
            ExportedModel(version, engine="openvino")


@needs_openvino
def test_tensorflow_cannot_read_a_quantized_model(quantized):
    with pytest.raises(
        ConfigError, match=r"is quantized, and TensorFlow cannot read it; add --engine=openvino\."
    ):
        ExportedModel(quantized[0])


@needs_openvino
def test_exports_that_it_cannot_read(exported_v2, tmp_path):
    for change, message in (
        (lambda said: said["signatures"].remove("serving_default"), r"has no signature 'serving_default'"),
        (
            lambda said: said.update(export_dtype="bfloat16"),
            r"which are bfloat16; give an export with --export_dtype=",
        ),
    ):
        version = copy_of(exported_v2.path, tmp_path, change)
        with pytest.raises(ConfigError, match=message):
            ExportedModel(version, engine="openvino")
        shutil.rmtree(version)
    with pytest.raises(ConfigError, match="There is no exported model in"):
        ExportedModel(tmp_path, engine="openvino")


@needs_openvino
def test_a_model_of_another_program(exported_v2, tmp_path):
    version = copy_of(exported_v2.path, tmp_path, lambda said: None)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def double(x):
        return {"y": 2 * x}

    shutil.rmtree(f"{version}/variables")
    tf.saved_model.save(tf.Module(), version, {"serving_default": double})
    with pytest.raises(
        ConfigError, match="does not turn features into logits; give one that was exported with"
    ):
        ExportedModel(version, engine="openvino")

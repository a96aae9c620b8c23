"""Smoke tests: each benchmark starts, finishes and prints its lines, at tiny sizes. No time is asserted."""

import importlib.util
import json
import re

import pytest
from golden_files import golden
from program import ROOT, run_program

pytestmark = pytest.mark.slow  # four minutes, and no part of the program
FOLDER = "model/legacy_run/v1"
SIZES = [
    "--train_seq_length=64",
    "--predict_seq_length=48",
    "--doc_stride=24",
    "--max_query_length=16",
    "--train_batch_size=2",
    "--predict_batch_size=2",
    "--train_batches=1",
    "--predict_batches=2",
    "--rounds=1",
    "--questions=12",
]


@pytest.fixture
def tiny_flags():
    folder = golden(f"{FOLDER}/train.json").parent
    return [
        f"--data_file={folder / 'train.json'}",
        f"--vocab_file={folder / 'vocab.txt'}",
        f"--bert_config_file={folder / 'bert_config.json'}",
    ]


def test_stages(tiny_flags):
    done = run_program(*tiny_flags, *SIZES, program="benchmarks/stages.py")
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split("  ")[0] for line in done.stdout.splitlines()]
    for stage in ("conversion", "training", "prediction", "nbest"):
        assert re.search(rf"^{stage} +bert_squad +\d+\.\d/s", done.stdout, re.MULTILINE), lines
    for stage in ("training", "prediction"):
        assert re.search(rf"^{stage} +bert_squad --fast +\d+\.\d/s", done.stdout, re.MULTILINE), lines
    for stage in ("conversion", "nbest"):
        assert re.search(rf"^{stage} +legacy way \(stand-in\) +\d+\.\d/s", done.stdout, re.MULTILINE), lines
    assert ("transformers float32" in done.stdout) == bool(importlib.util.find_spec("torch"))


def test_program(tmp_path):
    data = {"data": [{"paragraphs": [{"context": "one two", "qas": [{"id": "a", "question": "two?"}]}]}]}
    (tmp_path / "data.json").write_text(json.dumps(data))
    done = run_program(
        f"--data_file={tmp_path / 'data.json'}",
        f"--vocab_file={golden(f'{FOLDER}/vocab.txt')}",
        "--copies=2",
        "--starts=1",
        program="benchmarks/program.py",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^prediction --fast +2 questions: peak +\d{3,} MB$", done.stdout, re.MULTILINE), (
        done.stdout
    )


def test_operations(tiny_flags):
    done = run_program(*tiny_flags, *SIZES, program="benchmarks/operations.py")
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("bert_squad", "bert_squad --fast"):
        for stage in ("training", "prediction"):
            assert re.search(
                rf"^{name}, {stage}: \d+ ms a batch; the floor is \d+$", done.stdout, re.MULTILINE
            )
    assert "MatMul" in done.stdout


def test_modes(tiny_flags, tmp_path):
    folder = golden(f"{FOLDER}/train.json").parent
    command = [
        *tiny_flags[1:],
        f"--train_file={folder / 'train.json'}",
        f"--predict_file={folder / 'dev.json'}",
        f"--init_checkpoint={folder / 'output/model.ckpt-24'}",
        f"--output_dir={tmp_path}",
        "--seeds=1",
        "--",
        "--max_seq_length=48",
        "--doc_stride=24",
        "--max_query_length=16",
        "--num_train_epochs=1",
        "--train_batch_size=16",
        "--predict_batch_size=32",
    ]
    done = run_program(*command, program="benchmarks/modes.py")
    assert done.returncode == 0, done.stderr[-3000:]
    for trained in ("exactly", "--fast"):
        assert re.search(
            rf"^seed 1, trained {trained}: EM / F1 \d+\.\d\d / \d+\.\d\d$", done.stdout, re.MULTILINE
        )
    assert re.search(r"^F1 after training, --fast: mean \d+\.\d\d of 1 seeds$", done.stdout, re.MULTILINE)
    changed = re.search(
        r"^answers that --fast changes: (\d+) of \d+ \(\d+\.\d\d%\)$", done.stdout, re.MULTILINE
    )
    assert done.stdout.count(" -> ") == int(changed.group(1))
    again = run_program(*command, program="benchmarks/modes.py")
    assert again.stdout == done.stdout, "it goes on where it was"


def test_growth():
    done = run_program("--size=50", "--doublings=1", "--rounds=1", program="benchmarks/growth.py")
    assert done.returncode == 0, done.stderr[-3000:]
    lines = re.findall(r"^(\w[\w-]+: .{30,}?)(?: +\d+\.\d{4}){2}  -?\d+\.\d\d$", done.stdout, re.MULTILINE)
    assert len(lines) == 13, done.stdout


def test_serving_growth():
    words = ["--one", json.dumps(["text", 2000, {"doc_stride": 1}])]
    done = run_program(*words, program="benchmarks/serving_growth.py")
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(json.loads(done.stdout)) == {"seconds", "megabytes"}


def test_before_and_after(tiny_flags):
    done = run_program(
        *tiny_flags,
        *SIZES,
        "--stages=nbest",
        f"--before={ROOT}",
        "--rounds_of_both=1",
        program="benchmarks/before_and_after.py",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one = r"\d+\.\d{3} \(\d+\.\d{3} to \d+\.\d{3}\)"
    assert re.fullmatch(rf"nbest bert_squad +processor time {one}, clock {one}\n", done.stdout), done.stdout


def test_choices(tiny_flags):
    done = run_program(*tiny_flags[:2], "--questions=12", "--rounds=1", program="benchmarks/choices.py")
    assert done.returncode == 0, done.stderr[-3000:]
    number = r"\d+\.\d\d"
    assert re.fullmatch(
        rf"n-best of many questions together: {number}x \({number} to {number}\)\n", done.stdout
    )


def test_accumulation():
    sizes = ["--hidden_size=32", "--num_layers=1", "--num_heads=2", "--seq_length=32"]
    flags = ["--parts=1,2", "--recompute=no,yes", "--batch_size=4", "--steps=1"]
    done = run_program(*sizes, *flags, program="benchmarks/accumulation.py")
    assert done.returncode == 0, done.stderr[-3000:]
    number = r"-?\d+\.\d\d"
    ratio = rf"{number} \({number}-{number}\)"
    row = rf"^ +(\d) +(\d) +(no|yes) +-?\d+ +{number} +{ratio} +{ratio}$"
    rows = re.findall(row, done.stdout, re.MULTILINE)
    assert rows == [("1", "4", "no"), ("1", "4", "yes"), ("2", "2", "no"), ("2", "2", "yes")], done.stdout


def test_curves():
    done = run_program("--models=tiny", "--steps=3", "--summary_steps=2", program="benchmarks/curves.py")
    assert done.returncode == 0, done.stderr[-3000:]
    line = r"^tiny: \d+\.\d ms a step, curves \d+\.\d{4} ms, ratio 1\.\d{5}$"
    assert re.search(line, done.stdout, re.MULTILINE), done.stdout


def test_accelerator():
    sizes = ["--tiny", "--batch_size=4", "--seq_length=16", "--steps=1", "--dtypes=float32", "--parts=1"]
    done = run_program(*sizes, "--num_logical_devices=2", program="benchmarks/accelerator.py")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = re.findall(r"^\| (float32 .*) \|$", done.stdout, re.MULTILINE)
    exact, compiled, shared, refused = [row.split(" | ") for row in rows]
    assert exact[:4] == ["float32", "no", "1", "1"]
    assert compiled[:4] == ["float32", "yes", "1", "1"]
    assert shared[:4] == ["float32", "no", "2", "1"]
    assert refused[:5] == ["float32", "yes", "2", "1", "refused"]
    for row in (exact, compiled, shared):
        assert float(row[4]) > 0
        assert float(row[5]) > 100
    assert float(shared[6]) < 1e-5
    assert "refused: --jit_compile compiles whole steps for one CPU" in done.stdout


def test_strategies():
    sizes = [
        "--batch_size=2",
        "--seq_length=16",
        "--hidden_size=64",
        "--num_layers=1",
        "--steps=2",
        "--rounds=1",
    ]
    done = run_program(*sizes, program="benchmarks/strategies.py")
    assert done.returncode == 0, done.stderr[-3000:]
    for what in ("one replica / no strategy", "two workers / one process"):
        assert re.search(rf"^{what}: \d+\.\d+ \(", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("openvino", "nncf"))),
    reason="OpenVINO and NNCF are not installed (extra openvino)",
)
def test_engines(tmp_path):
    folder = golden(f"{FOLDER}/train.json").parent
    done = run_program(
        f"--predict_file={folder / 'dev.json'}",
        f"--calibration_file={folder / 'dev.json'}",
        f"--init_checkpoint={folder / 'output' / 'model.ckpt-24'}",
        f"--bert_config_file={folder / 'bert_config.json'}",
        f"--vocab_file={folder / 'vocab.txt'}",
        f"--output_dir={tmp_path}",
        "--rounds=1",
        "--",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        program="benchmarks/engines.py",
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split(" | ") for line in done.stdout.splitlines() if " | " in line]
    assert [line[0] for line in lines[1:]] == [
        "exact",
        "--fast, float32",
        "--fast, bfloat16",
        "openvino, float32",
        "openvino, bfloat16",
        "openvino, int8",
        "openvino, int8 and bfloat16",
    ]
    assert lines[1][4] == lines[3][5] == "0"


def test_report(tmp_path):
    done = run_program(
        "--questions=20", "--version_2", f"--folder={tmp_path}", program="benchmarks/report.py"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(
        r"^20 questions: 0\.\d MB, written in \d+\.\d s with \d\.\d GB of memory$", done.stdout, re.MULTILINE
    )
    assert "Answer or no answer" in (tmp_path / "report.html").read_text(encoding="utf-8")

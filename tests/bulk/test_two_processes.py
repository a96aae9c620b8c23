"""`bert-squad answer` on real questions, by two processes, one of which may die."""

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from golden_files import data_file
from program import environment
from serving.legacy_models import questions_of
from tiny_models import tiny_model

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.config import SquadConfig
from bert_squad.pipeline import run
from bert_squad.text.tokenization import FullTokenizer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed (extra beam)"
    ),
]
CODE = "from bert_squad.cli.main import console; import sys; sys.argv[0] = 'bert-squad'; console()"
TWO = ("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """The directory of a run that predicted XQuAD and exported its model, which is small and random."""
    folder = tmp_path_factory.mktemp("xquad")
    vocab = data_file("vocab-uncased.txt")
    config = BertConfig(
        vocab_size=len(FullTokenizer(str(vocab)).vocab),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        type_vocab_size=2,
    )
    (folder / "bert_config.json").write_text(json.dumps(dataclasses.asdict(config)))
    checkpoint = str(tmp_path_factory.mktemp("init") / "model.ckpt-0")
    save_tf1_checkpoint(checkpoint, tiny_model(3, config))
    run(
        SquadConfig(
            bert_config_file=str(folder / "bert_config.json"),
            vocab_file=str(vocab),
            output_dir=str(folder),
            init_checkpoint=checkpoint,
            predict_file=str(data_file("xquad.en.json")),
            do_predict=True,
            do_export=True,
            version_2_with_negative=True,
        )
    )
    ids, questions, contexts = questions_of(data_file("xquad.en.json"))
    asked = zip(ids, questions, contexts, strict=True)
    lines = [
        json.dumps({"id": i, "question": question, "context": text}) + "\n" for i, question, text in asked
    ]
    for number in range(3):
        (folder / f"in-{number}.jsonl").write_text("".join(lines[number::3]))
    return folder


def command(predicted, output: Path):
    words = (f"--model={predicted / 'export'}", f"--input={predicted}/in-*.jsonl", f"--output={output}", *TWO)
    return [sys.executable, "-c", CODE, "answer", *words]


def test_xquad_is_answered_as_in_predictions_json(predicted, tmp_path):
    done = subprocess.run(
        command(predicted, tmp_path / "x"), env=environment(), capture_output=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"Python sdk harness starting") == 2
    answers = {}
    for path in tmp_path.iterdir():
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            assert row["id"] not in answers
            answers[row["id"]] = row["answer"]
    assert answers == json.loads((predicted / "predictions.json").read_text())
    assert len(answers) == 1190
    assert len(set(answers.values())) > 500


def test_a_worker_that_dies_leaves_nothing_half_written(predicted, tmp_path):
    """Beam's runner on one machine gives up then, where others try again; what it had written is not seen."""
    with subprocess.Popen(
        command(predicted, tmp_path / "x"), env=environment(), stderr=subprocess.PIPE
    ) as process:
        try:
            workers = []
            while len(workers) < 2:
                assert process.poll() is None
                time.sleep(0.5)
                workers = workers_of(process.pid)
            time.sleep(10)
            os.kill(workers[0], signal.SIGKILL)
            _, complaints = process.communicate(timeout=900)
        finally:
            process.kill()
    assert process.returncode == 1, complaints
    assert b"Beam has given up" in complaints
    assert os.listdir(tmp_path) == []


def workers_of(pid: int) -> list[int]:
    """Return the Python processes that a process started, by way of a shell, and that answer for it."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            program, *words = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if b"python" in program and b"apache_beam.runners.worker.sdk_worker_main" in words:
            found.append(int(folder.name))
    return [worker for worker in found if pid in (parents[worker], parents.get(parents[worker]))]

"""Measure what a user waits for before anything runs, and what memory prediction takes as questions grow many.

    python benchmarks/program.py --data_file=xquad.en.json --vocab_file=vocab.txt

The program is started as a user starts it. For memory a small model answers the questions of the data file once, then
as many copies of them as --copies says; the peak is that of the main process, TensorFlow included.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags
from machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_string("data_file", None, "SQuAD file to answer.", required=True)
flags.DEFINE_string("vocab_file", None, "WordPiece vocabulary, uncased.", required=True)
flags.DEFINE_integer("copies", 8, "Copies of the data file in the larger run.")
flags.DEFINE_integer("starts", 5, "How often the program is started.")

SMALL = {
    "vocab_size": 30522,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def run(*arguments: str, exit_code: int = 0) -> tuple[float, float]:
    """Run the program, which is to end with `exit_code`; return seconds and its peak memory in MB."""
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_squad.py"), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != exit_code:
        raise SystemExit(f"run_squad.py {' '.join(arguments)} failed; run it by hand to see why.")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def copied(data: dict, copies: int) -> dict:
    """Return a data set with so many copies of each question, ids kept apart."""
    articles = []
    for copy in range(copies):
        for article in data["data"]:
            paragraphs = [
                {**p, "qas": [{**qa, "id": f"{qa['id']}-{copy}"} for qa in p["qas"]]}
                for p in article["paragraphs"]
            ]
            articles.append({**article, "paragraphs": paragraphs})
    return {**data, "data": articles}


def main(_) -> None:
    """Measure and print."""
    describe_machine()
    for name, flag, exit_code in (("--help", "--help", 0), ("a flag error", "--do_trian", 1)):
        seconds = [run(flag, exit_code=exit_code)[0] for _ in range(FLAGS.starts)]
        print(f"{name:14} {statistics.median(seconds):5.2f} s ({min(seconds):.2f}–{max(seconds):.2f})")
    data = json.loads(Path(FLAGS.data_file).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "bert_config.json").write_text(json.dumps(SMALL))
        for mode in ([], ["--fast"]):
            for copies in (1, FLAGS.copies):
                questions = folder / "questions.json"
                questions.write_text(json.dumps(copied(data, copies)))
                count = copies * sum(len(p["qas"]) for a in data["data"] for p in a["paragraphs"])
                _, megabytes = run(
                    "--do_predict",
                    "--allow_random_weights",
                    f"--predict_file={questions}",
                    f"--bert_config_file={folder / 'bert_config.json'}",
                    f"--vocab_file={FLAGS.vocab_file}",
                    f"--output_dir={folder / 'out'}",
                    *mode,
                )
                print(
                    f"prediction {' '.join(mode):7} {count:7} questions: peak {megabytes:6.0f} MB", flush=True
                )


if __name__ == "__main__":
    app.run(main)

"""Compare what can compute predictions: TensorFlow in its modes, and OpenVINO. Whole programs, one after the other.

    python benchmarks/engines.py --predict_file=policyqa-dev.json --calibration_file=xquad.en.json \\
      --init_checkpoint=policy/model.ckpt-778 --bert_config_file=config.json --vocab_file=vocab.txt \\
      --output_dir=engines -- --max_seq_length=384 --predict_batch_size=16

What follows `--` goes to run_squad.py, which predicts and scores in each mode, several rounds in turn. The checkpoint
is exported and quantized once, before; nothing of that is counted. "windows/s" is of the time from when all is read and
loaded to when the program ends; "whole" is all that the program takes, its start with it.
"""

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from absl import app, flags
from machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_string("predict_file", None, "SQuAD file to answer and score.", required=True)
flags.DEFINE_string(
    "calibration_file", None, "SQuAD file that the int8 model is calibrated with.", required=True
)
flags.DEFINE_string("init_checkpoint", None, "Trained weights.", required=True)
flags.DEFINE_string("bert_config_file", None, "Of the checkpoint.", required=True)
flags.DEFINE_string("vocab_file", None, "Of the checkpoint.", required=True)
flags.DEFINE_string("output_dir", None, "Where models and answers go.", required=True)
flags.DEFINE_integer("rounds", 3, "How often each mode runs.", lower_bound=1)

EXACT, FAST = "exact", "--fast, bfloat16"
STARTS = "Writing predictions to"  # the last line of the log before the first window is computed


class Run(NamedTuple):
    """One run of the program, in seconds."""

    whole: float
    predicting: float
    num_windows: int


def modes(int8_model: Path) -> dict[str, list[str]]:
    """Return the flags of each mode."""
    openvino = ["--engine=openvino"]
    int8 = [*openvino, f"--engine_model={int8_model}"]
    return {
        EXACT: [],
        "--fast, float32": ["--fast", "--dtype=float32"],
        FAST: ["--fast", "--dtype=bfloat16"],
        "openvino, float32": openvino,
        "openvino, bfloat16": [*openvino, "--dtype=bfloat16"],
        "openvino, int8": int8,
        "openvino, int8 and bfloat16": [*int8, "--dtype=bfloat16"],
    }


def command(*arguments: object) -> list[str]:
    """Return the command line of a run of the program with the flags that all runs have."""
    names = ("bert_config_file", "vocab_file")
    return [
        sys.executable,
        str(ROOT / "run_squad.py"),
        *(f"--{name}={FLAGS[name].value}" for name in names),
        *map(str, arguments),
    ]


def log_of(words: list[str]) -> tuple[list[tuple[float, str]], float]:
    """Run a program; return the lines of its log, each with its time, and how long all of it took."""
    start = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        lines = [(time.perf_counter() - start, line.rstrip()) for line in process.stderr or ()]
    whole = time.perf_counter() - start
    if process.returncode:
        raise SystemExit("\n".join([" ".join(words), *(line for _, line in lines[-20:])]))
    return lines, whole


def predict(folder: Path, mode: list[str], extra: list[str]) -> Run:
    """Predict and score in one mode; the files are written to `folder`."""
    lines, whole = log_of(
        command(
            "--do_predict",
            "--do_eval",
            f"--predict_file={FLAGS.predict_file}",
            f"--init_checkpoint={FLAGS.init_checkpoint}",
            f"--output_dir={folder}",
            *extra,
            *mode,
        )
    )
    start = next(seconds for seconds, line in lines if STARTS in line)
    counts = [re.search(r"Num split examples = (\d+)", line) for _, line in lines]
    return Run(whole, whole - start, next(int(count[1]) for count in counts if count))


def make_int8_model(folder: Path, extra: list[str]) -> Path:
    """Export and quantize the checkpoint, unless that has been done; return the directory."""
    export, target = folder / "export", folder / "int8"
    if not target.exists():
        log_of(
            command(
                "--do_export",
                "--export_signatures=features",
                f"--init_checkpoint={FLAGS.init_checkpoint}",
                f"--output_dir={folder / 'unused'}",
                f"--export_dir={export}",
                *extra,
            )
        )
        words = ["quantize", export, target, f"--calibration_file={FLAGS.calibration_file}"]
        log_of([sys.executable, str(ROOT / "run_squad.py"), *map(str, words)])
    return target


def read(folder: Path, name: str) -> dict:
    """Return a JSON file of a run."""
    return json.loads((folder / name).read_text(encoding="utf-8"))


def spread(values: list[float]) -> str:
    """Return the median of some values and their range, to print."""
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def main(argv: list[str]) -> None:
    """Run all modes in turn, and print a line for each."""
    describe_machine()
    folder = Path(FLAGS.output_dir)
    of_mode = modes(make_int8_model(folder, argv[1:]))
    folder_of = {mode: folder / re.sub(r"\W+", "_", mode).strip("_") for mode in of_mode}
    runs: dict[str, list[Run]] = {mode: [] for mode in of_mode}
    for number in range(FLAGS.rounds):
        for mode, mode_flags in of_mode.items():
            runs[mode].append(predict(folder_of[mode], mode_flags, argv[1:]))
            print(f"round {number + 1}, {mode}: {runs[mode][-1].whole:.1f} s", file=sys.stderr, flush=True)
    answers = {mode: read(folder_of[mode], "predictions.json") for mode in of_mode}
    print(f"{runs[EXACT][0].num_windows} windows, {len(answers[EXACT])} questions, {FLAGS.rounds} rounds")
    print("mode | windows/s | whole, seconds | F1 | answers other than exact | than --fast")
    for mode, of_this in runs.items():
        changed = [
            sum(text != answers[other][qas_id] for qas_id, text in answers[mode].items())
            for other in (EXACT, FAST)
        ]
        speed = spread([run.num_windows / run.predicting for run in of_this])
        f1 = read(folder_of[mode], "eval_results.json")["f1"]
        print(
            f"{mode} | {speed} | {spread([run.whole for run in of_this])} | {f1:.2f} | {changed[0]} | {changed[1]}"
        )


if __name__ == "__main__":
    app.run(main)

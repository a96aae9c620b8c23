"""Compare fast modes with the exact one: scores after training with each, answers that change with the same weights.

    python benchmarks/modes.py --train_file=xq-train.json --predict_file=xq-dev.json --init_checkpoint=model.ckpt \\
      --bert_config_file=config.json --vocab_file=vocab.txt --output_dir=modes --seeds=1,2,3 -- \\
      --max_seq_length=256 --learning_rate=1e-4 --train_batch_size=16

What follows `--` goes to run_squad.py, which is run for each seed and mode. Stopped and started again, it goes on where
it was. Without --train_file nothing is trained: the initial checkpoint answers in each mode.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from absl import app, flags
from machine import describe_machine

from bert_squad.checkpoints.directory import latest_checkpoint

ROOT = Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_string("train_file", None, "SQuAD file to train on; none: do not train.")
flags.DEFINE_string("predict_file", None, "SQuAD file to answer and score.", required=True)
flags.DEFINE_string("init_checkpoint", None, "Where training starts.", required=True)
flags.DEFINE_string("bert_config_file", None, "Of the checkpoint.", required=True)
flags.DEFINE_string("vocab_file", None, "Of the checkpoint.", required=True)
flags.DEFINE_string("output_dir", None, "Where all models and answers go.", required=True)
flags.DEFINE_list("seeds", ["1", "2", "3"], "Seeds to train with.")
flags.DEFINE_list(
    "modes", ["--fast"], "Flags to compare with none; more than one in a mode: joined by spaces."
)


def run(name: str, mode: str, *arguments: str) -> Path:
    """Predict and score, after training if the arguments say so; return the output directory."""
    directory = Path(FLAGS.output_dir) / name.replace("--", "").replace(" ", "_").replace("=", "-")
    if (directory / "eval_results.json").exists():
        return directory
    command = [
        sys.executable,
        str(ROOT / "run_squad.py"),
        *(f"--{flag}={FLAGS[flag].value}" for flag in ("predict_file", "bert_config_file", "vocab_file")),
        f"--output_dir={directory}",
        "--do_predict",
        "--do_eval",
        *arguments,
        *mode.split(),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return directory


def read(directory: Path, name: str) -> dict:
    """Return a JSON file of a run."""
    return json.loads((directory / name).read_text(encoding="utf-8"))


def scores(directory: Path) -> str:
    """Return exact match and F1 of a run, to print."""
    metrics = read(directory, "eval_results.json")
    return f"{metrics['exact_match' if 'exact_match' in metrics else 'exact']:.2f} / {metrics['f1']:.2f}"


def show_changed(of_model: str, mode: str, exact: Path, other: Path) -> tuple[int, int]:
    """Print the answers that differ and return their number and that of all."""
    before, after = (read(directory, "predictions.json") for directory in (exact, other))
    changed = [qas_id for qas_id in before if before[qas_id] != after[qas_id]]
    print(f"{of_model}, {mode}: {len(changed)} of {len(before)} answers change; EM / F1 {scores(other)}")
    for qas_id in changed:
        print(f"  {qas_id}: {before[qas_id]!r} -> {after[qas_id]!r}", flush=True)
    return len(changed), len(before)


def main(argv: list[str]) -> None:
    """Run what has not been run yet, and print."""
    describe_machine()
    f1: dict[str, list[float]] = {}
    counts: dict[str, list[tuple[int, int]]] = {mode: [] for mode in FLAGS.modes}
    training = [
        "--do_train",
        f"--train_file={FLAGS.train_file}",
        f"--init_checkpoint={FLAGS.init_checkpoint}",
    ]
    for seed in FLAGS.seeds if FLAGS.train_file else [None]:
        of_model, checkpoint = "initial checkpoint", FLAGS.init_checkpoint
        if seed is None:
            exact = run("exact", "", f"--init_checkpoint={checkpoint}", *argv[1:])
        else:
            for mode in ("", *FLAGS.modes):
                directory = run(f"{mode or 'exact'}-{seed}", mode, *training, f"--seed={seed}", *argv[1:])
                print(f"seed {seed}, trained {mode or 'exactly'}: EM / F1 {scores(directory)}", flush=True)
                f1.setdefault(mode or "exact", []).append(read(directory, "eval_results.json")["f1"])
            exact = Path(FLAGS.output_dir) / f"exact-{seed}"
            of_model, checkpoint = f"seed {seed}, trained exactly", latest_checkpoint(str(exact))
        for mode in FLAGS.modes:
            other = run(f"{mode}-of-{exact.name}", mode, f"--init_checkpoint={checkpoint}", *argv[1:])
            counts[mode].append(show_changed(of_model, mode, exact, other))
    for mode, values in f1.items():
        print(f"F1 after training, {mode}: mean {statistics.mean(values):.2f} of {len(values)} seeds")
    for mode, pairs in counts.items():
        changed, whole = map(sum, zip(*pairs, strict=True))
        print(f"answers that {mode} changes: {changed} of {whole} ({changed / whole:.2%})")


if __name__ == "__main__":
    app.run(main)

"""Run the main job on the embedded example: train, predict, evaluate, export, ask. `make quickstart` calls this.

It runs the same command lines that a user would type, and prints them.
"""

import json
import os
import random
import shlex
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "output_dir", "quickstart", "Directory for checkpoints, predictions and the exported model."
)
flags.DEFINE_string(
    "question", None, "A question about the passage that is shown; default: asked for on a terminal."
)
flags.DEFINE_integer("passage", None, "Number of the dev passage to ask about; default: a random one.")

TRAINING = shlex.split((HERE / "flags.txt").read_text())


def run(*words: str) -> None:
    """Print a command line and run it; end with its exit code if it fails."""
    print("\n$ " + shlex.join(words), flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *words[1:]], env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def passages() -> list[dict]:
    """Return the dev passages, none of which the model has seen in training."""
    dataset = json.loads((HERE / "dev.json").read_text(encoding="utf-8"))
    return [paragraph for article in dataset["data"] for paragraph in article["paragraphs"]]


def ask(paragraph: dict, question: str, output_dir: str) -> None:
    """Ask the exported model about a passage."""
    context_file = Path(output_dir) / "passage.txt"
    context_file.write_text(paragraph["context"] + "\n", encoding="utf-8")
    model = str(Path(output_dir) / "export")
    run(
        "python",
        "-m",
        "bert_squad",
        "ask",
        f"--model={model}",
        f"--context_file={context_file}",
        f"--question={question}",
    )


def main(_) -> None:
    """Train, predict, evaluate and export; then ask."""
    started = time.monotonic()
    run(
        "python",
        str(ROOT / "run_squad.py"),
        f"--bert_config_file={HERE / 'bert_config.json'}",
        f"--vocab_file={HERE / 'vocab.txt'}",
        f"--train_file={HERE / 'train.json'}",
        f"--predict_file={HERE / 'dev.json'}",
        f"--output_dir={FLAGS.output_dir}",
        "--do_train",
        "--do_predict",
        "--do_eval",
        "--do_export",
        *TRAINING,
    )
    print(f"\nTrained, predicted, evaluated and exported in {time.monotonic() - started:.0f} seconds.")

    choices = passages()
    paragraph = choices[FLAGS.passage] if FLAGS.passage is not None else random.choice(choices)
    print(
        f"\nA passage that the model has not seen:\n\n  {paragraph['context']}\n\nQuestions about it, for example:"
    )
    for qa in paragraph["qas"]:
        print(f"  {qa['question']}  ({qa['answers'][0]['text']})")
    if FLAGS.question:
        ask(paragraph, FLAGS.question, FLAGS.output_dir)
    elif sys.stdin.isatty():
        while question := input("\nYour question (empty to end): ").strip():
            ask(paragraph, question, FLAGS.output_dir)
    else:
        ask(paragraph, paragraph["qas"][0]["question"], FLAGS.output_dir)


if __name__ == "__main__":
    app.run(main)

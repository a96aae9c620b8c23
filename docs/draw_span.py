"""Draw docs/span.png: how a trained model's logits become the loss and the maximum scoring span.

    python docs/draw_span.py

The picture is of a real prediction on the embedded example, made after `make quickstart`: of a model that has learned
for 1000 of 2500 steps, and of a question about which it is not sure yet. `bert-squad explain` draws it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "quickstart"

FLAGS = flags.FLAGS
flags.DEFINE_string("checkpoint", "quickstart/model.ckpt-1000", "Checkpoint of `make quickstart`.")
flags.DEFINE_string("question_id", "dev-14-3", "Id of a question of examples/quickstart/dev.json.")
flags.DEFINE_string("picture", "docs/span.png", "File to write.")
flags.DEFINE_integer("max_answer_length", 12, "Longest answer considered, in WordPieces.")


def main(_) -> None:
    """Explain one dev question whose answer is known."""
    dataset = json.loads((EXAMPLE / "dev.json").read_text(encoding="utf-8"))
    context, question = next(
        (paragraph["context"], qa)
        for article in dataset["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
        if qa["id"] == FLAGS.question_id
    )
    answer = question["answers"][0]
    with tempfile.TemporaryDirectory() as empty:  # holds no checkpoint, so that the one that is named is used
        subprocess.run(
            [
                *(sys.executable, "-m", "bert_squad", "explain"),
                f"--init_checkpoint={FLAGS.checkpoint}",
                f"--output_dir={empty}",
                f"--bert_config_file={EXAMPLE / 'bert_config.json'}",
                f"--vocab_file={EXAMPLE / 'vocab.txt'}",
                *(EXAMPLE / "flags.txt").read_text().split(),
                f"--max_answer_length={FLAGS.max_answer_length}",
                f"--question={question['question']}",
                f"--answer={answer['text']}",
                f"--answer_start={answer['answer_start']}",
                f"--picture={FLAGS.picture}",
                "--overwrite",
            ],
            input=context.encode(),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )


if __name__ == "__main__":
    app.run(main)

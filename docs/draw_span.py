"""Draw docs/span.png: how a trained model's logits become the loss and the maximum scoring span.

    python docs/draw_span.py

The picture is of a real prediction on the embedded example, made after `make quickstart`: of a model that has learned
for 1000 of 2500 steps, and of a question about which it is not sure yet.
"""

import dataclasses
import math
from pathlib import Path

import matplotlib
import numpy as np
from absl import app, flags

from bert_squad.checkpoints import directory
from bert_squad.bert_config import BertConfig
from bert_squad.data.examples import read_squad_examples
from bert_squad.data.features import convert_examples_to_features
from bert_squad.model.span_head import span_loss
from bert_squad.model.squad_model import BertForSquad
from bert_squad.text.tokenization import FullTokenizer

matplotlib.use("Agg")
from matplotlib import pyplot  # after the backend is chosen

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "quickstart"

FLAGS = flags.FLAGS
flags.DEFINE_string("checkpoint", "quickstart/model.ckpt-1000", "Checkpoint of `make quickstart`.")
flags.DEFINE_string("question_id", "dev-14-3", "Id of a question of examples/quickstart/dev.json.")
flags.DEFINE_string("picture", "docs/span.png", "File to write.")
flags.DEFINE_integer("max_seq_length", 44, "As in training.")
flags.DEFINE_integer("max_answer_length", 12, "Longest answer considered, in WordPieces.")


@dataclasses.dataclass
class Scored:
    """A question with what the model says of it; positions count the tokens of the sequence."""

    tokens: list[str]
    passage: range
    start_logits: np.ndarray
    end_logits: np.ndarray
    start_position: int
    end_position: int
    loss: float


def score(checkpoint: str, question_id: str) -> Scored:
    """Run the trained model on one dev question whose answer is known."""
    import tensorflow as tf

    tokenizer = FullTokenizer(str(EXAMPLE / "vocab.txt"), do_lower_case=True)
    examples = read_squad_examples(str(EXAMPLE / "dev.json"), is_training=True)
    example = next(e for e in examples if e.qas_id == question_id)
    feature = next(
        convert_examples_to_features([example], tokenizer, FLAGS.max_seq_length, 128, 32, is_training=True)
    )
    model = BertForSquad(BertConfig.from_json_file(str(EXAMPLE / "bert_config.json")))
    directory.restore(checkpoint, model)
    names = ("input_ids", "input_mask", "segment_ids")
    start_logits, end_logits = model({name: tf.constant([getattr(feature, name)]) for name in names})
    loss = span_loss(start_logits, end_logits, [feature.start_position], [feature.end_position])
    return Scored(
        tokens=feature.tokens,
        passage=range(min(feature.token_to_orig_map), max(feature.token_to_orig_map) + 1),
        start_logits=start_logits.numpy()[0],
        end_logits=end_logits.numpy()[0],
        start_position=feature.start_position,
        end_position=feature.end_position,
        loss=float(loss),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over all positions, padding included, as the loss has them."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()


def best_span(scored: Scored, max_answer_length: int) -> tuple[int, int]:
    """Return the allowed pair (start, end), inclusive, with the largest sum of logits."""
    allowed = [
        (i, j) for i in scored.passage for j in range(i, min(i + max_answer_length, scored.passage.stop))
    ]
    return max(allowed, key=lambda span: scored.start_logits[span[0]] + scored.end_logits[span[1]])


def draw(scored: Scored, picture: str, max_answer_length: int) -> None:
    """Draw the two distributions above and the scores of all spans below."""
    start_probabilities, end_probabilities = softmax(scored.start_logits), softmax(scored.end_logits)
    first, stop = scored.passage.start, scored.passage.stop
    columns = np.arange(stop - first)
    words = scored.tokens[first:stop]
    start, end = best_span(scored, max_answer_length)
    question = " ".join(scored.tokens[1 : first - 1]).replace(" ##", "")
    answer = " ".join(scored.tokens[start : end + 1]).replace(" ##", "")

    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(0.24 * len(words) + 2.5, 10.5), height_ratios=[1, 2.6], layout="constrained"
    )
    top.bar(
        columns - 0.2,
        start_probabilities[first:stop],
        0.4,
        label="P_start(i) = softmax(S·T_i)",
        color="#1f6fb4",
    )
    top.bar(
        columns + 0.2, end_probabilities[first:stop], 0.4, label="P_end(j) = softmax(E·T_j)", color="#d1602a"
    )
    top.set_ylim(0, 1.05)
    top.set_xlim(-0.6, len(words) - 0.4)
    top.set_xticks(columns, words, rotation=90, fontsize=8)
    top.set_ylabel("probability")
    top.legend(loc="upper left", frameon=False)
    likelihoods = start_probabilities[scored.start_position], end_probabilities[scored.end_position]
    top.set_title(
        f"“{question}”\nTraining: the log-likelihood of the correct start and end is\n"
        f"ln {likelihoods[0]:.4f} + ln {likelihoods[1]:.4f} = {sum(map(math.log, likelihoods)):.4f}; "
        f"the loss is minus half of it, {scored.loss:.4f}",
        fontsize=10,
        loc="left",
    )

    scores = np.full([len(words)] * 2, np.nan)
    for row in range(len(words)):
        for column in range(row, min(row + max_answer_length, len(words))):
            scores[row, column] = scored.start_logits[first + row] + scored.end_logits[first + column]
    image = bottom.imshow(scores, cmap="viridis", aspect="auto")
    bottom.plot(end - first, start - first, "s", ms=11, mfc="none", mec="red", mew=2)
    bottom.set_xticks(columns, words, rotation=90, fontsize=8)
    bottom.set_yticks(columns, words, fontsize=8)
    bottom.set_xlabel("end j")
    bottom.set_ylabel("start i")
    bottom.set_title(
        f"Prediction: the score S·T_i + E·T_j of every allowed span.\nThe maximum scoring span is “{answer}”, "
        f"{scored.start_logits[start]:.2f} + {scored.end_logits[end]:.2f} = "
        f"{scored.start_logits[start] + scored.end_logits[end]:.2f}",
        fontsize=10,
        loc="left",
    )
    figure.colorbar(image, ax=bottom, label="score", shrink=0.6)
    figure.savefig(picture, dpi=110)


def main(_) -> None:
    """Score and draw."""
    draw(score(FLAGS.checkpoint, FLAGS.question_id), FLAGS.picture, FLAGS.max_answer_length)
    print(f"wrote {FLAGS.picture}")


if __name__ == "__main__":
    app.run(main)

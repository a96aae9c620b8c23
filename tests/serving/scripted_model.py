"""A text model whose logits are given: it answers what `answers.nbest` answers from the same logits."""

import numpy as np
import tensorflow as tf

from bert_squad.answers.nbest import NbestOptions
from bert_squad.data.windows import WindowLengths
from bert_squad.serving.graph_tokenizer import GraphTokenizer
from bert_squad.serving.graph_windows import WindowLayout
from bert_squad.serving.text_model import TextModel
from bert_squad.text.tokenization import FullTokenizer


class ScriptedModel:
    """Answers in eager mode; the rows of `start_logits` and `end_logits` go to the windows one after the other.

    Args:
      flags: of a golden's `flags.json`, or some like them.
    """

    def __init__(
        self, tokenizer: FullTokenizer, graph_tokenizer: GraphTokenizer, flags: dict, logits, **options
    ):
        self._logits = logits
        self._next = 0
        self._windows_per_step = options.get("windows_per_step", 16)
        layout = WindowLayout(
            WindowLengths(*(flags[name] for name in ("max_seq_length", "doc_stride", "max_query_length"))),
            classification_id=tokenizer.vocab["[CLS]"],
            separator_id=tokenizer.vocab["[SEP]"],
        )
        names = ("n_best_size", "max_answer_length", "version_2_with_negative", "null_score_diff_threshold")
        answer_options = NbestOptions(do_lower_case=True, **{name: flags[name] for name in names})
        self._model = TextModel(graph_tokenizer, layout, self._score, answer_options, **options)

    def _score(self, features):
        begin = self._next
        count = features["input_ids"].shape[0]
        assert count <= self._windows_per_step, "that is what bounds the memory"
        self._next += count
        return tuple(tf.constant(logits[begin : self._next]) for logits in self._logits)

    def answer(self, questions, contexts, batch_size: int = 64) -> dict[str, np.ndarray]:
        batches = [
            self._model.answer(
                tf.constant(questions[begin : begin + batch_size]),
                tf.constant(contexts[begin : begin + batch_size]),
            )
            for begin in range(0, len(questions), batch_size)
        ]
        assert self._next == len(self._logits[0]), "each row of logits has its window"
        return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}


def assert_same_answer(outputs: dict, row: int, text: str, nbest: list[dict], null_odds: float | None):
    """Compare one row of outputs with entries of the legacy files."""
    assert outputs["answer"][row].decode() == text
    count = int(outputs["nbest_count"][row])
    assert [entry.decode() for entry in outputs["nbest_text"][row, :count]] == [
        entry["text"] for entry in nbest
    ]
    assert not any(outputs["nbest_text"][row, count:])
    for name in ("probability", "start_logit", "end_logit"):
        wanted = [entry[name] for entry in nbest]
        got = outputs[f"nbest_{name}"][row]
        np.testing.assert_allclose(got[:count], wanted, atol=1e-5, rtol=1e-6, err_msg=name)
        assert not got[count:].any()
    chosen = next(number for number, entry in enumerate(nbest) if entry["text"] == text)
    np.testing.assert_allclose(outputs["probability"][row], nbest[chosen]["probability"], atol=1e-5)
    for name in ("start_char", "end_char", "start_byte", "end_byte"):
        assert outputs[name][row] == outputs[f"nbest_{name}"][row, chosen]
        assert (outputs[f"nbest_{name}"][row, count:] == -1).all()
    if null_odds is not None:
        np.testing.assert_allclose(outputs["null_odds"][row], null_odds, rtol=1e-6, atol=1e-5)
        assert bool(outputs["is_impossible"][row]) == (text == "")


def assert_offsets_say_the_same(outputs: dict, contexts: list[str]):
    """Every entry's text is the part of the context that its offsets name, white space aside."""
    for row, context in enumerate(contexts):
        for rank in range(outputs["nbest_count"][row]):
            start, end, start_byte, end_byte = (
                int(outputs[f"nbest_{name}"][row, rank])
                for name in ("start_char", "end_char", "start_byte", "end_byte")
            )
            text = outputs["nbest_text"][row, rank].decode()
            if start < 0:
                assert (end, start_byte, end_byte) == (-1, -1, -1)
                assert text in ("", "empty")
            else:
                part = context[start:end]
                assert (
                    " ".join(part.replace("\u202f", " ").replace("\t", " ").split(" ")).split()
                    == text.split()
                )
                assert context.encode()[start_byte:end_byte] == part.encode()

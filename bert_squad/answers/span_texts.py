"""Turn predicted spans of WordPieces into texts of the passage."""

from collections.abc import Sequence

from bert_squad.answers.candidates import PrelimPrediction
from bert_squad.data.features import InputFeatures
from bert_squad.text.alignment import AlignedPassage


class SpanTexts:
    """Finds the passage text that a span of one question's features stands for.

    Args:
      doc_tokens: the words of the passage.
      features: the features of the question.
      do_lower_case: whether the tokenizer that made the features lower-cased.
      verbose_logging: log why a text could not be projected back to the passage.
    """

    def __init__(
        self,
        doc_tokens: list[str],
        features: Sequence[InputFeatures],
        do_lower_case: bool,
        verbose_logging: bool = False,
    ):
        # Read once: a feature may make its lists anew whenever it is asked for them.
        self._features = [(feature.tokens, feature.token_to_orig_map) for feature in features]
        self._passage = _passages.aligned(doc_tokens, do_lower_case)
        self._verbose_logging = verbose_logging

    def text_of(self, candidate: PrelimPrediction) -> str:
        """Return the text of a candidate, which must be a span of the passage.

        Source: the text part of `write_predictions` of the legacy run_squad.py.
        Differs: takes the words as they are when the span is all of them. This relies on `token_to_orig_map` naming
          the word of every one of its pieces, as `convert_examples_to_features` sees to.
        """
        feature_index, start, end, _, _ = candidate
        tokens, orig_of = self._features[feature_index]
        orig_start, orig_end = orig_of[start], orig_of[end]
        if (
            orig_of.get(start - 1, orig_start) != orig_start
            and orig_of.get(end + 1, orig_end) != orig_end
            and not self._verbose_logging
        ):
            # The span is all of its words, so whatever the projection finds, it gives these words: the pieces are
            # their tokens, or hold an [UNK] that is nowhere in them. Most good candidates are of this kind.
            return self._passage.orig_text(orig_start, orig_end)
        tok_text = _joined(tokens[start : end + 1])
        text, branch = self._passage.project_text(
            tok_text, orig_start, orig_end, says_why=self._verbose_logging
        )
        if branch == "projected":
            return text
        # A piece that is nothing but "##" leaves white space to tidy up. What was found needs none of that.
        tidied = " ".join(tok_text.split())
        if tidied == tok_text and not self._verbose_logging:
            return text
        return self._passage.get_final_text(tidied, orig_start, orig_end, self._verbose_logging)

    def range_of(self, candidate: PrelimPrediction, orig_to_char_index: Sequence[int]) -> tuple[int, int]:
        """Return where in the context the text of a candidate begins and ends (exclusive), in characters.

        Args:
          candidate: a span of the passage.
          orig_to_char_index: see `LocatedExample`.
        """
        feature_index, start, end, _, _ = candidate
        tokens, orig_of = self._features[feature_index]
        tidied = " ".join(_joined(tokens[start : end + 1]).split())
        return self._passage.projected_range(tidied, orig_of[start], orig_of[end], orig_to_char_index)


def _joined(pieces: Sequence[str]) -> str:
    """Return WordPieces as tokens with a space between two."""
    return " ".join(pieces).replace(" ##", "").replace("##", "")


class _PassageMemory:
    """Remembers the passage of the latest question: the next one is mostly about the same."""

    def __init__(self) -> None:
        self._latest: tuple[list[str], bool, AlignedPassage] | None = None

    def aligned(self, doc_tokens: list[str], do_lower_case: bool) -> AlignedPassage:
        latest = self._latest  # read and replaced as a whole: threads may share this
        if latest is None or latest[0] != doc_tokens or latest[1] != do_lower_case:
            latest = (list(doc_tokens), do_lower_case, AlignedPassage(doc_tokens, do_lower_case))
            self._latest = latest
        return latest[2]


_passages = _PassageMemory()

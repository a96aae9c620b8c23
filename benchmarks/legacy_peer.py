"""The legacy program's way, plainly written (`legacy_standin`), as a contender of `stages.py`."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from legacy_standin.conversion import write_features
from legacy_standin.nbest import answer
from legacy_standin.tokenization import Tokenizer

SHARE = 10  # it takes so long that it does one of so many questions


class LegacyStandIn:
    """Conversion and n-best as the legacy program did them.

    Args:
      flags: of `stages.py`.
      ours: an `OurProgram`, which has the questions, features and logits.
    """

    def __init__(self, flags, ours):
        self._flags = flags
        self._ours = ours

    def contenders(self, stage: str) -> dict[str, Callable[[], int]]:
        """Return what runs in a stage, by name."""
        mine = {"conversion": self._convert, "nbest": self._nbest}
        return {"legacy way (stand-in)": mine[stage]} if stage in mine else {}

    def _convert(self) -> int:
        flags = self._flags
        examples = self._ours.examples[: -(-len(self._ours.examples) // SHARE)]
        sizes = (flags.train_seq_length, flags.doc_stride, flags.max_query_length)
        with TemporaryDirectory() as directory:
            path = str(Path(directory) / "records")
            return write_features(path, examples, Tokenizer(flags.vocab_file, True), *sizes, True)

    def _nbest(self) -> int:
        ours = self._ours
        examples = ours.in_order[: -(-len(ours.in_order) // SHARE)]
        options = {"n_best_size": 20, "max_answer_length": 30, "do_lower_case": True}
        options["version_2_with_negative"] = False
        result_of = {result.unique_id: result for result in ours.results}
        features_of: dict[int, list] = {}
        for feature in ours.features:
            features_of.setdefault(feature.example_index, []).append(feature)
        for number, example in enumerate(examples):
            answer(example, features_of.get(number, []), result_of, options)
        return len(examples)

"""Damaged vocabularies: used, or refused in a sentence."""

import pytest
from faults.mutation import check_reader

from bert_squad.text.tokenization import FullTokenizer

FUZZ_SECONDS = [2, pytest.param(30, marks=pytest.mark.slow)]
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "the",
    "##s",
    "\u6771",
    "caf\u00e9",
    "##\u0301",
    ",",
    "[unused1]",
]
TEXT = "The caf\u00e9s, \u6771\u4eac \ud800 thes e\u0301 \u00ad"


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
def test_tokenizing(tmp_path, seconds):
    path = tmp_path / "vocab.txt"

    def read(content):
        path.write_bytes(content)
        for do_lower_case in (True, False):
            tokenizer = FullTokenizer(str(path), do_lower_case)
            assert max(tokenizer.convert_tokens_to_ids(tokenizer.tokenize(TEXT))) <= tokenizer.highest_id

    seeds = [("\n".join(PIECES) + end).encode() for end in ("", "\n", "\n\n\n")]
    check_reader(read, seeds, seconds)

"""What benchmarks measure against does what the legacy program did (its n-best: tests/answers/test_nbest.py)."""

import gzip

import pytest
import tensorflow as tf
from feature_cases import feature_case
from golden_files import data_file, golden, golden_cases, golden_input, read_json_lines

from benchmarks.legacy_standin.conversion import write_features
from benchmarks.legacy_standin.final_text import get_final_text
from benchmarks.legacy_standin.tokenization import Tokenizer
from bert_squad.data.records import read_records

VOCABULARIES = {"uncased": ("vocab-uncased.txt", True), "cased": ("vocab-multilingual-cased.txt", False)}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_tokenization(name):
    vocab, do_lower_case = VOCABULARIES[name]
    tokenizer = Tokenizer(str(data_file(vocab)), do_lower_case)
    for line in read_json_lines(golden(f"tokenization/{name}.jsonl")):
        assert tokenizer.tokenize(line["text"]) == line["tokens"], line["text"]


def values_of(record):
    return {
        key: list(feature.int64_list.value)
        for key, feature in tf.train.Example.FromString(record).features.feature.items()
    }


@pytest.mark.parametrize("case", [case for case in golden_cases("features") if case.startswith("tiny-")])
def test_records(case, tmp_path):
    flags, examples, sizes = feature_case(case)
    tokenizer = Tokenizer(str(golden_input(flags["vocab"])), flags["do_lower_case"])
    write_features(str(tmp_path / "records"), examples, tokenizer, *sizes)
    legacy = tmp_path / "legacy"
    name = "train" if flags["is_training"] else "eval"
    legacy.write_bytes(gzip.decompress(golden(f"features/{case}/{name}.tf_record.gz").read_bytes()))
    ours, theirs = (list(map(values_of, read_records(str(path)))) for path in (tmp_path / "records", legacy))
    assert ours == theirs


def test_final_text():
    for line in read_json_lines(golden("final_text.jsonl")):
        text = get_final_text(line["pred_text"], line["orig_text"], line["do_lower_case"])
        assert text == line["result"], line

"""What a Hugging Face model says of its tokenizer: done, or refused with the file and the key, never ignored."""

import json

import pytest
from golden_files import golden
from program import run_console, run_program
from tiny_models import VOCABULARY, tiny_model

from bert_squad.checkpoints.convert import convert
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.checkpoints.tokenizer_settings import TokenizerSettings, read_tokenizer_settings
from bert_squad.errors import CheckpointError, ConfigError

CONFIG, TOKENIZER = "tokenizer_config.json", "tokenizer.json"
BERT = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}


def read(tmp_path, config=None, tokenizer=None) -> TokenizerSettings:
    for name, values in ((CONFIG, config), (TOKENIZER, tokenizer)):
        if values is not None:
            (tmp_path / name).write_text(json.dumps(values))
    return read_tokenizer_settings(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "tokenizer", "lower", "source"),
    [
        (None, None, None, ""),
        ({}, {}, None, ""),
        ({"do_lower_case": False}, None, False, CONFIG),
        ({"do_lower_case": "no"}, None, None, ""),
        (None, {"normalizer": {**BERT, "lowercase": False}}, False, TOKENIZER),
        (None, {"normalizer": {**BERT, "lowercase": True}}, True, TOKENIZER),
        ({"do_lower_case": True}, {"normalizer": {**BERT, "lowercase": False}}, True, CONFIG),
        (None, {"normalizer": None}, False, TOKENIZER),
        (None, {"normalizer": {"type": "Lowercase"}}, True, TOKENIZER),
        (
            None,
            {
                "normalizer": {
                    "type": "Sequence",
                    "normalizers": [{**BERT, "lowercase": False}, {"type": "Lowercase"}],
                }
            },
            True,
            TOKENIZER,
        ),
        (
            None,
            {
                "normalizer": {
                    "type": "Sequence",
                    "normalizers": [{"type": "Sequence", "normalizers": [BERT]}],
                }
            },
            None,
            "",
        ),
        (
            None,
            {
                "normalizer": {
                    "type": "Sequence",
                    "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}],
                }
            },
            True,
            TOKENIZER,
        ),
    ],
)
def test_who_says_whether_text_is_lower_cased(tmp_path, config, tokenizer, lower, source):
    settings = read(tmp_path, config, tokenizer)
    assert (settings.do_lower_case, settings.source) == (lower, source)


@pytest.mark.parametrize(
    ("config", "tokenizer", "difference"),
    [
        ({"do_lower_case": True, "strip_accents": False}, None, f"{CONFIG} says strip_accents false"),
        ({"do_lower_case": False, "strip_accents": True}, None, f"{CONFIG} says strip_accents true"),
        ({"tokenize_chinese_chars": False}, None, f"{CONFIG} says tokenize_chinese_chars false"),
        ({"do_basic_tokenize": False}, None, f"{CONFIG} says do_basic_tokenize false"),
        (
            {"tokenizer_class": "BertJapaneseTokenizer"},
            None,
            f"{CONFIG} says tokenizer_class BertJapaneseTokenizer",
        ),
        ({"word_tokenizer_type": "mecab"}, None, f"{CONFIG} says word_tokenizer_type mecab"),
        ({"unk_token": "<unk>"}, None, f"{CONFIG} says unk_token <unk>"),
        ({"sep_token": {"content": "</s>"}}, None, f"{CONFIG} says sep_token </s>"),
        ({"cls_token": {"content": {}}}, None, f"{CONFIG} says cls_token {{}}"),
        (
            None,
            {"normalizer": {**BERT, "lowercase": True, "strip_accents": False}},
            f"{TOKENIZER} says strip_accents false",
        ),
        (
            None,
            {"normalizer": {**BERT, "handle_chinese_chars": False}},
            f"{TOKENIZER} says handle_chinese_chars false",
        ),
        (None, {"normalizer": {"type": "NFKC"}}, f"{TOKENIZER} says normalizer NFKC"),
        (None, {"normalizer": [1]}, f"{TOKENIZER} says normalizer None"),
        (None, {"pre_tokenizer": {"type": "Whitespace"}}, f"{TOKENIZER} says pre_tokenizer Whitespace"),
    ],
)
def test_what_is_not_done_here(tmp_path, config, tokenizer, difference):
    settings = read(tmp_path, config, tokenizer)
    assert settings.differences(bool(settings.do_lower_case)) == (difference,)


@pytest.mark.parametrize(
    ("config", "tokenizer"),
    [
        ({"do_lower_case": True, "strip_accents": True, "tokenize_chinese_chars": True}, None),
        ({"do_lower_case": False, "strip_accents": None, "tokenizer_class": "BertTokenizerFast"}, None),
        ({"unk_token": "[UNK]", "cls_token": {"content": "[CLS]", "lstrip": False}, "sep_token": None}, None),
        ({"word_tokenizer_type": "basic", "never_split": None}, None),
        ({"strip_accents": None}, {"normalizer": {**BERT, "lowercase": True, "strip_accents": False}}),
        (None, {"normalizer": {**BERT, "lowercase": True}, "pre_tokenizer": {"type": "BertPreTokenizer"}}),
    ],
)
def test_what_is_done_here(tmp_path, config, tokenizer):
    settings = read(tmp_path, config, tokenizer)
    assert settings.differences(bool(settings.do_lower_case)) == ()


@pytest.mark.parametrize("strip_accents", [True, False])
def test_accents_are_stripped_with_lower_casing_only_whoever_says_that(tmp_path, strip_accents):
    settings = read(tmp_path, {"strip_accents": strip_accents}, None)
    assert settings.do_lower_case is None
    assert settings.differences(strip_accents) == ()
    shown = str(strip_accents).lower()
    assert settings.differences(not strip_accents) == (f"{CONFIG} says strip_accents {shown}",)


def test_nothing_is_nested_too_deeply(tmp_path):
    nested = '{"type": "Sequence", "normalizers": [' * 400 + '{"type": "Lowercase"}' + "]}" * 400
    (tmp_path / TOKENIZER).write_text(f'{{"normalizer": {nested}}}')
    assert read_tokenizer_settings(str(tmp_path)).do_lower_case is True
    (tmp_path / TOKENIZER).write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is nested too deeply"):
        read_tokenizer_settings(str(tmp_path))


# As a user meets it: a cased model.


@pytest.fixture
def cased(tmp_path):
    vocabulary = [piece for piece in VOCABULARY if piece not in "?."] + ["A", "P"]
    save_tf1_checkpoint(str(tmp_path / "model.ckpt"), tiny_model())
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary))
    (tmp_path / "bert_config.json").write_text(json.dumps(tiny_model().bert_config.to_dict()))
    convert(str(tmp_path), str(tmp_path / "hf"), "huggingface")
    (tmp_path / "hf" / CONFIG).unlink()
    return tmp_path / "hf"


def predict(*arguments):
    data = golden("model/legacy_run/v1/dev.json")
    sizes = ("--max_seq_length=16", "--doc_stride=4", "--max_query_length=6", "--verbosity=0")
    return run_program("--do_predict", f"--predict_file={data}", *sizes, *arguments)


def test_a_cased_model_without_settings_is_not_lower_cased(cased, tmp_path):
    done = predict(f"--init_checkpoint={cased}", f"--output_dir={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "--do_lower_case is not given: using False, as the pieces of its vocabulary look." in done.stderr


def test_a_mecab_tokenizer_is_refused_and_can_be_overruled(cased, tmp_path):
    (cased / CONFIG).write_text(
        '{"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}'
    )
    done = predict(f"--init_checkpoint={cased}", f"--output_dir={tmp_path / 'out'}")
    assert done.returncode == 1
    assert (
        f"The tokenizer of {cased} is not the one that is used here: tokenizer_config.json says tokenizer_class "
        "BertJapaneseTokenizer, tokenizer_config.json says word_tokenizer_type mecab. To cut text as BERT's own "
        "tokenizer does all the same, name the vocabulary with --vocab_file."
    ) in done.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="word_tokenizer_type mecab"):
        convert(str(cased), str(tmp_path / "tf1") + "/", "tf1")
    convert(str(cased), str(tmp_path / "tf1") + "/", "tf1", vocab_file=str(cased / "vocab.txt"))


def test_accents_that_an_uncased_model_keeps_are_refused_though_its_vocabulary_alone_says_uncased(
    cased, tmp_path
):
    pieces = (cased / "vocab.txt").read_text().lower().replace("[unk]", "[UNK]").split("\n")
    specials = {"[cls]": "[CLS]", "[sep]": "[SEP]", "[pad]": "[PAD]", "[mask]": "[MASK]"}
    (cased / "vocab.txt").write_text("\n".join(specials.get(piece, piece) for piece in pieces))
    (cased / CONFIG).write_text('{"strip_accents": false}')
    done = run_program(f"--init_checkpoint={cased}", f"--output_dir={tmp_path / 'out'}")
    assert done.returncode == 1
    assert f"{CONFIG} says strip_accents false. To cut text" in done.stderr
    with pytest.raises(ConfigError, match="says strip_accents false"):
        convert(str(cased), str(tmp_path / "tf1") + "/", "tf1")


# Without --do_train and --do_predict a run ends after its flags are read, which is soon.


def test_the_flag_wins_with_a_warning(cased, tmp_path):
    (cased / TOKENIZER).write_text(json.dumps({"normalizer": {**BERT, "lowercase": False}}))
    done = run_program(
        f"--init_checkpoint={cased}", "--do_lower_case=True", f"--output_dir={tmp_path / 'out'}"
    )
    assert (
        f"--do_lower_case=True is given, and goes before what belongs to {cased}: False, as tokenizer.json says."
    ) in done.stderr


def test_the_legacy_default_with_a_cased_vocabulary_stays_and_is_said(cased, tmp_path):
    done = run_program(
        f"--init_checkpoint={tmp_path / 'model.ckpt'}",
        f"--vocab_file={cased / 'vocab.txt'}",
        f"--bert_config_file={tmp_path / 'bert_config.json'}",
        f"--output_dir={tmp_path / 'out'}",
    )
    assert (
        f"The vocabulary {cased / 'vocab.txt'} has many pieces with capitals, as that of a cased"
        in done.stderr
    )


def test_conversion_says_what_it_takes_the_vocabulary_for(cased, tmp_path):
    (cased / TOKENIZER).write_text(json.dumps({"normalizer": {**BERT, "lowercase": True}}))
    done = run_console("checkpoint", "convert", cased, tmp_path / "again", "--to=huggingface")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "again" / CONFIG).read_text())["do_lower_case"] is True

"""What a Hugging Face model says of its tokenizer, and what of that the tokenizer here does not do. No TensorFlow.

`tokenizer_config.json` goes before `tokenizer.json`, as in transformers.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from bert_squad import files
from bert_squad.checkpoints.huggingface import read_object

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"

# Classes of transformers that cut text as BERT's own does.
_SAME_AS_BERT = (
    *("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "ConvBertTokenizer", "MobileBertTokenizer"),
    *("RetriBertTokenizer", "LayoutLMTokenizer", "LxmertTokenizer", "SqueezeBertTokenizer", "RealmTokenizer"),
    *("DPRReaderTokenizer", "DPRQuestionEncoderTokenizer", "DPRContextEncoderTokenizer"),
    *("PreTrainedTokenizer", "TokenizersBackend"),  # whatever tokenizer.json says
)
_SPECIAL_TOKENS = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_WANTED = {
    "tokenize_chinese_chars": (True, "handle_chinese_chars"),
    "do_basic_tokenize": (True, None),
    "clean_text": (True, "clean_text"),
    "word_tokenizer_type": ("basic", None),
    "subword_tokenizer_type": ("wordpiece", None),
}
"""What the tokenizer here does, by the key of tokenizer_config.json, and the normalizer's key for the same."""


@dataclasses.dataclass(frozen=True)
class TokenizerSettings:
    """What the files of a tokenizer say.

    Args:
      do_lower_case: None when they do not say.
      source: the name of the file that says so, or empty.
      others: what they want besides that is not done here, each as "FILE says KEY VALUE".
      strip_accents: None when they do not say; then accents go with capitals, as they do here.
      accents_source: which file says so, and by which key, or empty.
    """

    do_lower_case: bool | None = None
    source: str = ""
    others: tuple[str, ...] = ()
    strip_accents: bool | None = None
    accents_source: str = ""

    def differences(self, lower_case: bool) -> tuple[str, ...]:
        """Return what they want that is not done here.

        Args:
          lower_case: whether text is lower-cased, which the vocabulary shows when these files do not say.
        """
        if self.strip_accents in (None, lower_case):
            return self.others
        return (*self.others, f"{self.accents_source} {_shown(self.strip_accents)}")


NOTHING_SAID = TokenizerSettings()


def read_tokenizer_settings(directory: str) -> TokenizerSettings:
    """Read what a directory says of its tokenizer.

    Raises:
      CheckpointError: when one of the files cannot be read.
    """
    config, tokenizer = (
        read_object(path) if files.is_file(path) else {}
        for path in (files.join(directory, name) for name in (TOKENIZER_CONFIG_FILE, TOKENIZER_FILE))
    )
    normalizer = _normalizer(tokenizer)
    lower, source = config.get("do_lower_case"), TOKENIZER_CONFIG_FILE
    if not isinstance(lower, bool):
        lower, source = normalizer.get("lowercase"), TOKENIZER_FILE
    if not isinstance(lower, bool):
        lower, source = None, ""
    strip, accents_source = _said("strip_accents", "strip_accents", config, normalizer)
    if not isinstance(strip, bool):
        strip, accents_source = None, ""
    others = tuple(_differences(config, tokenizer, normalizer))
    return TokenizerSettings(lower, source, others, strip, accents_source)


def _said(
    key: str, other_key: str | None, config: dict[str, Any], normalizer: dict[str, Any]
) -> tuple[Any, str]:
    """Return a setting, and which file says it by which key."""
    if key in config:
        return config[key], f"{TOKENIZER_CONFIG_FILE} says {key}"
    return normalizer.get(other_key or ""), f"{TOKENIZER_FILE} says {other_key}"


def _differences(
    config: dict[str, Any], tokenizer: dict[str, Any], normalizer: dict[str, Any]
) -> Iterator[str]:
    kind = config.get("tokenizer_class")
    if isinstance(kind, str) and kind.removesuffix("Fast") not in _SAME_AS_BERT:
        yield f"{TOKENIZER_CONFIG_FILE} says tokenizer_class {kind}"
    for key, (wanted, other_key) in _WANTED.items():
        said, by = _said(key, other_key, config, normalizer)
        if said is not None and said != wanted:
            yield f"{by} {_shown(said)}"
    for key, wanted in _SPECIAL_TOKENS.items():
        said = config.get(key)
        said = said.get("content") if isinstance(said, dict) else said
        if said is not None and said != wanted:
            yield f"{TOKENIZER_CONFIG_FILE} says {key} {_shown(said)}"
    for kind in normalizer.get("others", ()):
        yield f"{TOKENIZER_FILE} says normalizer {_shown(kind)}"
    before = tokenizer.get("pre_tokenizer")
    if isinstance(before, dict) and before.get("type") != "BertPreTokenizer":
        yield f"{TOKENIZER_FILE} says pre_tokenizer {_shown(before.get('type'))}"


def _normalizer(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the normalizer in a `tokenizer.json`: those of a `BertNormalizer`, or of its parts."""
    if "normalizer" not in tokenizer:
        return {}
    settings: dict[str, Any] = {"lowercase": False}
    others = []
    waiting = [tokenizer["normalizer"]]
    while waiting:
        part = waiting.pop()
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "Sequence":
            parts = part.get("normalizers")
            waiting += reversed(parts) if isinstance(parts, list) else []
        elif kind == "BertNormalizer":
            lower = settings["lowercase"] or part.get("lowercase")
            settings |= {**part, "lowercase": lower}
        elif kind == "Lowercase":
            settings["lowercase"] = True
        elif kind in ("NFD", "StripAccents"):
            settings["strip_accents"] = settings.get("strip_accents") or kind == "StripAccents" or None
        elif part is not None:
            others.append(kind)
    return {**settings, "others": others}


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."

"""The model card of a Hugging Face directory: a README.md whose head is metadata for the hub.

It says what is known and no more: language and license are left out, the base model too unless it is named, and scores
are those of `eval_results.json` if they are of these weights. That file does not say which data it is of.

Source: https://huggingface.co/docs/hub/model-cards, and `huggingface_hub.ModelCardData`, which tests read it with.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from bert_squad import files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.state_file import last_part, recorded_names
from bert_squad.errors import BertSquadError, ConfigError
from bert_squad.json_files import read_json
from bert_squad.run_record import read_record

CARD_FILE = "README.md"
EVAL_RESULTS = "eval_results.json"

_FORMATS = {"exact_match": "SQuAD 1.1", "exact": "SQuAD 2.0"}
_METRICS = {"exact_match": "Exact match", "exact": "Exact match", "f1": "F1"}
_LARGEST = 1e12  # far more than questions, which are the largest numbers among the metrics
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Scores:
    """What `eval_results.json` holds of a checkpoint.

    Attributes:
      values: name of a metric of the official script → value; empty when nothing is known.
      note: why they are left out although there is such a file, or empty.
    """

    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    note: str = ""


def check_base_model(name: str | None) -> None:
    """Refuse what is no name of a model on the hub.

    Raises:
      ConfigError: when it is not of the form NAME or OWNER/NAME.
    """
    if name is not None and not _HUB_ID.fullmatch(name):
        raise ConfigError(
            f"--base_model takes the name of a model on the hub, such as google-bert/bert-base-uncased, not {name!r}."
        )


def scores_beside(weights: str) -> Scores:
    """Read the scores of a checkpoint, if they lie beside it and can be its own.

    Args:
      weights: prefix of a TensorFlow checkpoint, or path of a file with weights.
    """
    path = files.join(os.path.dirname(weights), EVAL_RESULTS)
    try:
        if not files.is_file(path):
            return Scores()
        problem = _why_of_other_weights(path, weights)
        values = {} if problem else _metrics_in(read_json(path, "file of scores"))
    except (BertSquadError, OSError) as error:
        problem, values = f"{error}".rstrip("."), {}
    if values:
        return Scores(values)
    problem = problem or "none is one of the official script"
    return Scores(note=f"The model card has no scores: those in {path} are left out ({problem}).")


def _why_of_other_weights(path: str, weights: str) -> str:
    """Say why scores cannot be those of a checkpoint beside them; empty when they can."""
    latest = _latest_name(os.path.dirname(weights))
    if latest and latest != os.path.basename(weights):
        return f"they are of the latest checkpoint, {latest}"
    written = weights if files.is_file(weights) else f"{weights}.index"
    if files.modified_at(path) < files.modified_at(written):
        return "the checkpoint was written after them"
    return ""


def _latest_name(directory: str) -> str | None:
    """Return the last name in a `checkpoint` file; None when there is none that can be read."""
    try:
        names = recorded_names(directory)
    except BertSquadError:
        return None
    return last_part(names[-1]) if names else None


def _metrics_in(content: Any) -> dict[str, float]:
    """Return the metrics of the official script; empty for what is none of ours."""
    numbers = {
        name: value
        for name, value in (content.items() if isinstance(content, dict) else ())
        if isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST
    }
    return numbers if "f1" in numbers and set(_FORMATS) & set(numbers) else {}


def model_card(
    name: str,
    bert_config: BertConfig,
    *,
    do_lower_case: bool,
    has_span_head: bool,
    step: int | None = None,
    scores: Mapping[str, float] | None = None,
    flags: Mapping[str, Any] | None = None,
    base_model: str | None = None,
) -> str:
    """Return the text of a model card.

    Args:
      name: of the model.
      bert_config: describes it.
      do_lower_case: whether it is uncased.
      has_span_head: whether it answers questions, or is only an encoder.
      step: number of training steps done; None when that is not known.
      scores: as `scores_beside` returns them.
      flags: that it was trained with, as `run.json` has them.
      base_model: its name on the hub, or None.
    """
    name = "".join(character if character.isprintable() else "_" for character in name)
    scores = scores if has_span_head and scores else {}
    parts = [
        "\n".join(["---", *_metadata(name, has_span_head, scores, base_model), "---"]),
        f"# {_as_text(name)}",
        _about(bert_config, do_lower_case, has_span_head, step),
    ]
    if scores:
        rows = [(f"`{key}`", _number(value)) for key, value in scores.items() if _is_plain(key)]
        parts += [
            "## Scores",
            f"By the official script of {_format_of(scores)}, in percent; `{EVAL_RESULTS}` does not say of which data.",
            _table(("metric", "value"), rows),
        ]
    if flags:
        written = {key: json.dumps(value) for key, value in flags.items()}
        rows = [
            (f"`--{key}`", f"`{value}`")
            for key, value in written.items()
            if _is_plain(key) and _is_plain(value)
        ]
        parts += ["## Training", _table(("flag", "value"), rows)]
    if has_span_head:
        parts += ["## Use", _USE]
    parts += [
        "## What is not said here",
        "Language, license and data are not known to the program that wrote this page. Fill them in.",
    ]
    return "\n\n".join(parts) + "\n"


_USE = """\
```python
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForQuestionAnswering.from_pretrained(".")
```"""


def _metadata(
    name: str, has_span_head: bool, scores: Mapping[str, float], base_model: str | None
) -> list[str]:
    """Return the lines of YAML. Text is in double quotes, as JSON has it, which YAML reads too."""
    lines = ["library_name: transformers"]
    if has_span_head:
        lines.append("pipeline_tag: question-answering")
    if base_model:
        lines.append(f"base_model: {_quoted(base_model)}")
    lines += ["tags:", "- bert", "- bert_squad"]
    if not scores:
        return lines
    of = _format_of(scores)
    lines += ["metrics:", "- exact_match", "- f1", "model-index:", f"- name: {_quoted(name)}", "  results:"]
    lines += ["  - task:", "      type: question-answering", "      name: Question Answering"]
    lines += [
        "    dataset:",
        "      type: unknown",
        f"      name: {_quoted(f'unknown, in the format of {of}')}",
    ]
    lines.append("    metrics:")
    for key, title in _METRICS.items():
        if key in scores:
            kind = "f1" if key == "f1" else "exact_match"
            lines += [f"    - type: {kind}", f"      value: {_number(scores[key])}", f"      name: {title}"]
    return lines


def _about(bert_config: BertConfig, do_lower_case: bool, has_span_head: bool, step: int | None) -> str:
    does = (
        "that finds the answer to a question in a passage" if has_span_head else "without a head for answers"
    )
    rows = [
        ("layers", bert_config.num_hidden_layers),
        ("hidden size", bert_config.hidden_size),
        ("attention heads", bert_config.num_attention_heads),
        ("positions", bert_config.max_position_embeddings),
        ("vocabulary", f"{bert_config.vocab_size}, {'uncased' if do_lower_case else 'cased'}"),
    ]
    rows += [] if step is None else [("training steps", step)]
    return f"A BERT model {does}, converted by bert_squad.\n\n" + _table(("", ""), rows)


def _table(head: tuple[str, str], rows: list[tuple[Any, ...]]) -> str:
    return "\n".join(f"| {first} | {second} |" for first, second in [head, ("---", "---"), *rows])


def _format_of(scores: Mapping[str, float]) -> str:
    return next(name for key, name in _FORMATS.items() if key in scores)


def _number(value: float) -> str:
    """Write a number that YAML takes for one: 1e-05 is text there."""
    text = json.dumps(value)
    return text if "e" not in text else f"{value:.10f}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _as_text(name: str) -> str:
    """Keep Markdown and HTML from seeing anything in a name."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>&~-])", r"\\\1", name)


def _is_plain(text: str) -> bool:
    """Say whether a text can stand in a cell of a table between backticks."""
    return re.fullmatch(r'[\w."+-]+', text, re.ASCII) is not None


def flags_beside(weights: str) -> Mapping[str, Any] | None:
    """Return the flags of the training whose record lies beside a checkpoint, or None."""
    record = read_record(os.path.dirname(weights)) or {}
    recorded = record.get("flags")
    return recorded if isinstance(recorded, dict) else None

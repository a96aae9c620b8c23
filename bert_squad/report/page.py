"""The page itself: one HTML file that holds all it shows and asks no network for anything."""

import base64
import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from bert_squad import files, whole_files
from bert_squad.data.sources import DataSet
from bert_squad.errors import ConfigError, OutputError
from bert_squad.report import pictures, statistics
from bert_squad.report.calibration import Calibration, Depth
from bert_squad.report.comparison import Comparison
from bert_squad.report.curves import TrainingCurves
from bert_squad.report.findings import WeakGroup
from bert_squad.report.groups import Group, Grouping, score_group
from bert_squad.report.questions import OUTCOMES, Results
from bert_squad.report.rows import PackedRows
from bert_squad.report.run_folder import RunFolder, training_folder
from bert_squad.report.svg import score_bar
from bert_squad.report.thresholds import Thresholds

REPORT = "report.html"
GENERATOR = "bert-squad report"
_MARK = f'<meta name="generator" content="{GENERATOR}">'
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SCRIPTS = ("texts.js", "question.js", "report.js")  # one script, in this order
_START = 1000  # bytes of a file, among which the mark is


class Facts(NamedTuple):
    """All that a report shows.

    Attributes:
      run: the run.
      data: the questions' file.
      results: the questions and answers.
      groupings: their groups.
      depths: what better choices within the n-best would score.
      calibration: of probabilities; None without n-best lists.
      thresholds: of null odds; None for version 1.1.
      curves: of the training.
      comparison: with another run, or None.
      weak_groups: groups that are named in the beginning.
      findings: sentences for the beginning.
      notes: sentences on what is missing or odd.
    """

    run: RunFolder
    data: DataSet
    results: Results
    groupings: list[Grouping]
    depths: list[Depth]
    calibration: Calibration | None
    thresholds: Thresholds | None
    curves: TrainingCurves
    comparison: Comparison | None
    weak_groups: list[WeakGroup]
    findings: list[str]
    notes: list[str]


def default_report_path(output_dir: str) -> str:
    """Return where the report of a directory is written; of answers in a training's directory, beside their own.

    For `best` and `evaluations/STEP` are replaced as a whole when there are new ones.

    >>> default_report_path("out"), default_report_path("out/best"), default_report_path("out/evaluations/1000/")
    ('out/report.html', 'out/report-best.html', 'out/evaluations/report-1000.html')
    """
    if training_folder(output_dir) == output_dir:
        return files.join(output_dir, REPORT)
    above, name = os.path.split(output_dir.rstrip("/"))
    return files.join(above, f"report-{name}.html")


def check_report_path(path: str) -> None:
    """Refuse, before anything is read, a place where no report can be written, or where something else is.

    Raises:
      ConfigError: when there is a file that is not a report of this program.
      OutputError: when a directory is there, or the place cannot be written to.
    """
    if files.is_directory(path):
        raise OutputError(f"--report={path} is a directory; name a file, such as {files.join(path, REPORT)}.")
    if files.exists(path) and _MARK.encode() not in files.read_start(path, _START):
        raise ConfigError(
            f"{path} is there and is no report of this program; move it away, or name another place with --report."
        )
    try:
        temporary = whole_files.create_temporary(path)
    except OSError as error:
        raise files.refusal(f"Cannot write {path}", error, "; name another place with --report.") from error
    whole_files.discard(temporary)


def write_page(path: str, facts: Facts, packed: PackedRows) -> None:
    """Write the report, whole or not at all.

    Raises:
      OutputError: when it cannot be written.
    """
    text = render(facts, packed)
    with whole_files.open_whole(path) as writer:
        writer.write(text)


def render(facts: Facts, packed: PackedRows) -> str:
    """Return the page as text, which UTF-8 can hold."""
    loader = jinja2.PackageLoader("bert_squad.report")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.globals["score_bar"] = score_bar
    style, *scripts = (loader.get_source(environment, name)[0] for name in ("report.css", *_SCRIPTS))
    script = "\n".join(scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        facts=facts,
        packed=packed,
        settings={
            "outcomes": OUTCOMES,
            "groupings": [[of.name, [group.label for group in of.groups]] for of in facts.groupings],
            "isVersion2": facts.results.is_version_2,
            "hasOther": facts.comparison is not None,
        },
        mark=Markup(_MARK),
        style=Markup(style),
        script=Markup(script),
        script_digest=digest,
        overall=_overall(facts.results),
        outcomes=_outcomes(facts.results),
        pictures=_pictures(facts),
        record=flattened(facts.run.record),
        statistics=statistics,
        python=platform.python_version(),
    )


def shown(value: Any) -> str:
    r"""Return a text as a page can hold it: NUL, other control characters and lone surrogates are escaped.

    >>> shown("a\x00b\ud800"), shown("Zürich")
    ('a\\x00b\\ud800', 'Zürich')
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(value))


def _overall(results: Results) -> Group:
    """Return the scores of all questions with their intervals; the scores themselves are the official ones."""
    group = score_group("all", results.questions)
    return group._replace(exact=results.exact, f1=results.metrics["f1"])


def _outcomes(results: Results) -> list[tuple[int, str, int, float]]:
    """Return number, name, count and share in percent of each outcome that there is."""
    counts = [sum(of.outcome == outcome for of in results.questions) for outcome in OUTCOMES]
    total = len(results.questions)
    return [
        (number, outcome, count, 100.0 * count / total)
        for number, (outcome, count) in enumerate(zip(OUTCOMES, counts, strict=True))
        if count
    ]


def _pictures(facts: Facts) -> dict[str, Markup | None]:
    drawn: dict[str, Markup | None] = dict.fromkeys(("calibration", "threshold", "odds", "loss", "scores"))
    if facts.calibration is not None:
        drawn["calibration"] = pictures.calibration_picture(facts.calibration)
    if facts.thresholds is not None:
        drawn["threshold"] = pictures.threshold_picture(facts.thresholds)
        drawn["odds"] = pictures.odds_picture(facts.thresholds)
    if facts.curves.loss:
        drawn["loss"] = pictures.loss_picture(facts.curves)
    if facts.curves.f1:
        drawn["scores"] = pictures.scores_picture(facts.curves)
    return drawn


def flattened(record: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return the entries of nested JSON as names with dots and texts.

    >>> flattened({"a": {"b": 1}, "c": [{"d": "x"}, None]})
    [('a.b', '1'), ('c[1].d', 'x'), ('c[2]', 'null')]
    """
    entries: list[tuple[str, str]] = []
    pairs: Any = record.items()
    for name, value in pairs:
        place = f"{before}{name}"
        if isinstance(value, Mapping):
            entries += flattened(value, f"{place}.")
        elif isinstance(value, list):
            for number, item in enumerate(value, start=1):
                inner = item if isinstance(item, Mapping) else {"": item}
                dot = "." * isinstance(item, Mapping)
                entries += flattened(inner, f"{place}[{number}]{dot}")
        else:
            entries.append((place, value if isinstance(value, str) else json.dumps(value)))
    return entries

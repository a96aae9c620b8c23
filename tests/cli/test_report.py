"""`bert-squad report`: which files it takes, what it refuses in which words, and that it writes all or nothing."""

import gzip
import json
import re
import shutil

import pytest
from golden_files import golden
from program import run_console
from report.report_files import entry, squad, write_json

V1, V2 = "model/legacy_run/v1", "model/legacy_run/v2"
QUESTIONS = [("q1", "Who?", "Ann and Bob", ["Ann"]), ("q2", "Who else?", "Ann and Bob", ["Bob"])]
PREDICTIONS = {"q1": "Ann", "q2": "and Bob"}
NBEST = {"q1": [entry("Ann", 0.9), entry("Bob", 0.1)], "q2": [entry("and Bob", 0.6), entry("", 0.4)]}
ASKED = "--predict_file=dev.json"


@pytest.fixture
def folder(tmp_path):
    """A run of two questions, and another one."""
    write_json(tmp_path / "dev.json", squad(QUESTIONS, version_2=False))
    for name in ("run", "other"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "predictions.json", PREDICTIONS)
    write_json(tmp_path / "run/nbest_predictions.json", NBEST)
    return tmp_path


def report(folder, *words):
    done = run_console("report", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done


def refusal(folder, *words):
    """What the program says when it refuses; it leaves no report, and nothing under a temporary name."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run_console("report", *words, cwd=folder)
    assert done.returncode == 1, done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("bert-squad report: ")]
    assert line.startswith("bert-squad report: error: ")
    assert "failed while" not in line, "it is an error that is known"
    return line


def test_the_line_at_the_end_and_the_page(folder):
    done = report(folder, "run", ASKED)
    assert done.stdout == "run/report.html: 2 questions, exact 50.00, F1 83.33\n"
    page = (folder / "run/report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert '<b id="exact">50.00</b>' in page
    assert "There is no predictions_offsets.json" in page


def test_it_is_the_same_again_and_replaces_its_own(folder):
    report(folder, "run", ASKED)
    first = (folder / "run/report.html").read_bytes()
    report(folder, "run", ASKED)
    assert (folder / "run/report.html").read_bytes() == first
    report(folder, "run", ASKED, "--compare=other", "--report=run/report.html")
    assert (folder / "run/report.html").read_bytes() != first


@pytest.mark.parametrize("version", [V1, V2])
def test_the_legacy_program_left_all_it_needs(tmp_path, version):
    place = tmp_path / "output"
    shutil.copytree(
        golden(f"{version}/output"), place, ignore=shutil.ignore_patterns("*.tf_record", "model*")
    )
    scores = run_console(
        "evaluate",
        f"--predict_file={golden(f'{version}/dev.json')}",
        f"--predictions={place / 'predictions.json'}",
        "--json",
        *([f"--null_odds={place / 'null_odds.json'}"] if version == V2 else []),
    )
    metrics = json.loads(scores.stdout)
    done = report(tmp_path, "output", f"--predict_file={golden(f'{version}/dev.json')}")
    exact = metrics["exact_match" if version == V1 else "exact"]
    assert done.stdout.endswith(f"exact {exact:.2f}, F1 {metrics['f1']:.2f}\n")
    assert ("Answer or no answer" in (place / "report.html").read_text()) == (version == V2)


def test_the_record_says_which_questions(folder):
    record = {"kind": "bert_squad training", "flags": {}, "scores": {"predict_file": "dev.json"}}
    write_json(folder / "run/run.json", record)
    report(folder, "run")
    sessions = [{"flags": {"predict_file": "dev.json", "max_predict_questions": 1}}]
    write_json(folder / "run/run.json", {"kind": "bert_squad training", "sessions": sessions})
    assert ": 1 questions" in report(folder, "run").stdout
    assert ": 2 questions" in report(folder, "run", ASKED).stdout
    assert ": 1 questions" in report(folder, "run", ASKED, "--max_predict_questions=1").stdout


def test_questions_come_in_any_form(folder):
    report(folder, "run", ASKED)
    expected = (folder / "run/report.html").read_text()
    lines = [
        json.dumps(
            {
                "id": i,
                "question": q,
                "context": c,
                "answers": {"text": golds, "answer_start": [c.index(golds[0])]},
            }
        )
        for i, q, c, golds in QUESTIONS
    ]
    (folder / "dev.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    report(folder, "run", "--predict_file=dev.jsonl.*")
    page = (folder / "run/report.html").read_text()
    rows = re.compile('<script type="application/gzip" id="rows">(.*?)</script>')
    assert rows.search(page)[1] == rows.search(expected)[1]


def test_null_odds_may_be_absent(folder):
    write_json(folder / "dev.json", squad(QUESTIONS))
    report(folder, "run", ASKED)
    page = (folder / "run/report.html").read_text()
    assert "There is no null_odds.json: nothing is said of thresholds." in page
    assert "SQuAD 2.0" in page


def test_an_nbest_file_may_be_absent(folder):
    report(folder, "other", ASKED)
    page = (folder / "other/report.html").read_text()
    assert "There is no nbest_predictions.json" in page
    assert "Calibration" not in page


def test_scores_of_other_predictions_are_told_apart(folder):
    write_json(folder / "run/eval_results.json", {"exact_match": 50.0, "f1": 83.33333333333333})
    report(folder, "run", ASKED)
    assert "has other scores" not in (folder / "run/report.html").read_text()
    write_json(folder / "run/eval_results.json", {"exact_match": 10**400, "f1": None})
    report(folder, "run", ASKED)
    write_json(folder / "run/eval_results.json", {"exact_match": 100.0, "f1": 83.33333333333333})
    report(folder, "run", ASKED)
    assert (
        "eval_results.json has other scores (exact_match 100.00, here 50.00)"
        in (folder / "run/report.html").read_text()
    )


def test_a_comparison_is_on_the_questions_in_common(folder):
    write_json(folder / "other/predictions.json", {"q2": "Bob", "q3": "x"})
    report(folder, "run", ASKED, "--compare=other")
    page = (folder / "run/report.html").read_text()
    assert (
        "The comparison is on the 1 questions that both runs answer; this run answers 2, the other 2." in page
    )
    assert "Scores on the 1 questions that both answer" in page


def test_help(folder):
    assert "Usage: bert-squad report OUTPUT_DIR" in report(folder, "--help").stdout
    assert "bert-squad report: write a page" in run_console("--help").stdout


def test_what_is_wrong_on_the_command_line(folder):
    assert "OUTPUT_DIR is missing" in refusal(folder, ASKED)
    assert "Do not know what to do with 'other'" in refusal(folder, "run", "other", ASKED)
    assert "--compare is empty" in refusal(folder, "run", ASKED, "--compare=")
    assert "gone is no directory" in refusal(folder, "gone", ASKED)
    assert "cannot read the data set gone.json" in refusal(folder, "run", "--predict_file=gone.json").lower()
    assert "check --predict_file" in refusal(folder, "run", "--predict_file=gone.json")
    assert "(run.json names no predict_file); give --predict_file" in refusal(folder, "run")


def test_no_predictions(folder):
    (folder / "run/predictions.json").unlink()
    line = refusal(folder, "run", ASKED)
    assert (
        "There is no predictions.json in run; make it with `run_squad.py --do_predict --output_dir=run`"
        in line
    )


def test_predictions_of_other_questions(folder):
    write_json(folder / "other/predictions.json", {"z9": "Ann"})
    line = refusal(folder, "other", ASKED)
    assert "None of the 2 questions of dev.json has a prediction in other, which answers others (z9)" in line
    line = refusal(folder, "run", ASKED, "--compare=other")
    assert "--compare=other: its predictions are for other questions (z9)" in line
    (folder / "other/predictions.json").unlink()
    assert "There is no predictions.json in other" in refusal(folder, "run", ASKED, "--compare=other")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("predictions.json", "[]", "The predictions run/predictions.json should be an object"),
        (
            "predictions.json",
            '{"q1": 1}',
            "The prediction for question q1 of the predictions run/predictions.json",
        ),
        ("nbest_predictions.json", json.dumps(NBEST)[:50], "run/nbest_predictions.json is not valid JSON"),
        (
            "nbest_predictions.json",
            '{"q1": "Ann"}',
            "Question q1 of the n-best answers run/nbest_predictions.json",
        ),
        (
            "nbest_predictions.json",
            json.dumps({"q1": NBEST["q1"]}),
            "run/nbest_predictions.json lacks 1 of the 2 questions of predictions.json, q2 among them",
        ),
        (
            "nbest_predictions.json",
            json.dumps({**NBEST, "q2": NBEST["q1"]}),
            "The answer to question q2 of predictions.json is not in its list of run/nbest_predictions.json",
        ),
        ("null_odds.json", '{"q1": 0.5}', "run/null_odds.json lacks 1 of the 2 questions"),
        ("null_odds.json", '{"q1": 0.5, "q2": "high"}', "question q2 of the null odds run/null_odds.json"),
        (
            "predictions_offsets.json",
            "[1]",
            "The offsets of predictions run/predictions_offsets.json should be",
        ),
    ],
)
def test_damaged_and_foreign_files(folder, name, content, sentence):
    (folder / "run" / name).write_text(content)
    assert sentence in refusal(folder, "run", ASKED)


def test_what_is_not_ours_is_never_replaced(folder):
    (folder / "run/report.html").write_text("<!doctype html><title>mine</title>")
    assert "run/report.html is there and is no report of this program" in refusal(folder, "run", ASKED)
    assert "is no report of this program" in refusal(folder, "run", ASKED, "--report=dev.json")
    assert "--report=other is a directory" in refusal(folder, "run", ASKED, "--report=other")
    assert "Cannot write gone/x.html" in refusal(folder, "run", ASKED, "--report=gone/x.html")
    report(folder, "run", ASKED, "--report=x.html")
    assert (folder / "run/report.html").read_text() == "<!doctype html><title>mine</title>"


def test_a_vocabulary_that_is_named_must_be_one(folder):
    flags = {"max_seq_length": 32, "doc_stride": 8, "max_query_length": 8, "do_lower_case": True}
    write_json(folder / "run/run.json", {"kind": "bert_squad training", "flags": flags})
    assert "gone.txt" in refusal(folder, "run", ASKED, "--vocab_file=gone.txt")
    report(folder, "run", ASKED, f"--vocab_file={golden('tiny/vocab_uncased.txt')}")
    assert "whether a window can hold the answer" in (folder / "run/report.html").read_text()


def test_a_hostile_record_is_text(folder):
    script = "</script><script>alert(1)</script>"
    record = {
        "kind": "bert_squad training",
        "init_checkpoint": f"a\0b\ud800{script}",
        f"<b>{script}": [None, {"c": 1.5}],
    }
    write_json(folder / "run/run.json", record)
    report(folder, "run", ASKED)
    page = (folder / "run/report.html").read_text(encoding="utf-8")
    assert script not in page
    assert r"a\x00b\ud800&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;[2].c" in page
    assert "\0" not in page

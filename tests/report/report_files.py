"""The files of made-up runs, for reports: questions with hostile texts, their answers, and what a training leaves."""

import json
import subprocess
import sys
from pathlib import Path

from program import environment

SECRET = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
RIGHT_TO_LEFT = "\u202eشارع القاهرة طويل جدا\u202c"
NUL = "a NUL \0 here"
CAT = "😀😀 The black cat saw another cat: </script> \u2028 'quotes' & \"more\". " + SECRET
LONG = "The tower is tall. " * (5_000_000 // 19) + "It was built in 1889 by Eiffel."
NUM_PLAIN = 300

# id, question, passage, right answers, prediction, null odds
HOSTILE = [
    ("cat", "Who saw another cat?", CAT, ["black cat"], "black cat", -5.0),
    ("again", "Whom did it see?", CAT, ["another cat"], "cat", -4.0),
    ("</script><b>", SECRET, CAT, [], SECRET, -3.0),
    ("rtl", "أين الشارع؟", RIGHT_TO_LEFT, ["القاهرة"], "طويل", -2.0),
    ("lone \ud800", "What is here?", NUL, ["NUL \0 here"], "a NUL", -1.0),
    ("lone \udbff", "How many are here?", NUL, ["NUL"], "", 1.0),
    ("tower", "When was it built?", LONG, ["1889"], "1889", -2.5),
    ("spaces", "Where is Rome?", "In  the\n\n middle of\tItaly.", ["Italy"], "middle of Italy", -0.5),
    ("none", "Why is that?", "Nobody knows.", [], "", 3.0),
]


def entry(text, probability, start_logit=1.0, end_logit=2.0):
    return {"text": text, "probability": probability, "start_logit": start_logit, "end_logit": end_logit}


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


def squad(questions, version_2=True):
    """SQuAD's JSON of (id, question, passage, right answers): one paragraph for those of a passage in a row."""
    paragraphs = []
    for qas_id, question, passage, golds, *_ in questions:
        if not paragraphs or paragraphs[-1]["context"] != passage:
            paragraphs.append({"context": passage, "qas": []})
        answers = [{"text": gold, "answer_start": passage.index(gold)} for gold in golds]
        qa = {"id": qas_id, "question": question, "answers": answers}
        paragraphs[-1]["qas"].append(qa | ({"is_impossible": not golds} if version_2 else {}))
    return {"version": "2.0", "data": [{"title": "hostile", "paragraphs": paragraphs}]}


def plain_questions():
    """As many as no list shows at once: half of them right."""
    return [
        (
            f"p{i}",
            f"What is number {i}?",
            f"Number {i} is red or green.",
            ["red"],
            ["red", "green"][i % 2],
            -1.0,
        )
        for i in range(NUM_PLAIN)
    ]


def make_hostile_run(folder: Path) -> Path:
    """A run of version 2 over hostile texts and plain ones, with all files that a report reads, and another run."""
    questions = HOSTILE + plain_questions()
    write_json(folder / "dev.json", squad(questions))
    run, other = folder / "run", folder / "other"
    run.mkdir()
    other.mkdir()
    predictions = {of[0]: of[4] for of in questions}
    write_json(run / "predictions.json", predictions)
    nbest = {
        qas_id: [
            entry(text or "Eiffel", 0.6),
            entry("" if text else "tall", 0.3),
            entry("another\u00a0thing", 0.1),
        ]
        + ([] if text else [entry("", 0.0)])
        for qas_id, text in predictions.items()
    }
    write_json(run / "nbest_predictions.json", nbest)
    write_json(run / "null_odds.json", {of[0]: of[5] for of in questions})
    second_cat = CAT.index("another cat") + len("another ")
    offsets = {
        "again": {"start": second_cat, "end": second_cat + 3},
        "none": None,
        "cat": {"start": 0, "end": 3},
    }
    write_json(run / "predictions_offsets.json", offsets)
    write_json(
        other / "predictions.json", predictions | {"cat": "The black", "again": "another cat", "p1": "red"}
    )
    history = [{"step": step, "exact": 10.0 * step, "f1": 12.0 * step} for step in (1, 2, 3)]
    (run / "eval_history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    return folder


def write_report(*words, cwd):
    """Run `bert-squad report` as a process of its own, which needs no TensorFlow; return what it says."""
    command = [sys.executable, "-m", "bert_squad", "report", *words]
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done

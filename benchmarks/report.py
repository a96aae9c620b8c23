"""How large a report is, and how long it takes to write and to open, by the number of questions.

    python benchmarks/report.py --questions=10570 --chromium=/usr/bin/chromium

Passages and answers are made up, of the sizes of SQuAD's. Without --chromium, which needs the package playwright,
nothing is opened.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("questions", 10570, "Number of questions.")
flags.DEFINE_string("chromium", None, "The browser.")
flags.DEFINE_string("folder", None, "Where files are left; default: nowhere.")
flags.DEFINE_boolean("version_2", False, "A third of the questions have no answer.")

ROOT = Path(__file__).resolve().parent.parent
_PER_PASSAGE, _WORDS, _ANSWERS, _NBEST = 5, 123, 3, 20
_KINDS = ("What", "Who", "When", "Where", "Which", "Why", "How", "How many", "In what year")


def make_files(folder: Path, num_questions: int, version_2: bool) -> None:
    """Write dev.json and the files of a run."""
    generator = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    vocabulary = [
        "".join(generator.choices(letters, range(26, 0, -1), k=generator.randint(1, 11)))
        for _ in range(30000)
    ]
    paragraphs: list[dict[str, Any]] = []
    predictions, nbest, odds = {}, {}, {}
    for number in range(num_questions):
        if number % _PER_PASSAGE == 0:
            words = generator.choices(vocabulary, k=generator.randint(_WORDS // 2, _WORDS * 3 // 2))
            paragraphs.append({"context": " ".join(words), "qas": []})

        def span(words: list[str] = words) -> tuple[int, str]:
            first = generator.randrange(len(words) - 8)
            text = " ".join(words[first : first + generator.randint(1, 8)])
            return len(" ".join(words[:first])) + (first > 0), text

        gold = span()
        is_impossible = version_2 and number % 3 == 0
        qas_id = f"{generator.getrandbits(96):024x}"
        question = " ".join([generator.choice(_KINDS), *generator.choices(vocabulary, k=9)]) + "?"
        answers = [{"answer_start": gold[0], "text": gold[1]}] * (0 if is_impossible else _ANSWERS)
        qa = {"id": qas_id, "question": question, "answers": answers}
        paragraphs[-1]["qas"].append(qa | ({"is_impossible": is_impossible} if version_2 else {}))
        texts = list(
            dict.fromkeys(
                [gold[1] if generator.random() < 0.6 else span()[1], *(span()[1] for _ in range(_NBEST))]
            )
        )
        shares = sorted((generator.random() ** 8 for _ in texts), reverse=True)
        nbest[qas_id] = [
            {
                "text": text,
                "probability": share / sum(shares),
                "start_logit": generator.gauss(0, 4),
                "end_logit": generator.gauss(0, 4),
            }
            for text, share in zip(texts[:_NBEST], shares, strict=False)
        ]
        odds[qas_id] = generator.gauss(2 if is_impossible else -3, 3)
        predictions[qas_id] = "" if version_2 and odds[qas_id] > 0 else texts[0]
    (folder / "dev.json").write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    files = {"predictions": predictions, "nbest_predictions": nbest} | (
        {"null_odds": odds} if version_2 else {}
    )
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=4))


def open_in_chromium(path: Path) -> str:
    """Say how long it takes to open a report, beside an empty page."""
    from playwright.sync_api import sync_playwright

    empty = path.with_name("empty.html")
    empty.write_text("<!doctype html><title>empty</title>")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=FLAGS.chromium, args=["--no-sandbox"])
        page = browser.new_page()
        times = []
        for url in (empty, empty, path):
            begin = time.monotonic()
            page.goto(url.as_uri())
            if url == path:
                page.wait_for_selector("html[data-ready]")
            times.append(time.monotonic() - begin)
        marks = page.evaluate(
            "performance.getEntriesByType('mark').map(m => [m.name, Math.round(m.startTime)])"
        )
        browser.close()
    shown = ", ".join(f"{name} after {milliseconds} ms" for name, milliseconds in marks)
    return f"opened in {times[-1]:.2f} s (an empty page: {times[1]:.2f} s): {shown}"


def measure(folder: Path) -> None:
    """Make the files, write the report, open it, and print what that took."""
    make_files(folder, FLAGS.questions, FLAGS.version_2)
    command = [
        sys.executable,
        "-m",
        "bert_squad",
        "report",
        str(folder),
        f"--predict_file={folder / 'dev.json'}",
    ]
    begin = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True)
    seconds = time.monotonic() - begin
    report = folder / "report.html"
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        f"{FLAGS.questions} questions: {report.stat().st_size / 1e6:.1f} MB, written in {seconds:.1f} s with "
        f"{memory:.1f} GB of memory"
    )
    if FLAGS.chromium:
        print(open_in_chromium(report))


def main(_: list[str]) -> None:
    """Run the program."""
    if FLAGS.folder:
        Path(FLAGS.folder).mkdir(parents=True, exist_ok=True)
        measure(Path(FLAGS.folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder))


if __name__ == "__main__":
    app.run(main)

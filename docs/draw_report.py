"""Draw docs/report.png: the page of `bert-squad report`, as Chromium shows it.

    python docs/draw_report.py --report=early/report.html

The picture in docs/ is of the embedded example after four epochs, when two in five answers are still wrong:

    X=examples/quickstart
    python run_squad.py --output_dir=early --vocab_file=$X/vocab.txt --bert_config_file=$X/bert_config.json --do_train \
      --train_file=$X/train.json --do_predict --do_eval --predict_file=$X/dev.json $(cat $X/flags.txt) \
      --num_train_epochs=4 --eval_steps=100 --eval_max_questions=300 --summary_steps=10
    bert-squad report early
"""

import shutil
from pathlib import Path

from absl import app, flags
from playwright.sync_api import sync_playwright

FLAGS = flags.FLAGS
flags.DEFINE_string("report", "early/report.html", "The page.")
flags.DEFINE_string("picture", "docs/report.png", "File to write.")
flags.DEFINE_integer("width", 1100, "Of the window, in pixels.")
flags.DEFINE_integer("height", 1000, "Of the window.")
flags.DEFINE_boolean("dark", False, "As it is in the dark.")


def main(_: list[str]) -> None:
    """Draw the picture."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": FLAGS.width, "height": FLAGS.height},
            color_scheme="dark" if FLAGS.dark else "light",
        )
        page.goto(Path(FLAGS.report).resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        page.screenshot(path=FLAGS.picture)
        browser.close()


if __name__ == "__main__":
    app.run(main)

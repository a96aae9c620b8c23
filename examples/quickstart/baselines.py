"""Score readers that do not read, on the embedded example: they show that its passages must be read.

    python examples/quickstart/baselines.py

- *ignores the question*: always takes the fact at the same place of the passage; the best of the four places.
- *nearest of the right type*: looks what kind of thing is asked for (a town, a year, a person, a number) and takes
  the one of that kind that stands nearest to the person asked about.
"""

import json
import re
from pathlib import Path

from generate import FACTS_A_PASSAGE, THEMES

from bert_squad.answers.metrics import evaluate

HERE = Path(__file__).resolve().parent

_TITLES = {"Where": "Towns", "When": "Years", "Who": "People", "How": "Farms"}


def candidates(context: str, title: str) -> list[tuple[int, str]]:
    """Return (index of the word, text) of each value of a theme in a passage, in order."""
    values = next(theme.values for theme in THEMES if theme.title == title)
    words = re.findall(r"\w+", context)
    # The person's own name stands first and is no rival.
    return [(index, word) for index, word in enumerate(words) if word in values and index >= 2]


def at_place(context: str, title: str, place: int) -> str:
    """Answer with the candidate at a place, counted from 0, whatever the question is."""
    return candidates(context, title)[place][1]


def nearest(context: str, question: str) -> str:
    """Answer with the candidate of the right type nearest to the person, named or meant."""
    title = next(title for word, title in _TITLES.items() if word in question.split())
    mentions = [0, *(i for i, word in enumerate(re.findall(r"\w+", context)) if word in ("She", "He"))]
    return min(
        candidates(context, title), key=lambda found: min(abs(found[0] - place) for place in mentions)
    )[1]


def baselines(dataset: dict) -> dict[str, float]:
    """Return the exact match, in percent, of each baseline."""
    by_place: list[dict[str, str]] = [{} for _ in range(FACTS_A_PASSAGE)]
    by_distance = {}
    for article in dataset["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                for place, answers in enumerate(by_place):
                    answers[qa["id"]] = at_place(paragraph["context"], article["title"], place)
                by_distance[qa["id"]] = nearest(paragraph["context"], qa["question"])
    return {
        "ignores the question": max(evaluate(dataset, answers)["exact_match"] for answers in by_place),
        "nearest of the right type": evaluate(dataset, by_distance)["exact_match"],
    }


if __name__ == "__main__":
    for name, exact_match in baselines(json.loads((HERE / "dev.json").read_text(encoding="utf-8"))).items():
        print(f"{name}: {exact_match:.1f} exact match")

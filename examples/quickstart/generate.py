"""Write the embedded example: passages about people, questions about them, a vocabulary.

    python examples/quickstart/generate.py

Each passage tells four facts of one kind about a person: four towns, four years, four people or four numbers. Only
the words beside a fact say which of the four a question asks for, so a passage must be read to be answered. No person
of a dev passage occurs in a training passage.
"""

import dataclasses
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = 2026
TRAIN_PASSAGES = 5000
DEV_PASSAGES = 250
FACTS_A_PASSAGE = 4
# Small enough to be trained from random weights in minutes. Larger initial weights than BERT's 0.02 help that.
MODEL = {
    "attention_probs_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 64,
    "initializer_range": 0.1,
    "intermediate_size": 256,
    "max_position_embeddings": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
}

WOMEN = "Ada Agnes Alma Anna Berta Clara Dora Edith Ella Emma Flora Greta Helen Ida Irene Jane Laura Lena Lucy Martha"
MEN = "Adam Albert Anton Arthur Bruno Carl David Edgar Emil Felix Frank Georg Hugo Isaac Jacob John Julius Karl Leo Max"
FAMILIES = (
    "Abel Bauer Berg Blake Brandt Brook Carter Cole Dahl Doyle Falk Field Fischer Ford Frost Gray Hale Hill Holm Hunt "
    "Keller Kent Lang Lind Marsh Moss Noble Olsen Page Pike Price Reed Roth Shaw Stone Vogel Wade Ward Weber Wolf"
)
TOWNS = (
    "Athens Basel Bergen Berlin Bern Bonn Bremen Bristol Cadiz Cork Dover Dublin Florence Geneva Genoa Ghent Hamburg "
    "Leeds Lisbon London Lyon Madrid Malaga Milan Munich Naples Nice Oslo Oxford Paris Porto Prague Riga Rome Seville "
    "Turin Venice Vienna Warsaw York"
)


@dataclasses.dataclass(frozen=True)
class Theme:
    """Facts whose values are of one type, so that each is a rival of the others.

    Attributes:
      title: title of the SQuAD article.
      values: all possible values.
      facts: (what follows the person's name, the question), more of them than a passage tells.
    """

    title: str
    values: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


THEMES = (
    Theme(
        "Towns",
        tuple(TOWNS.split()),
        (
            ("was born in {value}", "Where was {name} born?"),
            ("went to school in {value}", "Where did {name} go to school?"),
            ("worked in {value}", "Where did {name} work?"),
            ("bought a house in {value}", "Where did {name} buy a house?"),
            ("died in {value}", "Where did {name} die?"),
        ),
    ),
    Theme(
        "Years",
        tuple(map(str, range(1840, 1900))),
        (
            ("left school in {value}", "When did {name} leave school?"),
            ("crossed the sea in {value}", "When did {name} cross the sea?"),
            ("opened a shop in {value}", "When did {name} open a shop?"),
            ("wrote a very long book in {value}", "When did {name} write a book?"),
            ("retired in {value}", "When did {name} retire?"),
        ),
    ),
    Theme(
        "People",
        tuple(f"{WOMEN} {MEN}".split()),
        (
            ("learned from {value}", "Who taught {name}?"),
            ("lived next to {value}", "Who lived next to {name}?"),
            ("painted with {value}", "Who painted with {name}?"),
            ("wrote many letters to {value}", "Who got letters from {name}?"),
            ("sold an old horse to {value}", "Who bought the horse of {name}?"),
        ),
    ),
    Theme(
        "Farms",
        tuple(map(str, range(2, 60))),
        (
            ("kept {value} goats", "How many goats did {name} keep?"),
            ("planted {value} trees", "How many trees did {name} plant?"),
            ("was the owner of {value} fields", "How many fields did {name} own?"),
            ("gave work to {value} people", "How many people worked for {name}?"),
            ("sold {value} barrels", "How many barrels did {name} sell?"),
        ),
    ),
)


def write_passage(theme: Theme, name: str, pronoun: str, num_questions: int, rng: random.Random) -> dict:
    """Tell four facts about a person, and ask for some of them.

    Args:
      theme: what the facts are about.
      name: first and family name.
      pronoun: "She" or "He".
      num_questions: how many are asked for. If not all four, the first facts of the theme are asked for more often
        than the last: a model that sees all equally often takes very long to find out that the words beside a
        value matter at all.
      rng: decides all choices.

    Returns:
      A SQuAD paragraph without question ids.
    """
    facts = rng.sample(theme.facts, FACTS_A_PASSAGE)
    values = rng.sample([value for value in theme.values if value not in name.split()], FACTS_A_PASSAGE)
    second_sentence = rng.choice((1, 2, 3))
    context, questions = name, []
    for place, ((clause, question), value) in enumerate(zip(facts, values, strict=True)):
        if place == second_sentence:
            context += f". {pronoun}"
        elif place in (second_sentence - 1, FACTS_A_PASSAGE - 1) and place:
            context += " and"
        elif place:
            context += ","
        context += " "
        answer = {"text": value, "answer_start": len(context) + clause.index("{value}")}
        questions.append({"question": question.replace("{name}", name), "answers": [answer]})
        context += clause.replace("{value}", value)
    context += "."
    while len(questions) > num_questions:
        dropped = rng.choices(range(len(facts)), [theme.facts.index(fact) + 1 for fact in facts])[0]
        del facts[dropped], questions[dropped]
    return {"context": context, "qas": questions}


def write_dataset(
    label: str, passages: int, num_questions: int, allowed: Callable[[str], bool], rng: random.Random
) -> dict:
    """Write passages on all themes in turn.

    Args:
      label: begins the question ids.
      passages: number of passages.
      num_questions: questions a passage.
      allowed: says which names may be used.
      rng: decides all choices.

    Returns:
      A SQuAD 1.1 data set, one article a theme.
    """
    names = [
        (f"{given} {family}", pronoun)
        for pronoun, all_given in (("She", WOMEN), ("He", MEN))
        for given in all_given.split()
        for family in FAMILIES.split()
        if allowed(f"{given} {family}")
    ]
    paragraphs: list[list[dict]] = [[] for _ in THEMES]
    for number in range(passages):
        article = number % len(THEMES)
        paragraph = write_passage(THEMES[article], *rng.choice(names), num_questions, rng)
        for index, qa in enumerate(paragraph["qas"]):
            qa["id"] = f"{label}-{number}-{index}"
        paragraphs[article].append(paragraph)
    return {
        "version": "1.1",
        "data": [
            {"title": theme.title, "paragraphs": written}
            for theme, written in zip(THEMES, paragraphs, strict=True)
        ],
    }


def is_dev_name(name: str) -> bool:
    """Say whether a person is kept for dev passages: every eighth combination of the two names."""
    given, family = name.split()
    return (f"{WOMEN} {MEN}".split().index(given) + FAMILIES.split().index(family)) % 8 == 0


def texts_of(dataset: dict) -> Iterable[str]:
    """Yield all passages and questions."""
    for article in dataset["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"]
            yield from (qa["question"] for qa in paragraph["qas"])


def learn_vocabulary(texts: Iterable[str]) -> list[str]:
    """Learn a lower-case WordPiece vocabulary with TensorFlow Text's own tool."""
    import tensorflow as tf
    from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

    return bert_vocab_from_dataset.bert_vocab_from_dataset(
        tf.data.Dataset.from_tensor_slices(list(texts)).batch(1000),
        vocab_size=600,
        reserved_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        bert_tokenizer_params={"lower_case": True},
    )


def main() -> None:
    """Write train.json, dev.json, vocab.txt and bert_config.json beside this file."""
    rng = random.Random(SEED)
    train = write_dataset("train", TRAIN_PASSAGES, 2, lambda name: not is_dev_name(name), rng)
    dev = write_dataset("dev", DEV_PASSAGES, FACTS_A_PASSAGE, is_dev_name, rng)
    for name, dataset in (("train.json", train), ("dev.json", dev)):
        (HERE / name).write_text(json.dumps(dataset, separators=(",", ":")) + "\n", encoding="utf-8")
    vocabulary = learn_vocabulary(texts_of(train))
    (HERE / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = {**MODEL, "vocab_size": len(vocabulary)}
    (HERE / "bert_config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()

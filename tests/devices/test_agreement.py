"""All processes of a cluster have to be told the same; what that is, and how it is said."""

import dataclasses
import json

import pytest
from tiny_config import TINY

from bert_squad.config import SquadConfig
from bert_squad.devices.agreement import check_same, describe_process
from bert_squad.devices.cluster import Cluster, Task
from bert_squad.errors import ConfigError

VOCAB = {"[UNK]": 0, "a": 1}
CHOICES = {"dtype": "float32", "pad_to": "max", "jit_compile": False}
# Each machine's own affair, or the chief's alone; and files, which are compared by what they hold.
OWN = {
    "bert_config_file",
    "init_checkpoint",
    "output_dir",
    "log_file",
    "export_dir",
    "vocab_file",
    "train_file",
    "predict_file",
}


@pytest.fixture
def config(tmp_path):
    for name in ("train.json", "dev.json"):
        (tmp_path / name).write_text("{}")
    return SquadConfig(
        bert_config_file="c",
        vocab_file="v",
        output_dir="o",
        do_train=True,
        train_file=str(tmp_path / "train.json"),
        do_predict=True,
        predict_file=str(tmp_path / "dev.json"),
    )


def described(config, model=TINY, vocab=VOCAB, choices=CHOICES):
    return describe_process(config, model, vocab, choices)


def another(value):
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else "another"


def test_every_flag_is_described_but_what_is_each_machines_own(config):
    first = described(config)
    for field in dataclasses.fields(SquadConfig):
        if field.name in OWN or field.name in CHOICES:
            continue
        changed = dataclasses.replace(config, **{field.name: another(getattr(config, field.name))})
        different = {key for key in first if described(changed).get(key) != first[key]}
        assert f"--{field.name}" in different, field.name
    own = dataclasses.replace(
        config, bert_config_file="x", init_checkpoint="x", output_dir="x", vocab_file="x"
    )
    assert described(own) == first


def test_choices_model_vocabulary_and_data_are_described(config, tmp_path):
    first = described(config)

    def changed(**changes):
        return {key for key, value in described(config, **changes).items() if value != first[key]}

    assert changed(choices={**CHOICES, "dtype": "bfloat16"}) == {"--dtype"}
    assert changed(vocab={"[UNK]": 1, "a": 0}) == {"the vocabulary"}
    assert changed(model=dataclasses.replace(TINY, hidden_dropout_prob=0.5)) == {
        "`hidden_dropout_prob` of the model"
    }
    (tmp_path / "train.json").write_text("{ }")
    assert changed() == {"the training data"}
    (tmp_path / "dev.json").write_text("{ }")
    assert changed() == {"the training data", "the questions"}


def test_the_same_data_elsewhere_is_the_same(config, tmp_path):
    (tmp_path / "copy.json").write_text("{}")
    assert described(dataclasses.replace(config, train_file=str(tmp_path / "copy.json"))) == described(config)


class Told:
    """The devices of a chief, whose other workers have told what is given."""

    def __init__(self, *of_others):
        tasks = tuple(Task("worker", index, f"host{index}:1") for index in range(1 + len(of_others)))
        self.cluster, self.of_others = Cluster(tasks, tasks[0]), of_others

    def texts_of_all(self, text):
        return [text, *map(json.dumps, self.of_others)]


def test_who_differs_is_named_and_in_what():
    own = {"--seed": "1", "the vocabulary": "sha256 a"}
    check_same(Told(own, own), own)
    with pytest.raises(ConfigError) as caught:
        check_same(Told(own, {"--seed": "2", "the vocabulary": "sha256 a", "--new": "0"}), own)
    assert str(caught.value) == (
        "The workers were not told the same as worker 0 (host0:1), the chief: worker 2 (host2:1): --seed (1 in the "
        "chief, 2 there), --new (None in the chief, 0 there). Give all of them the same flags and files."
    )

"""What all processes of a cluster have to agree on: compared when they start, before anything is written."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bert_squad import data_files
from bert_squad.bert_config import BertConfig
from bert_squad.config import SquadConfig
from bert_squad.devices.replicas import Devices
from bert_squad.errors import ConfigError

_READ_BY_ALL = {
    "vocab_file": "the vocabulary",
    "train_file": "the training data",
    "predict_file": "the questions",
}
# Where things lie is each machine's own affair, and some is used by the chief alone.
_NOT_COMPARED = ("bert_config_file", "init_checkpoint", "output_dir", "export_dir", "log_file", *_READ_BY_ALL)


def describe_process(
    config: SquadConfig, bert_config: BertConfig, vocab: Mapping[str, int], choices: Mapping[str, Any]
) -> dict[str, str]:
    """Describe a process by all that has to be the same in the others: what it is → how it is here.

    Args:
      config: the run.
      bert_config: the model.
      vocab: the vocabulary, as it was read.
      choices: those of `bert_squad.compute_options`, by name.
    """
    import tensorflow as tf

    flags = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    described = {
        f"--{name}": repr(value) for name, value in {**flags, **choices}.items() if name not in _NOT_COMPARED
    }
    described |= {f"`{name}` of the model": repr(value) for name, value in bert_config.to_dict().items()}
    described["the vocabulary"] = _digest(json.dumps(sorted(vocab.items())).encode())
    answers = config.do_predict or config.eval_steps
    for flag, what in (("train_file", config.do_train), ("predict_file", answers)):
        if what:
            digest = data_files.digest_of(getattr(config, flag))
            described[_READ_BY_ALL[flag]] = "a pipe" if digest is None else _shown(digest)
    return described | {"TensorFlow": tf.__version__}


def _digest(content: bytes) -> str:
    return _shown(hashlib.sha256(content).hexdigest())


def _shown(sha256: str) -> str:
    return f"sha256 {sha256[:12]}..."


def check_same(devices: Devices, description: Mapping[str, str]) -> None:
    """Compare the processes of a cluster with the chief; all of them find the same.

    Args:
      devices: of several processes.
      description: of this one, from `describe_process`.

    Raises:
      ConfigError: naming the processes that differ, and in what.
    """
    assert devices.cluster is not None
    of_chief, *of_others = map(json.loads, devices.texts_of_all(json.dumps(dict(description))))
    different = [
        f"{task}: {', '.join(found)}"
        for task, of_other in zip(devices.cluster.tasks[1:], of_others, strict=True)
        if (found := differences(of_chief, of_other))
    ]
    if different:
        raise ConfigError(
            f"The workers were not told the same as {devices.cluster.chief}, the chief: {'; '.join(different)}. Give "
            "all of them the same flags and files."
        )


def differences(of_chief: Mapping[str, str], of_another: Mapping[str, str]) -> list[str]:
    """Say in what two processes differ.

    >>> differences({"--seed": "1", "the vocabulary": "a"}, {"--seed": "2", "the vocabulary": "a"})
    ['--seed (1 in the chief, 2 there)']
    """
    return [
        f"{what} ({of_chief.get(what)} in the chief, {of_another.get(what)} there)"
        for what in {**of_chief, **of_another}
        if of_chief.get(what) != of_another.get(what)
    ]

"""The cluster that TF_CONFIG describes, the environment variable that cluster managers set. No TensorFlow here."""

import dataclasses
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from bert_squad.errors import ConfigError
from bert_squad.json_files import parse_json

VARIABLE = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
_JOBS = ("chief", "worker")  # in the order of replicas: `multi_worker_util.id_in_cluster`
_ADDRESS = re.compile(r"(\[[^\s/\[\]]+\]|[^\s/:\[\]]+):(?P<port>[0-9]{1,5})")  # [::1]:2222 or host:2222


@dataclasses.dataclass(frozen=True)
class Task:
    """One process of a cluster.

    Attributes:
      job: "chief" or "worker".
      index: its number within that job, from 0.
      address: where it listens, "host:port".
    """

    job: str
    index: int
    address: str

    def __str__(self) -> str:
        return f"{self.job} {self.index} ({self.address})"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train together.

    Attributes:
      tasks: all of them, in the order in which TensorFlow numbers their replicas: the chief, then the workers.
      own: the one that this process is.
    """

    tasks: tuple[Task, ...]
    own: Task

    @property
    def chief(self) -> Task:
        """The one that writes and prints; where no task is named so, it is worker 0."""
        return self.tasks[0]

    @property
    def is_chief(self) -> bool:
        """Whether this process is it."""
        return self.own == self.chief

    @property
    def peers(self) -> tuple[Task, ...]:
        """All tasks but this process."""
        return tuple(task for task in self.tasks if task != self.own)


def cluster_is_set(environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether TF_CONFIG describes anything, right or wrong."""
    return bool(environ.get(VARIABLE, "").strip())


def read_cluster(environ: Mapping[str, str] = os.environ) -> Cluster:
    """Return the cluster that TF_CONFIG describes.

    Args:
      environ: the environment variables.

    Raises:
      ConfigError: when it is not set, or describes no cluster of one chief and workers that this process is part of.
    """
    if not cluster_is_set(environ):
        raise ConfigError(
            f"--distribution_strategy=multi_worker needs the environment variable {VARIABLE}, which names all workers "
            f"and which of them this is, such as {_EXAMPLE}."
        )
    content = os.fsencode(environ[VARIABLE])
    value = parse_json(content, f"The environment variable {VARIABLE}", ConfigError)
    if not isinstance(value, dict):
        raise ConfigError(f"{VARIABLE} must be a JSON object such as {_EXAMPLE}.")
    tasks = _tasks(_object(value, "cluster"))
    return Cluster(tasks, _own(_object(value, "task"), tasks))


def check_address_is_free(task: Task) -> None:
    """Refuse an address where another process listens, before TensorFlow complains of it in lines of its own.

    Raises:
      ConfigError: saying why this process, which is the task, cannot listen there.
    """
    port = int(task.address.rpartition(":")[2])
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise ConfigError(
            f"{task} cannot serve at its address ({os.strerror(error.errno or 0)}); is it running twice?"
        ) from error


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    part = value.get(key)
    if not isinstance(part, dict):
        problem = f'has no "{key}"' if part is None else f'has a "{key}" that is no JSON object'
        raise ConfigError(f"{VARIABLE} {problem}; it looks like {_EXAMPLE}.")
    return part


def _tasks(cluster: dict[str, Any]) -> tuple[Task, ...]:
    """Return all tasks of a cluster, checked, in the order of their replicas."""
    for job, addresses in cluster.items():
        if not isinstance(addresses, list):
            raise ConfigError(f'{VARIABLE} must list the addresses of "{job}", such as ["host0:2222"].')
        if addresses and job not in _JOBS:
            raise _not_needed(f'{VARIABLE} lists tasks of "{job}"')
    tasks = [Task(job, i, address) for job in _JOBS for i, address in enumerate(cluster.get(job, []))]
    if not tasks:
        raise ConfigError(f"The cluster of {VARIABLE} lists no worker; it looks like {_EXAMPLE}.")
    num_chiefs = sum(task.job == "chief" for task in tasks)
    if num_chiefs > 1:
        raise ConfigError(f"{VARIABLE} lists {num_chiefs} chiefs; one writes, so there can be one only.")
    _check_addresses(tasks)
    return tuple(tasks)


def _not_needed(problem: str) -> ConfigError:
    return ConfigError(
        f"{problem}; a run consists of a chief and workers. Parameter servers (ps) and evaluators: neither is needed "
        "here."
    )


def _check_addresses(tasks: list[Task]) -> None:
    owners: dict[str, Task] = {}
    for task in tasks:
        address = task.address
        parts = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if parts is None or not 1 <= int(parts["port"]) < 1 << 16:
            raise ConfigError(
                f"{VARIABLE}: the address of {task.job} {task.index} must be host:port, not {address!r}."
            )
        other = owners.setdefault(address.lower(), task)
        if other is not task:
            raise ConfigError(
                f"{VARIABLE} gives {other.job} {other.index} and {task.job} {task.index} the same address, {address}."
            )


def _own(task: dict[str, Any], tasks: tuple[Task, ...]) -> Task:
    """Return the task that this process is."""
    job, index = task.get("type"), task.get("index")
    if not isinstance(job, str):
        raise ConfigError(f'The "task" of {VARIABLE} has no "type"; it looks like {_EXAMPLE}.')
    if job not in _JOBS:
        raise _not_needed(f'{VARIABLE} makes this process a task of "{job}"')
    number = _number(index)
    own = next((task for task in tasks if (task.job, task.index) == (job, number)), None)
    if own is None:
        listed = ", ".join(map(str, tasks))
        raise ConfigError(
            f"{VARIABLE} makes this process {job} {number}, and its cluster lists only {listed}."
        )
    return own


def _number(index: Any) -> int:
    """Return the index of a task, which Kubeflow writes as a text."""
    if isinstance(index, str) and re.fullmatch("[0-9]{1,9}", index):
        return int(index)
    if isinstance(index, int) and not isinstance(index, bool):
        return index
    raise ConfigError(f'The "index" of the "task" of {VARIABLE} must be a whole number, not {index!r}.')

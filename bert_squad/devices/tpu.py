"""Open a TPU: find it by its name, connect to it, and use as many of its cores as a run asks for."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from bert_squad.config import SquadConfig
from bert_squad.errors import ConfigError, first_line
from bert_squad.interruption import end_process, heed_signals_again


def open_tpu_strategy(config: SquadConfig) -> tf.distribute.Strategy:
    """Connect to the TPU that the flags name, and start it. What was on it before is lost.

    Args:
      config: `tpu_name`, or without it `master`, names the TPU: a name of Google Cloud, which `tpu_zone` and
        `gcp_project` go with; an address, grpc://host:port; or "local", on the TPU's own machine. `num_tpu_cores` of
        its cores are used. For `cluster_timeout` seconds it is waited until somebody answers, and as long again for
        the start; then the process ends.

    Returns:
      A strategy of one replica a core.

    Raises:
      ConfigError: when there is no such TPU, nobody answers, or it has fewer cores.

    Source: `main` of the legacy run_squad.py, whose resolver, made of `tpu_name`, had precedence over `master` too.
    """
    try:
        return _opened(config)
    except ConfigError:
        raise
    except Exception as error:  # of TensorFlow, urllib, or one of the packages that know Google's accounts
        what_to_check = (
            "is this its own machine, and TensorFlow the build for TPUs (pip install tensorflow-tpu)?"
            if _name_of(config) == "local"
            else "are --tpu_name, --tpu_zone and --gcp_project right, and is the TPU running?"
        )
        raise ConfigError(
            f"The {_tpu_of(config)} cannot be opened ({first_line(error)}); {what_to_check}"
        ) from error


def _opened(config: SquadConfig) -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
        tpu=_name_of(config), zone=config.tpu_zone, project=config.gcp_project
    )
    # "local" has no addresses, and nothing to connect to.
    addresses = resolver.cluster_spec().as_dict().get(resolver.task_type, [])
    _wait_for(addresses, config)
    with _no_longer_than(config):
        if addresses:
            tf.config.experimental_connect_to_cluster(resolver)
        topology = tf.tpu.experimental.initialize_tpu_system(resolver)
    assignment = _assignment(topology, config)
    return tf.distribute.TPUStrategy(resolver, experimental_device_assignment=assignment)


def _wait_for(addresses: list[str], config: SquadConfig) -> None:
    """Wait until somebody listens at each address, host:port; TensorFlow would wait without end."""
    deadline = time.monotonic() + config.cluster_timeout
    for address in addresses:
        host, _, port = address.rpartition(":")
        while True:
            left = deadline - time.monotonic()
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=max(left, 1.0)).close()
                break
            except OSError as error:
                if left <= _SECONDS_BETWEEN_TRIES:
                    raise ConfigError(
                        f"The {_tpu_of(config)}: nobody answers at {address} within {config.cluster_timeout:g} s "
                        f"({first_line(error)}); is the TPU running, or its address wrong? --cluster_timeout waits "
                        "longer."
                    ) from error
            time.sleep(_SECONDS_BETWEEN_TRIES)


_SECONDS_BETWEEN_TRIES = 1.0


@contextlib.contextmanager
def _no_longer_than(config: SquadConfig) -> Iterator[None]:
    """End the process when the block takes longer than `cluster_timeout`: nothing else ends what TensorFlow does in it.

    Signals are heeded after the block too, though TensorFlow puts its own handler over ours.
    """
    sentence = (
        f"The {_tpu_of(config)} takes longer than {config.cluster_timeout:g} s to start; is there a TPU at that "
        "address? --cluster_timeout waits longer."
    )
    timer = threading.Timer(config.cluster_timeout, end_process, [sentence])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        heed_signals_again()


def _assignment(
    topology: tf.tpu.experimental.Topology, config: SquadConfig
) -> tf.tpu.experimental.DeviceAssignment | None:
    """Return which cores are used; None for all."""
    wanted, there = config.num_tpu_cores, topology.num_tasks * topology.num_tpus_per_task
    if wanted > there:
        raise ConfigError(
            f"--num_tpu_cores={wanted}, but the {_tpu_of(config)} has {there}; give --num_tpu_cores={there}."
        )
    if wanted == there:
        return None
    logging.info("Using %d of the %d cores of the %s (--num_tpu_cores).", wanted, there, _tpu_of(config))
    return tf.tpu.experimental.DeviceAssignment.build(topology, num_replicas=wanted)


def _name_of(config: SquadConfig) -> str | None:
    return config.tpu_name or config.master


def _tpu_of(config: SquadConfig) -> str:
    """Return what the flags say of the TPU, for messages."""
    name = f"--tpu_name={config.tpu_name}" if config.tpu_name else f"--master={config.master}"
    zone = f", zone {config.tpu_zone}" if config.tpu_zone else ""
    project = f", project {config.gcp_project}" if config.gcp_project else ""
    return f"TPU of {name}{zone}{project}"

"""Open the devices that a run asks for."""

import os

import tensorflow as tf
from absl import logging

from bert_squad.compute_options import TENSORFLOAT32, ComputeOptions
from bert_squad.config import SquadConfig
from bert_squad.devices.cluster import check_address_is_free, cluster_is_set, read_cluster
from bert_squad.devices.gpus import prepare_gpus
from bert_squad.devices.joining import interruptible_joining
from bert_squad.devices.peers import PeerWatch, listed
from bert_squad.devices.replicas import Devices
from bert_squad.devices.tpu import open_tpu_strategy
from bert_squad.errors import ConfigError, LostWorkerError, first_line
from bert_squad.interruption import end_process

_SECONDS_TO_FIND_THE_LOST = 5.0


def open_devices(config: SquadConfig, compute: ComputeOptions) -> Devices:
    """Open what a run computes on; before anything else uses TensorFlow, which then has its devices for good.

    Args:
      config: the run.
      compute: its choices of computation.

    Raises:
      ConfigError: when a batch cannot be shared by these devices, when `TF_CONFIG` or the name of a TPU is wrong, or
        when TensorFlow has its devices already.
    """
    if config.strategy != "multi_worker" and cluster_is_set(os.environ):
        logging.info(
            "TF_CONFIG is set, and ignored, since --distribution_strategy is %s; multi_worker trains with it.",
            config.strategy,
        )
    prepare_gpus(tensorfloat32=compute.dtype == TENSORFLOAT32, repeatable=config.do_train)
    if logging.get_verbosity() < logging.DEBUG:
        tf.get_logger().setLevel("WARNING")  # strategies tell of their inner workings there
    devices = _OPENERS[config.strategy](config)
    _check_compiled(config, compute, devices)
    _check_shared(config, devices)
    return devices


def _open_one_device(config: SquadConfig) -> Devices:
    gpus = tf.config.list_physical_devices("GPU")
    return Devices(description=_name(gpus[0]) if gpus else _CPU)


def _name(gpu: tf.config.PhysicalDevice) -> str:
    return tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)


_CPU = f"the CPU ({os.cpu_count()} cores)"


def _open_mirrored(config: SquadConfig) -> Devices:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and config.num_logical_devices > 1:
        raise ConfigError(
            f"--num_logical_devices={config.num_logical_devices} cuts the CPU into devices, and this machine has "
            f"{len(gpus)} GPUs; leave it out, or hide them with CUDA_VISIBLE_DEVICES=-1."
        )
    names = [f"GPU:{index}" for index in range(len(gpus))] or _logical_cpus(config.num_logical_devices)
    if len(names) == 1:
        logging.info(
            "--distribution_strategy=mirrored shares batches among the GPUs of this machine, and there is one device "
            "only, %s; it computes alone.",
            names[0],
        )
        return _open_one_device(config)
    described = ", ".join(map(_name, gpus)) or f"{len(names)} devices of {_CPU}"
    # On CPUs TensorFlow's default, collective operations, keeps a process to one number of devices for good.
    sums = None if gpus else tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(names, cross_device_ops=sums)
    return Devices(strategy, description=described)


def _logical_cpus(number: int) -> list[str]:
    """Cut the CPU into so many devices; return their names."""
    if number > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * number
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError:
            there = len(tf.config.list_logical_devices("CPU"))
            if there != number:
                raise ConfigError(
                    f"--num_logical_devices={number}: TensorFlow is in use in this process already, with {there} CPU "
                    "device(s); start in a process of its own."
                ) from None
    return [f"CPU:{index}" for index in range(number)]


def _open_multi_worker(config: SquadConfig) -> Devices:
    cluster = read_cluster(os.environ)
    check_address_is_free(cluster.own)
    watch = PeerWatch(cluster, config.cluster_timeout, end_process)
    logging.info(
        "This is %s of %d%s; waiting for the others for %g s at most (--cluster_timeout).",
        cluster.own,
        len(cluster.tasks),
        ", the chief" if cluster.is_chief else f", the chief is {cluster.chief}",
        config.cluster_timeout,
    )
    watch.start()
    try:
        with interruptible_joining(2 * config.cluster_timeout):  # the watch is the first to lose patience
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:  # collective ops have to be set up before anything is computed
        watch.stop()
        raise ConfigError(
            f"Several workers cannot be set up ({first_line(error)}): TensorFlow is in use in this process already; "
            "start in a process of its own."
        ) from error
    except tf.errors.OpError as error:
        watch.stop()
        lost = watch.lost(_SECONDS_TO_FIND_THE_LOST)
        if lost:
            raise LostWorkerError(
                f"{listed(lost)} has gone before all had joined; start the same command on all workers, each with its "
                "own TF_CONFIG."
            ) from error
        raise ConfigError(
            f"{cluster.own} cannot join the others ({first_line(error)}); is one of them running twice, or told of "
            "another cluster?"
        ) from error
    here = ", ".join(map(_name, tf.config.list_physical_devices("GPU"))) or _CPU
    described = f"{len(cluster.tasks)} workers with {strategy.num_replicas_in_sync} devices, here {here}"
    return Devices(strategy, cluster=cluster, watch=watch, description=described)


def _open_tpu(config: SquadConfig) -> Devices:
    strategy = open_tpu_strategy(config)
    described = f"a TPU with {strategy.num_replicas_in_sync} cores"
    return Devices(strategy, steps_per_call=config.iterations_per_loop, description=described)


_OPENERS = {
    "one_device": _open_one_device,
    "mirrored": _open_mirrored,
    "multi_worker": _open_multi_worker,
    "tpu": _open_tpu,
}


def _check_compiled(config: SquadConfig, compute: ComputeOptions, devices: Devices) -> None:
    if compute.jit_compile and devices.strategy is not None and not tf.config.list_physical_devices("GPU"):
        raise ConfigError(
            "--jit_compile compiles whole steps for one CPU, so it does not go with "
            f"--distribution_strategy={config.strategy} on CPUs; leave one of them out."
        )


def _check_shared(config: SquadConfig, devices: Devices) -> None:
    parts = devices.num_replicas * config.gradient_accumulation_steps
    if config.do_train and config.train_batch_size % parts:
        raise ConfigError(
            f"--train_batch_size={config.train_batch_size} cannot be shared by {devices.num_replicas} devices"
            + (
                f" in {config.gradient_accumulation_steps} parts each (--gradient_accumulation_steps)"
                if config.gradient_accumulation_steps > 1
                else ""
            )
            + f"; give a multiple of {parts}."
        )

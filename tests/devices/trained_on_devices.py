"""Train in a process of its own, which has several logical CPUs or is one of several workers; write what came of it.

    python trained_on_devices.py RESULTS.npz NUM_CPUS KIND:REPLICAS:PARTS ...

KIND is a name in `KINDS`. With REPLICAS 0 the devices are those of the cluster that TF_CONFIG names.
"""

import dataclasses
import os
import sys
import time

import numpy as np
import tensorflow as tf
from golden_files import golden, read_json
from tiny_models import TINY, random_inputs, tiny_model

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.devices.cluster import read_cluster
from bert_squad.devices.replicas import Devices
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training import loop
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay

DROPPING = dataclasses.replace(
    TINY, num_hidden_layers=1, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3
)


def train_trajectory(devices: Devices, num_parts: int) -> dict[str, np.ndarray]:
    """The golden run."""
    hyper = read_json(golden("model/trajectory/trajectory.json"))["hyper_parameters"]
    config = BertConfig.from_json_file(str(golden("model/trajectory/bert_config.json")))
    with devices.scope():
        model = BertForSquad(config)
        optimizer = AdamWeightDecay.for_model(model)
    if devices.is_chief:
        index = str(golden("model/trajectory/init/model.ckpt.index"))
        load_checkpoint(model, index.removesuffix(".index"))
    devices.copy_from_chief(model.weights)
    arrays = np.load(golden("model/trajectory/batches.npz"))
    batches = [{name: arrays[name][number] for name in arrays.files} for number in range(24)]
    options = {name: hyper[name] for name in ("learning_rate", "num_train_steps", "num_warmup_steps")}
    return train(devices, model, optimizer, batches, seed=0, num_parts=num_parts, **options)


def train_dropping(
    devices: Devices,
    num_parts: int,
    step_options=None,
    config: BertConfig = DROPPING,
    optimizer_options=None,
    **model_options,
) -> dict[str, np.ndarray]:
    """Three steps of eight rows with dropout."""
    weights = tiny_model(2, config).get_weights()
    with devices.scope():
        model = BertForSquad(config, **model_options)
        optimizer = AdamWeightDecay.for_model(model, **(optimizer_options or {}))
    model.set_weights(weights)
    batch = {
        **random_inputs(lengths=(16, 11, 5, 9, 16, 3, 12, 7)),
        "start_positions": np.array([3, 1, 4, 7, 2, 1, 0, 5], np.int32),
        "end_positions": np.array([5, 4, 4, 8, 9, 2, 0, 6], np.int32),
    }
    return train(
        devices,
        model,
        optimizer,
        [batch] * 3,
        learning_rate=1e-3,
        num_train_steps=10,
        num_warmup_steps=0,
        seed=3,
        num_parts=num_parts,
        **(step_options or {}),
    )


def train(devices: Devices, model, optimizer, batches, **options) -> dict[str, np.ndarray]:
    step = make_train_step(model, optimizer, devices=devices, **options)
    num_rows = len(batches[0]["input_ids"])
    steps = tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature={name: tf.TensorSpec(values.shape, tf.int32) for name, values in batches[0].items()},
    )

    def of_process(share):
        rows = steps.repeat().unbatch()
        if share is None:
            return rows.batch(num_rows, drop_remainder=True)
        end = share.first_row + share.num_rows
        own = rows.batch(num_rows, drop_remainder=True).map(
            lambda all_rows: {n: v[share.first_row : end] for n, v in all_rows.items()}
        )
        return own.unbatch().batch(share.rows_at_a_time, drop_remainder=True)

    outputs = []
    loop.train(
        step,
        devices.share_batches(num_rows, of_process),
        first_step=0,
        num_train_steps=len(batches),
        save=str,
        save_steps=1000,
        report=[lambda values: outputs.append([float(values[i]) for i in (1, 2, 3)])],
        steps_per_call=devices.steps_per_call,
    )
    results = {"steps": np.array(outputs)}  # a row a step: loss, learning rate, norm
    for name, entry in tf1_variables(model).items():
        results[f"weights/{name}"] = entry.to_checkpoint(entry.variable).numpy()
        if entry.trained:
            for slot, variable in zip("mv", optimizer.slots(name), strict=True):
                results[f"{slot}/{name}"] = entry.to_checkpoint(variable).numpy()
    return results


def train_as_on_a_tpu(devices: Devices, num_parts: int) -> dict[str, np.ndarray]:
    """What a TPU is given: shapes that are known, several steps a call."""
    return train_dropping(Devices(devices.strategy, steps_per_call=2), num_parts)


def train_some(devices: Devices, num_parts: int, **step_options) -> dict[str, np.ndarray]:
    """Two layers with rates of their own; the embeddings and all biases are frozen."""
    return train_dropping(
        devices,
        num_parts,
        step_options,
        config=dataclasses.replace(DROPPING, num_hidden_layers=2),
        optimizer_options={"trainable": "(kernel|gamma|output_weights)$", "layerwise_lr_decay": 0.5},
        compute_dtype="float16" if step_options.get("scales_loss") else "float32",
    )


KINDS = {
    "some": train_some,
    "some recomputed": lambda devices, parts: train_some(devices, parts, recompute=True),
    "some in float16": lambda devices, parts: train_some(devices, parts, scales_loss=True),
    "some compiled": lambda devices, parts: train_some(devices, parts, jit_compile=True),
    "trajectory": train_trajectory,
    "dropping": train_dropping,
    "tpu": train_as_on_a_tpu,
    "unpadded": lambda devices, parts: train_dropping(devices, parts, pad_to="batch"),
    "compiled": lambda devices, parts: train_dropping(devices, parts, {"jit_compile": True}),
    "float16": lambda devices, parts: train_dropping(
        devices, parts, {"scales_loss": True}, compute_dtype="float16"
    ),
}


def main() -> None:
    results_file, num_cpus, *runs = sys.argv[1:]
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(num_cpus))
    results, devices = {}, Devices()
    for run in runs:
        kind, replicas, parts = run.split(":")
        names = [f"CPU:{index}" for index in range(int(replicas))]
        strategy = None
        if len(names) > 1:
            sums = tf.distribute.ReductionToOneDevice()
            strategy = tf.distribute.MirroredStrategy(names, cross_device_ops=sums)
        if names:
            devices = Devices(strategy)
        elif devices.strategy is None:
            devices = Devices(tf.distribute.MultiWorkerMirroredStrategy(), cluster=read_cluster())
        found = KINDS[kind](devices, int(parts))
        results |= {f"{run} {name}": values for name, values in found.items()}
    np.savez(results_file, **results)
    devices.wait_for_all()
    if not devices.is_chief:
        time.sleep(2)  # the chief may still be receiving
    os._exit(0)  # TensorFlow may wait long for threads of its own


if __name__ == "__main__":
    main()

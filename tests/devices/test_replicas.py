"""Several devices compute the numbers of one, on logical CPUs and in two processes."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from golden_files import golden, read_json
from program import ROOT, environment

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.model.squad_model import BertForSquad

PROGRAM = ROOT / "tests/devices/trained_on_devices.py"


def command(results, *words) -> list[str]:
    return [sys.executable, str(PROGRAM), str(results), *map(str, words)]


def environment_of(**more) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**environment(), "PYTHONPATH": paths, **more}


def two_workers(folder, *words) -> dict[str, np.ndarray]:
    """Run the program as two workers; return what the chief computed."""
    with socket.create_server(("localhost", 0)) as first, socket.create_server(("localhost", 0)) as second:
        addresses = [f"localhost:{server.getsockname()[1]}" for server in (first, second)]
    processes = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                command(folder / f"{index}.npz", 1, *words),
                env=environment_of(TF_CONFIG=json.dumps(config)),
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    errors = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return dict(np.load(folder / "0.npz"))


def run_on_cpus(results, num_cpus: int, *runs: str) -> dict[str, np.ndarray]:
    """Run the program on logical CPUs; return what it computed."""
    done = subprocess.run(
        command(results, num_cpus, *runs),
        env=environment_of(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(results))


@pytest.fixture(scope="module")
def on_cpus(tmp_path_factory):
    """What runs on up to four logical CPUs computed, by "KIND:REPLICAS:PARTS name"."""
    results = tmp_path_factory.mktemp("replicas") / "results.npz"
    runs = [
        "trajectory:2:1",
        "trajectory:2:2",
        "trajectory:4:1",
        "dropping:1:1",
        "dropping:2:1",
        "dropping:4:2",
    ]
    runs += ["unpadded:1:1", "unpadded:2:1", "float16:1:1", "float16:2:1", "tpu:2:1", "compiled:2:1"]
    return run_on_cpus(results, 4, *runs)


@pytest.fixture(scope="module")
def of_workers(tmp_path_factory):
    return two_workers(tmp_path_factory.mktemp("workers"), "trajectory:0:1", "dropping:0:2")


def check_trajectory(results, run: str) -> None:
    """Compare with the legacy program, with the tolerances that the goldens' README suggests."""
    trajectory = read_json(golden("model/trajectory/trajectory.json"))
    for column, name in enumerate(("loss", "learning_rate", "global_norm")):
        np.testing.assert_allclose(
            results[f"{run} steps"][:, column], trajectory[name], rtol=1e-5, atol=1e-12, err_msg=name
        )
    index = str(golden("model/trajectory/model.ckpt-24.index"))
    reader = Tf1Reader(index.removesuffix(".index"))
    model = BertForSquad(BertConfig.from_json_file(str(golden("model/trajectory/bert_config.json"))))
    for name, entry in tf1_variables(model).items():
        tolerances = {"weights": 1e-3 if name == "cls/squad/output_bias" else 5e-5, "m": 1e-6, "v": 1e-8}
        suffixes = {"weights": "", "m": "/adam_m", "v": "/adam_v"}
        for part in ("weights", "m", "v") if entry.trained else ("weights",):
            np.testing.assert_allclose(
                results[f"{run} {part}/{name}"],
                reader[name + suffixes[part]],
                rtol=0,
                atol=tolerances[part],
                err_msg=f"{name} {part}",
            )


@pytest.mark.parametrize("run", ["trajectory:2:1", "trajectory:2:2", "trajectory:4:1"])
def test_replicas_and_parts_train_as_the_legacy_program(on_cpus, run):
    check_trajectory(on_cpus, run)


def test_two_workers_train_as_the_legacy_program(of_workers):
    check_trajectory(of_workers, "trajectory:0:1")


def check_same_steps(steps, wanted, tolerance: float) -> None:
    np.testing.assert_allclose(steps[:, :2], wanted[:, :2], rtol=tolerance)
    np.testing.assert_allclose(steps[:, 2], wanted[:, 2], rtol=10 * tolerance)


@pytest.mark.parametrize(
    ("run", "tolerance"),
    [("dropping:2:1", 1e-5), ("dropping:4:2", 1e-5), ("unpadded:2:1", 1e-5), ("float16:2:1", 0.002)],
)
def test_the_same_seed_drops_the_same_on_any_number_of_devices(on_cpus, run, tolerance):
    one = f"{run.split(':')[0]}:1:1 steps"
    check_same_steps(on_cpus[f"{run} steps"], on_cpus[one], tolerance)
    assert len(np.unique(on_cpus[one][:, 0])) == 3, "of other masks come other losses"


@pytest.fixture(scope="module")
def some_on_cpus(tmp_path_factory):
    """What is computed of a model of which some variables are frozen and the others have rates of their own."""
    results = tmp_path_factory.mktemp("some") / "results.npz"
    runs = ["some:1:1", "some:2:2", "some recomputed:2:2", "some compiled:2:1"]
    return run_on_cpus(results, 2, *runs, "some in float16:1:1", "some in float16:2:2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "one", "tolerance"),
    [
        ("some:2:2", "some:1:1", 1e-5),
        ("some compiled:2:1", "some:1:1", 1e-5),
        ("some in float16:2:2", "some in float16:1:1", 0.002),
    ],
)
def test_some_variables_at_rates_of_their_own(some_on_cpus, run, one, tolerance):
    check_same_steps(some_on_cpus[f"{run} steps"], some_on_cpus[f"{one} steps"], tolerance)
    names = [name.removeprefix(run) for name in some_on_cpus if name.startswith(f"{run} weights/")]
    assert len(names) > 30
    for name in names:
        ours, wanted = some_on_cpus[run + name], some_on_cpus[one + name]
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=0.1 * tolerance, err_msg=name)


@pytest.mark.slow
def test_recomputed_layers_are_the_same_bits(some_on_cpus):
    names = [name for name in some_on_cpus if name.startswith("some:2:2 ")]
    assert len(names) > 60
    for name in names:
        again = some_on_cpus[name.replace("some", "some recomputed", 1)]
        np.testing.assert_array_equal(again, some_on_cpus[name], err_msg=name)


def test_several_steps_in_a_call_as_on_a_tpu_are_the_same_steps(on_cpus):
    check_same_steps(on_cpus["tpu:2:1 steps"], on_cpus["dropping:1:1 steps"], 1e-5)


def test_gradients_that_xla_compiles_for_each_device_are_the_same(on_cpus):
    """As --jit_compile does with several GPUs; sums over them are not compiled."""
    check_same_steps(on_cpus["compiled:2:1 steps"], on_cpus["dropping:1:1 steps"], 1e-5)


def test_the_same_seed_drops_the_same_in_two_workers(on_cpus, of_workers):
    check_same_steps(of_workers["dropping:0:2 steps"], on_cpus["dropping:1:1 steps"], 1e-5)

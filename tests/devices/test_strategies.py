"""What a run computes on, as its flags say; all but the messages is run in processes of its own."""

import dataclasses

import pytest
import tensorflow as tf
from golden_files import golden, read_json
from program import run_program

from bert_squad.compute_options import ComputeOptions
from bert_squad.config import SquadConfig
from bert_squad.devices import strategies
from bert_squad.devices.strategies import open_devices
from bert_squad.errors import ConfigError

V1 = golden("model/legacy_run/v1/vocab.txt").parent
MIRRORED = ("--distribution_strategy=mirrored", "--num_logical_devices=2")


def config(**changes) -> SquadConfig:
    return SquadConfig("bert_config.json", "vocab.txt", "output", do_train=True, **changes)


def run(output, *flags, **options):
    """Run the program on the golden questions."""
    return run_program(
        f"--vocab_file={V1}/vocab.txt",
        f"--bert_config_file={V1}/bert_config.json",
        f"--output_dir={output}",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        *flags,
        **options,
    )


TRAIN = (
    "--do_train",
    f"--train_file={V1}/train.json",
    "--train_batch_size=4",
    "--num_train_epochs=1",
    "--learning_rate=1e-3",
)
PREDICT = ("--do_predict", f"--predict_file={V1}/dev.json")


def answers(output):
    return {name: (output / name).read_bytes() for name in ("predictions.json", "nbest_predictions.json")}


@pytest.mark.parametrize(
    "flags",
    [pytest.param((), marks=pytest.mark.slow), ("--pad_to=batch", "--predict_batch_size=5")],
    ids=["padded", "sorted"],
)
def test_answers_of_several_devices_are_the_bytes_of_one(flags, tmp_path):
    """Windows of one length share a batch, which the last round has fewer of than there are devices."""
    for devices in (1, 2, 3):
        done = run(
            tmp_path / str(devices),
            *PREDICT,
            f"--init_checkpoint={V1}/output/model.ckpt-24",
            "--distribution_strategy=mirrored",
            f"--num_logical_devices={devices}",
            *flags,
        )
        assert done.returncode == 0, done.stderr
        assert (f"Running on {devices} devices of the CPU" in done.stderr) == (devices > 1)
    of_one = answers(tmp_path / "1")
    assert answers(tmp_path / "2") == of_one
    assert answers(tmp_path / "3") == of_one


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_devices(tmp_path):
    """What was begun on two devices ends on one, and the other way round, as if nothing had changed."""
    heads = {}
    for name, first, then in (("one", (), ()), ("two", MIRRORED, ()), ("back", (), MIRRORED)):
        output = tmp_path / name
        flags = (*TRAIN, "--learning_rate=1e-4", "--save_checkpoints_steps=3")
        assert run(output, *flags, *first).returncode == 0
        for path in output.glob("model.ckpt-6.*"):
            path.unlink()
        (output / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-3"\n')
        done = run(output, *flags, *then)
        assert done.returncode == 0, done.stderr
        assert "model.ckpt-3, step 3." in done.stderr
        assert "not the run that" not in done.stderr
        heads[name] = tf.train.load_checkpoint(str(output / "model.ckpt-6")).get_tensor(
            "cls/squad/output_weights"
        )
    assert 0 < abs(heads["two"] - heads["one"]).max() < 1e-5
    assert 0 < abs(heads["back"] - heads["one"]).max() < 1e-5


@pytest.mark.slow
def test_a_model_that_several_devices_trained_is_exported(tmp_path):
    done = run(tmp_path, *TRAIN, "--num_train_epochs=0.5", *PREDICT, "--do_eval", "--do_export", *MIRRORED)
    assert done.returncode == 0, done.stderr
    assert "exact_match" in done.stdout
    (version,) = (tmp_path / "export").iterdir()
    assert "exact_match" in read_json(tmp_path / "eval_results.json")
    assert (version / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ("--train_batch_size=5",),
            "error: --train_batch_size=5 cannot be shared by 2 devices; give a multiple of 2.",
        ),
        (
            ("--train_batch_size=6", "--gradient_accumulation_steps=2"),
            "error: --train_batch_size=6 cannot be shared by 2 devices in 2 parts each "
            "(--gradient_accumulation_steps); give a multiple of 4.",
        ),
        (
            ("--jit_compile",),
            "error: --jit_compile compiles whole steps for one CPU, so it does not go with "
            "--distribution_strategy=mirrored on CPUs; leave one of them out.",
        ),
    ],
)
def test_what_devices_cannot_share_is_refused_before_anything_is_written(flags, sentence, tmp_path):
    output = tmp_path / "output"
    done = run(output, *TRAIN, *MIRRORED, *flags)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(sentence)
    assert not output.exists()


def test_mirrored_with_one_device_says_so_and_goes_on(infos):
    devices = open_devices(config(distribution_strategy="mirrored"), ComputeOptions())
    assert (devices.num_replicas, devices.strategy) == (1, None)
    assert infos == [
        "--distribution_strategy=mirrored shares batches among the GPUs of this machine, and there is one device "
        "only, CPU:0; it computes alone."
    ]


def test_a_cluster_that_is_described_and_not_asked_for_is_named_in_the_log(monkeypatch, infos):
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert open_devices(config(), ComputeOptions()).num_replicas == 1
    assert infos == [
        "TF_CONFIG is set, and ignored, since --distribution_strategy is one_device; multi_worker trains with it."
    ]


def test_a_process_that_uses_tensorflow_already_cannot_be_cut_into_devices():
    tf.config.list_logical_devices()
    with pytest.raises(ConfigError, match=r"TensorFlow is in use in this process already, with 1 CPU device"):
        open_devices(
            config(distribution_strategy="mirrored", num_logical_devices=2, train_batch_size=4),
            ComputeOptions(),
        )


class Gpu:
    """What TensorFlow says of a GPU."""

    name = "/physical_device:GPU:0"


@pytest.fixture
def two_gpus(monkeypatch):
    """Let TensorFlow say that it has them; what it is told for good is kept from it."""
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: [Gpu(), Gpu()] if kind == "GPU" else []
    )
    told = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: told.append("repeatable"))
    return told


def test_gpus_take_what_they_need_and_are_named(monkeypatch, two_gpus):
    grown = []
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda gpu, grows: grown.append((gpu.name, grows))
    )
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "Accelerator"}
    )
    assert open_devices(config(), ComputeOptions()).description == "Accelerator"
    assert grown == [(Gpu.name, True)] * 2


@pytest.mark.parametrize(("do_train", "told"), [(True, ["repeatable"]), (False, [])])
def test_gpus_add_in_the_same_order_each_time_in_training(monkeypatch, two_gpus, do_train, told):
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, grows: None)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {})
    open_devices(dataclasses.replace(config(), do_train=do_train), ComputeOptions())
    assert two_gpus == told


@pytest.mark.parametrize("dtype", ["float32", "tensorfloat32", "bfloat16", "float16"])
def test_products_of_float32_are_of_float32_unless_another_type_is_asked_for(dtype):
    """The default of TensorFlow, on a GPU: the golden runs are missed by far."""
    try:
        open_devices(config(), ComputeOptions(dtype))
        assert tf.config.experimental.tensor_float_32_execution_enabled() == (dtype == "tensorfloat32")
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(False)


def test_logical_devices_are_not_made_where_there_are_gpus(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [Gpu()])
    monkeypatch.setattr(strategies, "prepare_gpus", lambda **choices: None)
    with pytest.raises(
        ConfigError, match=r"has 1 GPUs; leave it out, or hide them with CUDA_VISIBLE_DEVICES=-1"
    ):
        open_devices(config(distribution_strategy="mirrored", num_logical_devices=2), ComputeOptions())

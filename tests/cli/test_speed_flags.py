"""--fast, --dtype, --pad_to and --jit_compile as a user gives them."""

import functools
import json
import re
import shutil

import pytest
from golden_files import golden
from program import run_program

from bert_squad import compute_options
from bert_squad.compute_options import (
    ComputeOptions,
    choose_compute_options,
    cpu_is_fast_in_bfloat16,
    engine_dtype,
)
from bert_squad.config import SquadConfig

FOLDER = golden("model/legacy_run/v2/vocab.txt").parent
MODEL = [f"--vocab_file={FOLDER / 'vocab.txt'}", f"--bert_config_file={FOLDER / 'bert_config.json'}"]
LENGTHS = ["--max_seq_length=64", "--doc_stride=24", "--max_query_length=16", "--version_2_with_negative"]


def predict(output_dir, *flags):
    done = run_program(
        *MODEL,
        *LENGTHS,
        f"--init_checkpoint={FOLDER / 'output/model.ckpt-33'}",
        "--do_predict",
        f"--predict_file={FOLDER / 'dev.json'}",
        f"--output_dir={output_dir}",
        *flags,
    )
    assert done.returncode == 0, done.stderr
    return done, json.loads((output_dir / "predictions.json").read_text())


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        (["--jit_compile"], 0),
        (["--pad_to=batch", "--predict_batch_size=3"], 0),
        (["--dtype=tensorfloat32"], 0),
        (["--dtype=bfloat16"], 3),
        (["--dtype=float16", "--jit_compile"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_answers_stay(flags, changed, tmp_path):
    """Of 22 answers of a model that is hardly trained, so many may change at most."""
    legacy = json.loads((FOLDER / "predict_only/predictions.json").read_text())
    _, predictions = predict(tmp_path, *flags)
    assert list(predictions) == list(legacy)
    assert sum(predictions[qas_id] != legacy[qas_id] for qas_id in legacy) <= changed


def test_fast_says_what_it_chose_and_a_flag_beats_it(tmp_path):
    done, _ = predict(tmp_path, "--fast", "--dtype=float32", "--verbosity=0")
    chosen = re.search(r"--fast on .+: --dtype=float32 --pad_to=(max|batch) --(no)?jit_compile", done.stderr)
    assert chosen, done.stderr


def test_training_fast_and_going_on_exactly(tmp_path):
    """Checkpoints hold float32 weights whatever the type, so that a run may be continued in another."""
    for name in ("train.json", "dev.json"):
        shutil.copy(FOLDER / name, tmp_path / name)
    flags = [
        *MODEL,
        *LENGTHS,
        "--do_train",
        "--train_file=train.json",
        "--output_dir=output",
        "--train_batch_size=4",
    ]
    done = run_program(*flags, "--num_train_epochs=1", "--fast", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_program(*flags, "--num_train_epochs=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Continuing from" in done.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "--dtype=float64",
            "--dtype must be one of float32, bfloat16, float16, tensorfloat32, not 'float64'.",
        ),
        ("--pad_to=longest", "--pad_to must be one of max, batch, not 'longest'."),
        ("--jit_compile --pad_to=batch", "so it does not go with --pad_to=batch"),
    ],
)
def test_what_cannot_be_done_is_refused(flag, message, tmp_path):
    done = run_program(
        *MODEL,
        *LENGTHS,
        f"--output_dir={tmp_path / 'out'}",
        "--do_predict",
        f"--predict_file={FOLDER / 'dev.json'}",
        *flag.split(),
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def config(**options):
    return SquadConfig(bert_config_file="", vocab_file="", output_dir="", **options)


def test_the_default_is_exact():
    assert choose_compute_options(config()) == ComputeOptions("float32", "max", False)


def test_flags_alone():
    chosen = choose_compute_options(config(dtype="float16", jit_compile=True))
    assert chosen == ComputeOptions("float16", "max", True)


CPUS = [
    ("GenuineIntel", "fpu avx512f", False),
    ("GenuineIntel", "fpu avx512_bf16", False),
    ("GenuineIntel", "avx512_bf16 amx_bf16 fpu", True),
    ("AuthenticAMD", "fpu avx512f", False),
    ("AuthenticAMD", "fpu avx512_bf16", True),
]


def write_cpu_info(path, vendor, flags):
    path.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    return str(path)


@pytest.mark.parametrize(("vendor", "flags", "is_fast"), CPUS)
def test_fast_on_cpus(vendor, flags, is_fast, infos, tmp_path, monkeypatch):
    path = write_cpu_info(tmp_path / "cpuinfo", vendor, flags)
    monkeypatch.setattr(
        compute_options, "cpu_is_fast_in_bfloat16", functools.partial(cpu_is_fast_in_bfloat16, path)
    )
    chosen = choose_compute_options(config(fast=True))
    assert chosen == ComputeOptions("bfloat16" if is_fast else "float32", "batch", False)
    assert infos == [
        f"--fast on a CPU {'with' if is_fast else 'without'} fast bfloat16 instructions: --dtype={chosen.dtype} "
        "--pad_to=batch --nojit_compile"
    ]


def test_fast_and_compiled_goes_together():
    assert choose_compute_options(config(fast=True, jit_compile=True)).pad_to == "max"


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), "float16"), ((9, 0), "bfloat16")])
def test_fast_on_gpus(capability, dtype, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    details = {"device_name": "Test", "compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    chosen = choose_compute_options(config(fast=True))
    assert (chosen.dtype, chosen.pad_to, chosen.jit_compile) == (dtype, "max", True)


def test_several_gpus_change_nothing_of_fast(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"])
    details = {"device_name": "Test", "compute_capability": (9, 0)}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    alone, mirrored = (
        choose_compute_options(config(fast=True, distribution_strategy=name))
        for name in ("one_device", "mirrored")
    )
    assert mirrored == alone == ComputeOptions("bfloat16", "max", True)


@pytest.mark.parametrize("flag", [{"use_tpu": True}, {"distribution_strategy": "tpu"}], ids=str)
def test_fast_on_a_tpu_goes_by_a_rule(flag, infos, monkeypatch):
    def looked():
        raise AssertionError("what this machine has is no matter")

    monkeypatch.setattr(compute_options, "_best_on_this_device", looked)
    assert choose_compute_options(config(fast=True, **flag)) == ComputeOptions("bfloat16", "max", False)
    assert infos == ["--fast on a TPU: --dtype=bfloat16 --pad_to=max --nojit_compile"]
    assert choose_compute_options(config(fast=True, dtype="float32", **flag)).dtype == "float32"


@pytest.mark.parametrize("fast", [False, True])
def test_a_tpu_compiles_every_step_anyway(fast, infos):
    chosen = choose_compute_options(config(use_tpu=True, jit_compile=True, fast=fast))
    assert chosen == ComputeOptions("bfloat16" if fast else "float32", "max", False)
    assert infos[0] == "--jit_compile is not needed on a TPU, where every step is compiled; it is left out."
    infos.clear()
    assert choose_compute_options(config(use_tpu=True)) == ComputeOptions()
    assert choose_compute_options(config(use_tpu=True, jit_compile=False)) == ComputeOptions()
    assert infos == []


@pytest.mark.parametrize(("vendor", "flags", "is_fast"), CPUS)
def test_other_engines_choose_alike(vendor, flags, is_fast, tmp_path, monkeypatch):
    path = write_cpu_info(tmp_path / "cpuinfo", vendor, flags)
    monkeypatch.setattr(
        compute_options, "cpu_is_fast_in_bfloat16", functools.partial(cpu_is_fast_in_bfloat16, path)
    )
    assert engine_dtype(config(fast=True)) == ("bfloat16" if is_fast else "float32")
    assert engine_dtype(config()) == "float32"


def test_where_linux_tells_nothing_float32_is_chosen(tmp_path):
    assert cpu_is_fast_in_bfloat16(str(tmp_path / "absent")) is False

"""What a run does to be fast: as its flags say, or, with --fast, what was measured to be best on the present device."""

import dataclasses

from absl import logging

from bert_squad import files
from bert_squad.config import SquadConfig
from bert_squad.errors import ConfigError

TENSORFLOAT32 = "tensorfloat32"


@dataclasses.dataclass(frozen=True)
class ComputeOptions:
    """The choices that make a run fast. The defaults are exact.

    Attributes:
      dtype: type of matrix products and attention: "float32", "bfloat16", "float16", or "tensorfloat32": float32 whose
        products are rounded as NVIDIA's GPUs since compute capability 8.0 do it; elsewhere that is float32.
      pad_to: "max": every window is padded to `max_seq_length`, as in the legacy script; "batch": only to the longest
        of its batch, and padding takes no part in losses and candidates.
      jit_compile: compile whole steps with XLA.
    """

    dtype: str = "float32"
    pad_to: str = "max"
    jit_compile: bool = False

    @property
    def model_dtype(self) -> str:
        """The type that a model is told; "tensorfloat32" is said to the GPU, not to the model."""
        return "float32" if self.dtype == TENSORFLOAT32 else self.dtype


def choose_compute_options(config: SquadConfig) -> ComputeOptions:
    """Return what a run's flags say; with `config.fast`, fill in what they leave open, and log it.

    TensorFlow is loaded to look for a GPU, but only with `config.fast`, and not for a TPU: there, what is fast is a
    rule and was not measured, and every step is compiled anyway.

    Raises:
      ConfigError: for choices that do not go together.
    """
    said = {
        name: getattr(config, name)
        for name in ("dtype", "pad_to", "jit_compile")
        if getattr(config, name) is not None
    }
    on_tpu = config.strategy == "tpu"
    if on_tpu and said.pop("jit_compile", False):
        logging.info("--jit_compile is not needed on a TPU, where every step is compiled; it is left out.")
    if config.fast:
        device, best = ("a TPU", _BEST_ON_TPU) if on_tpu else _best_on_this_device()
        if said.get("jit_compile"):
            best = dataclasses.replace(best, pad_to="max")
        options = dataclasses.replace(best, **said)
    else:
        options = ComputeOptions(**said)
    if options.jit_compile and options.pad_to == "batch":
        raise ConfigError(
            "--jit_compile compiles a step for each length of a batch, so it does not go with --pad_to=batch; leave "
            "one of them out."
        )
    if not config.fast:
        return options
    logging.info(
        "--fast on %s: --dtype=%s --pad_to=%s --%sjit_compile",
        device,
        options.dtype,
        options.pad_to,
        "" if options.jit_compile else "no",
    )
    return options


_BEST_ON_TPU = ComputeOptions("bfloat16", "max", False)


def _best_on_this_device() -> tuple[str, ComputeOptions]:
    """Return the device's description and what is best there; BUILD_NOTES.md says where that was measured."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        has_bfloat16 = details.get("compute_capability", (0, 0)) >= (8, 0)
        dtype = "bfloat16" if has_bfloat16 else "float16"
        # Compiled steps are compiled for each shape, so windows keep one length.
        return details.get("device_name", "a GPU"), ComputeOptions(dtype, "max", True)
    if cpu_is_fast_in_bfloat16():
        return "a CPU with fast bfloat16 instructions", ComputeOptions("bfloat16", "batch", False)
    return "a CPU without fast bfloat16 instructions", ComputeOptions("float32", "batch", False)


def engine_dtype(config: SquadConfig) -> str:
    """Return the type that another engine than TensorFlow computes in, on the CPU."""
    return config.dtype or ("bfloat16" if config.fast and cpu_is_fast_in_bfloat16() else "float32")


def cpu_is_fast_in_bfloat16(cpu_info: str = "/proc/cpuinfo") -> bool:
    """Say whether the processor multiplies bfloat16 numbers faster than float32, by what Linux tells of it.

    Intel's without AMX have instructions for it, and are slower with them.
    """
    try:
        words = set(files.read_bytes(cpu_info).decode().split())
    except OSError:
        return False
    return "amx_bf16" in words or ("avx512_bf16" in words and "GenuineIntel" not in words)

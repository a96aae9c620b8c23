"""Have OpenVINO compute what the encoder says of windows, from an export as it is or from a quantized model.

OpenVINO is imported where it is used: the program has to work without it. No TensorFlow here.
"""

import collections
import contextlib
import functools
import importlib.util
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from bert_squad import files
from bert_squad.answers.raw_results import RawResult
from bert_squad.errors import ConfigError, OutOfMemoryError
from bert_squad.serving.export_settings import ExportSettings
from bert_squad.serving.versions import OPENVINO_MODEL, is_quantized

DTYPES = {"float32": "f32", "bfloat16": "bf16"}
"""Types of matrix products, and what OpenVINO calls them."""

FEATURES = ("input_ids", "input_mask", "segment_ids")
_LOGITS = ("start_logits", "end_logits")
SIGNATURE = "serving_default"
"""Of a SavedModel: from features to logits. OpenVINO reads no other."""

_PADDING_LOGIT = np.finfo(np.float32).min  # as in the signature answer_fast
_TELEMETRY = "openvino_telemetry"
# Lines that say where it went wrong in there: how they begin, and what is in them.
_NO_REASON = ("Exception from ", "Caught exception: ", "Check '", "FrontEnd API failed")
_PLACE = "' failed at "


def import_openvino(with_nncf: bool = False) -> ModuleType:
    """Import OpenVINO.

    Args:
      with_nncf: what quantizes is needed too.

    Raises:
      ConfigError: saying what to install.
    """
    for name, package in [("openvino", "OpenVINO"), *([("nncf", "NNCF")] if with_nncf else [])]:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"{package} is not installed; install it: pip install 'bert-squad[openvino]'.")
    try:
        with importing_without_effects():
            import openvino
    except Exception as error:  # a library that the machine lacks, for one
        raise ConfigError(
            f"OpenVINO cannot be loaded ({files.reason_of(error)}); install it anew: pip install --force-reinstall "
            "openvino."
        ) from error
    return openvino


@contextlib.contextmanager
def importing_without_effects() -> Iterator[None]:
    """Keep OpenVINO and NNCF, while they are imported, from what they do beside that.

    They send their makers statistics of their use, from a process that they fork of this one, and write to the home
    directory; where they find no `openvino_telemetry`, they do without. And absl's handler, which writes the log, is
    taken away.
    """
    handlers = list(logging.root.handlers)
    has_telemetry = _TELEMETRY in sys.modules
    if not has_telemetry:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # as if it were not installed
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        if not has_telemetry:
            del sys.modules[_TELEMETRY]


@functools.cache
def _core(openvino: ModuleType) -> Any:
    """Return this process's one core of OpenVINO, from `import_openvino`; it is never given back.

    A core gives the thread that compiles with it memory to handle signals on, and takes it away when it goes. Of two
    cores that go in the order in which they came, the second leaves its thread with memory of the first, which is gone;
    the next signal, a SIGTERM say, then ends the process at once (SIGSEGV).
    """
    return openvino.Core()


def read_model(version_dir: str, settings: ExportSettings) -> Any:
    """Read the encoder of an export or of a quantized model, an `openvino.Model`.

    Args:
      version_dir: of the model; on a local disk.
      settings: its own.

    Raises:
      ConfigError: when OpenVINO is not installed, or cannot read the model.
    """
    if files.is_remote(version_dir):
        raise ConfigError(f"OpenVINO reads models from a local disk only; copy {version_dir} to one.")
    if settings.dtype != "float32":
        raise ConfigError(
            f"OpenVINO cannot read the weights of {version_dir}, which are {settings.dtype}; give an export with "
            f"--export_dtype=float32 (--dtype={settings.dtype} computes in that type)."
        )
    if not is_quantized(version_dir) and SIGNATURE not in settings.description.get("signatures", ()):
        raise ConfigError(
            f"The model {version_dir} has no signature {SIGNATURE!r}, which takes features; give one that was "
            "exported with --do_export."
        )
    path = files.join(version_dir, OPENVINO_MODEL) if is_quantized(version_dir) else version_dir
    model = _read(path)
    inputs, outputs = (
        {name for port in ports for name in port.get_names()} for ports in (model.inputs, model.outputs)
    )
    if not (inputs >= set(FEATURES) and outputs >= set(_LOGITS)):
        raise ConfigError(
            f"The model {version_dir} does not turn features into logits; give one that was exported with "
            "--do_export."
        )
    return model


def compile_saved_model(saved_model: str, dtype: str) -> "OpenVinoEncoder":
    """Read and compile a SavedModel of this very program; arguments and errors as of `OpenVinoEncoder`."""
    return OpenVinoEncoder(_read(saved_model), dtype)


def _read(path: str) -> Any:
    try:
        return _core(import_openvino()).read_model(path)
    except RuntimeError as error:
        raise ConfigError(
            f"OpenVINO cannot read the model {path} ({_reason(error)}); export or quantize it again."
        ) from None


class OpenVinoEncoder:
    """The encoder, compiled for this processor.

    Args:
      model: from `read_model`.
      dtype: a key of `DTYPES`: the type of matrix products. OpenVINO takes float32 where the processor has no bfloat16.

    Raises:
      ConfigError: for another `dtype`, or when OpenVINO cannot compile the model.
    """

    def __init__(self, model: Any, dtype: str = "float32"):
        if dtype not in DTYPES:
            raise ConfigError(f"OpenVINO computes in {' or '.join(DTYPES)}, not in {dtype!r} (--dtype).")
        # Said in any case: by itself OpenVINO takes bfloat16 where a processor has it.
        options = {"INFERENCE_PRECISION_HINT": DTYPES[dtype], "PERFORMANCE_HINT": "THROUGHPUT"}
        try:
            self._compiled = _core(import_openvino()).compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ConfigError(f"OpenVINO cannot compile the model ({_reason(error)}).") from None
        self._at_once = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")

    def predict(self, batches: Iterable[Mapping[str, Any]]) -> Iterator[RawResult]:
        """Yield one result a window, in the order of the batches.

        Args:
          batches: each with `unique_ids` [B], and `input_ids`, `input_mask`, `segment_ids` [B, S], all int32: arrays
            of NumPy, or tensors of TensorFlow. B and S may differ from batch to batch.

        Yields:
          The logits, float32 [S]; those of padding are the lowest number.

        Raises:
          OutOfMemoryError: when a batch does not fit in memory.
        """
        idle = [self._compiled.create_infer_request() for _ in range(self._at_once)]
        working: collections.deque[tuple[Any, dict[str, np.ndarray]]] = collections.deque()
        for batch in batches:
            if not idle:
                request, of_request = working.popleft()
                yield from _results(request, of_request)
                idle.append(request)
            arrays = {name: np.asarray(batch[name]) for name in ("unique_ids", *FEATURES)}
            request = idle.pop()
            # It reads the arrays where they are, so they are kept until it is done.
            request.start_async({name: arrays[name] for name in FEATURES}, share_inputs=True)
            working.append((request, arrays))
        for request, of_request in working:
            yield from _results(request, of_request)


def _results(request: Any, batch: dict[str, np.ndarray]) -> list[RawResult]:
    """Wait for a request, and return what it computed of its batch."""
    try:
        request.wait()
    except RuntimeError as error:
        if "alloc" in str(error):
            raise OutOfMemoryError(
                f"Not enough memory for {len(batch['unique_ids'])} windows at a time ({_reason(error)}); lower "
                "--predict_batch_size."
            ) from None
        raise
    is_padding = batch["input_mask"] == 0
    start_logits, end_logits = (
        np.where(is_padding, _PADDING_LOGIT, request.get_tensor(name).data) for name in _LOGITS
    )
    return list(map(RawResult, batch["unique_ids"].tolist(), start_logits, end_logits))


def _reason(error: RuntimeError) -> str:
    """Return the line of OpenVINO's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith(_NO_REASON) and _PLACE not in line]
    return reasons[0] if reasons else files.reason_of(error)

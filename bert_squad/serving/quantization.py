"""Turn an export into a model of 8-bit integers, for OpenVINO.

NNCF looks at what goes through the model while it reads some windows of a data set, and chooses for each product the
range that 8 bits stand for. What comes out is laid out as OpenVINO Model Server wants its models, with a version beneath:

    DIR/1/model.xml  model.bin     the model
    DIR/1/export.json              the export's own, the type of the weights and the files' hashes apart
    DIR/1/assets.extra/vocab.txt   the export's own
"""

import contextlib
import json
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from absl import logging

from bert_squad import files, whole_files
from bert_squad.data.examples import SquadExample, read_squad_examples
from bert_squad.data.windows import Window, make_windows
from bert_squad.errors import ConfigError, DataError, OutputError
from bert_squad.serving.export_settings import ExportSettings, read_settings
from bert_squad.serving.openvino_answers import batches_by_length
from bert_squad.serving.openvino_engine import FEATURES, import_openvino, read_model
from bert_squad.serving.versions import (
    ASSETS_EXTRA,
    EXPORT_JSON,
    FILES,
    OPENVINO_MODEL,
    VOCABULARY,
    described_files,
    is_quantized,
    latest_version,
)

_VERSION = "1"
_MOST_EXAMPLES_PER_WINDOW = 8  # of the data set, laid out as windows of which one is taken


def quantize(export: str, target: str, calibration_file: str, num_windows: int = 100, seed: int = 12345) -> str:
    """Write a quantized model.

    Args:
      export: a version directory, or that of all versions, of which the latest is taken.
      target: the new directory.
      calibration_file: a SQuAD file; answers are not looked at.
      num_windows: how many of its windows NNCF looks at, at most; they are spread over the file.
      seed: of their choice.

    Returns:
      A line that says what was written.

    Raises:
      ConfigError: when OpenVINO or NNCF is not installed, or the export cannot be read.
      DataError: when the file cannot be read, or has no windows.
      OutputError: when `target` is there already, or cannot be written; there is none then.
    """
    _import_nncf()
    if files.is_remote(target):
        raise ConfigError(f"A quantized model is written to a local disk; {target} is none.")
    if os.path.lexists(target):
        raise OutputError(f"{target} exists already; name a new directory.")
    version_dir = latest_version(export, "EXPORT")
    settings = read_settings(version_dir)
    if is_quantized(version_dir):
        raise ConfigError(f"The model {version_dir} is quantized already.")
    model = read_model(version_dir, settings)
    windows = _chosen_windows(calibration_file, settings, num_windows, seed)
    quantized = _quantized(model, settings, windows)
    _write(quantized, settings, version_dir, target)
    return f"{target} answers with --engine=openvino; it was calibrated with {len(windows)} windows."


def _import_nncf() -> Any:
    import_openvino(with_nncf=True)
    # Else it sends statistics of its use to its makers; it has no other switch.
    os.environ.setdefault("NNCF_CI", "1")
    import nncf

    return nncf


def _chosen_windows(
    calibration_file: str, settings: ExportSettings, num_windows: int, seed: int
) -> list[Window]:
    """Draw windows from all parts of a data set."""
    examples = read_squad_examples(calibration_file, is_training=False)
    if not examples:
        raise DataError(f"The data set {calibration_file} has no questions; check --calibration_file.")
    draw = random.Random(seed)
    windows = list(make_windows(_spread(examples, num_windows, draw), settings.tokenizer, settings.lengths, False))
    if not windows:
        raise DataError(f"No passage of {calibration_file} holds any text; check --calibration_file.")
    return draw.sample(windows, min(num_windows, len(windows)))


def _spread(examples: Sequence[SquadExample], number: int, draw: random.Random) -> list[SquadExample]:
    """Draw questions in such a way that the same number comes from each part of the file."""
    number = min(number, len(examples))
    bounds = np.linspace(0, len(examples), number + 1).astype(int).tolist()
    return [examples[draw.randrange(begin, end)] for begin, end in zip(bounds, bounds[1:], strict=False)]


def _quantized(model: Any, settings: ExportSettings, windows: list[Window]) -> Any:
    nncf = _import_nncf()
    batches = [
        {name: batch[name] for name in FEATURES} for batch in batches_by_length(windows, batch_size=1)
    ]
    with _quiet(nncf):
        return nncf.quantize(
            model,
            nncf.Dataset(batches),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(batches),
        )


@contextlib.contextmanager
def _quiet(nncf: Any) -> Iterator[None]:
    yield


def _write(quantized: Any, settings: ExportSettings, version_dir: str, target: str) -> None:
    def publish(temporary: str) -> None:
        if os.path.lexists(target):
            raise OutputError(f"{target} exists already; name a new directory.")
        files.rename(temporary, target)

    whole_files.remove_abandoned(os.path.dirname(target) or ".")
    with whole_files.complete_directory(
        target.rstrip("/"), publish, problem=f"Cannot write {target}", advice="; nothing was written."
    ) as temporary:
        folder = files.join(temporary, _VERSION)
        extra = files.join(folder, ASSETS_EXTRA)
        files.make_directory(extra, "DIR")
        try:
            import_openvino().save_model(quantized, files.join(folder, OPENVINO_MODEL), compress_to_fp16=False)
        except RuntimeError as error:
            raise files.refusal(f"Cannot write {target}", error) from error
        files.write_bytes(files.join(extra, VOCABULARY), settings.tokenizer.vocab_content)
        description = {**settings.description, "quantized_from": version_dir, FILES: described_files(folder)}
        content = json.dumps(description, indent=4) + "\n"
        files.write_bytes(files.join(folder, EXPORT_JSON), content.encode())
    logging.info("Wrote the quantized model to %s", target)

"""Turn an export into a model of 8-bit integers, for OpenVINO.

NNCF looks at what goes through the model while it reads some windows of a data set, and chooses for each product the
range that 8 bits stand for. What comes out is laid out as OpenVINO Model Server wants a model with its versions:

    DIR/1/model.xml  model.bin     the model
    DIR/1/export.json              the export's own, with other files, and how it was quantized
    DIR/1/assets.extra/vocab.txt   the export's own
"""

import contextlib
import importlib.metadata
import itertools
import json
import os
import random
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from bert_squad import files, whole_files
from bert_squad.data.examples import SquadExample, squad_examples
from bert_squad.data.sources import read_data_set
from bert_squad.data.windows import Window, make_windows
from bert_squad.errors import ConfigError, DataError, OutputError
from bert_squad.serving.export_settings import ExportSettings, read_settings
from bert_squad.serving.openvino_answers import batches_by_length
from bert_squad.serving.openvino_engine import (
    FEATURES,
    import_openvino,
    importing_without_effects,
    read_model,
)
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


def quantize(
    export: str, target: str, calibration_file: str, num_windows: int = 100, seed: int = 12345
) -> str:
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
    import_nncf()
    target = target.rstrip("/")
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
    description = {
        **settings.description,
        "quantized": {
            "from": version_dir,
            "calibration_file": calibration_file,
            "windows": len(windows),
            "seed": seed,
            **{name: importlib.metadata.version(name) for name in ("openvino", "nncf")},
        },
    }
    _write(_quantized(model, windows), description, settings.tokenizer.vocab_content, target)
    return f"{target} answers with --engine=openvino; it was calibrated with {len(windows)} windows."


def import_nncf() -> ModuleType:
    """Import what quantizes.

    Raises:
      ConfigError: saying what to install.
    """
    import_openvino(with_nncf=True)
    try:
        with importing_without_effects():
            import nncf
    except Exception as error:
        raise ConfigError(
            f"NNCF cannot be loaded ({files.reason_of(error)}); install it anew: pip install --force-reinstall nncf."
        ) from error
    return nncf


def _chosen_windows(
    calibration_file: str, settings: ExportSettings, num_windows: int, seed: int
) -> list[Window]:
    """Draw windows from all parts of a data set."""
    data = read_data_set(calibration_file, "--calibration_file")
    examples = squad_examples(data.squad, data.name, is_training=False)
    if not examples:
        raise DataError(f"The data set {calibration_file} has no questions; check --calibration_file.")
    draw = random.Random(seed)
    windows = list(
        make_windows(_spread(examples, num_windows, draw), settings.tokenizer, settings.lengths, False)
    )
    if not windows:
        raise DataError(f"No passage of {calibration_file} holds any text; check --calibration_file.")
    return draw.sample(windows, min(num_windows, len(windows)))


def _spread(examples: Sequence[SquadExample], number: int, draw: random.Random) -> list[SquadExample]:
    """Draw questions in such a way that the same number comes from each part of the file."""
    number = min(number, len(examples))
    bounds = np.linspace(0, len(examples), number + 1).astype(int).tolist()
    return [examples[draw.randrange(begin, end)] for begin, end in itertools.pairwise(bounds)]


def _quantized(model: Any, windows: list[Window]) -> Any:
    nncf = import_nncf()
    batches = [{name: batch[name] for name in FEATURES} for batch in batches_by_length(windows, batch_size=1)]
    with contextlib.redirect_stdout(sys.stderr):  # it shows how far it is
        return nncf.quantize(
            model,
            nncf.Dataset(batches),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(batches),
        )


def _write(quantized: Any, description: dict[str, Any], vocabulary: bytes, target: str) -> None:
    def publish(temporary: str) -> None:
        if os.path.lexists(target):
            raise OutputError(f"{target} exists already; name a new directory.")
        files.rename(temporary, target)

    whole_files.remove_abandoned(os.path.dirname(target) or ".")
    with whole_files.complete_directory(
        target, publish, problem=f"Cannot write {target}", advice="; nothing was written."
    ) as temporary:
        folder = files.join(temporary, _VERSION)
        extra = files.join(folder, ASSETS_EXTRA)
        files.make_directory(extra, "DIR")
        try:
            import_openvino().save_model(
                quantized, files.join(folder, OPENVINO_MODEL), compress_to_fp16=False
            )
        except RuntimeError as error:
            raise files.refusal(f"Cannot write {target}", error) from error
        files.write_bytes(files.join(extra, VOCABULARY), vocabulary)
        content = json.dumps({**description, FILES: described_files(folder)}, indent=4) + "\n"
        files.write_bytes(files.join(folder, EXPORT_JSON), content.encode())

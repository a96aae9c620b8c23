"""The directory of an exported model: which versions it holds, and whether a version is as it was written.

TensorFlow trusts what it reads: a damaged SavedModel comes out as an error of nearly any kind, or ends the process. So
`export.json` records the files, and they are compared before TensorFlow opens them. What a file with weights holds is
left to TensorFlow, which has a checksum for each.
"""

import hashlib
from typing import Any

from bert_squad import files
from bert_squad.errors import CheckpointError, ConfigError
from bert_squad.json_files import read_json

SAVED_MODEL = "saved_model.pb"
FINGERPRINT = "fingerprint.pb"
EXPORT_JSON = "export.json"
ASSETS_EXTRA = "assets.extra"
VOCABULARY = "vocab.txt"
OPENVINO_MODEL, OPENVINO_WEIGHTS = "model.xml", "model.bin"
"""What `bert-squad quantize` writes in place of a SavedModel."""
FILES = "files"
"""The key of `export.json` with what `described_files` returns."""

_VARIABLES = "variables"
_WEIGHTS = f"{_VARIABLES}/variables.data-"
_AGAIN = "export it again with --do_export"
_QUANTIZE_AGAIN = "quantize it again"


def versions(export_dir: str) -> list[int]:
    """Return the numbers of the versions in a directory, the latest last; none when it does not exist.

    Raises:
      OSError: when it cannot be read.
    """
    if not files.is_directory(export_dir):
        return []
    return sorted(int(name) for name in files.names_in(export_dir) if _is_number(name))


def _check_weights(version_dir: str) -> None:
    """Refuse weights whose index TensorFlow might not survive.

    Raises:
      ConfigError: when it is damaged.
    """
    from bert_squad.checkpoints.bundle import read_bundle  # imports TensorFlow

    prefix = files.join(version_dir, _VARIABLES, _VARIABLES)
    if files.is_file(f"{prefix}.index"):
        try:
            read_bundle(prefix)
        except CheckpointError as error:
            raise ConfigError(f"The model {version_dir} is damaged: {error}") from None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and str(int(name)) == name


def check_nameable(path: str, flag: str) -> None:
    """Refuse a path that TensorFlow cannot be given.

    Raises:
      ConfigError: when it is not UTF-8.
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(
            f"{flag}: TensorFlow reaches only paths that are UTF-8, which {path!r} is not; name another."
        ) from None


def latest_version(path: str, flag: str = "--model") -> str:
    """Return the directory of a SavedModel or of a quantized model: `path` itself, or the latest version in it.

    Raises:
      ConfigError: when there is none.
    """
    if files.is_file(files.join(path, SAVED_MODEL)) or is_quantized(path):
        return path
    try:
        # A file of that name, such as a copy that bears a date, is no version.
        numbers = [number for number in versions(path) if files.is_directory(files.join(path, str(number)))]
    except OSError as error:
        raise ConfigError(f"Cannot read {path} ({files.reason_of(error)}); check {flag}.") from None
    if not numbers:
        raise ConfigError(
            f"There is no exported model in {path}; name the directory that --export_dir named, or a version in it."
        )
    return files.join(path, str(numbers[-1]))


def is_quantized(version_dir: str) -> bool:
    """Say whether a version is what `bert-squad quantize` writes, and no SavedModel."""
    return files.is_file(files.join(version_dir, OPENVINO_MODEL))


def described_files(version_dir: str) -> dict[str, dict[str, Any]]:
    """Return the length, and for all but a SavedModel's weights the SHA-256, of each file of a model, by its name.

    Raises:
      OSError: when one cannot be read.
    """
    folder = files.join(version_dir, _VARIABLES)
    names = [SAVED_MODEL, FINGERPRINT, OPENVINO_MODEL, OPENVINO_WEIGHTS]
    if files.is_directory(folder):
        names += [f"{_VARIABLES}/{name}" for name in files.names_in(folder)]
    described: dict[str, dict[str, Any]] = {}
    for name in names:
        path = files.join(version_dir, name)
        if not files.is_regular(path):
            continue
        described[name] = {"bytes": files.size_of(path)}
        if not name.startswith(_WEIGHTS):
            described[name]["sha256"] = hashlib.sha256(files.read_bytes(path)).hexdigest()
    return described


def check_version(version_dir: str) -> None:
    """Refuse a version whose files are not those that were exported, as far as its `export.json` tells.

    Raises:
      ConfigError: naming the file.
    """
    if not files.is_file(files.join(version_dir, SAVED_MODEL)) and not is_quantized(version_dir):
        raise ConfigError(f"The model {version_dir} is damaged: there is no file {SAVED_MODEL}; {_AGAIN}.")
    path = files.join(version_dir, EXPORT_JSON)
    if not files.exists(path):
        _check_weights(version_dir)  # of another program, or exported before there was one
        return
    said = read_json(path, "description of a model", flag="--model", error=ConfigError)
    if isinstance(said, dict) and FILES not in said:  # exported before they were recorded
        _check_weights(version_dir)
        return
    recorded = said[FILES] if isinstance(said, dict) else None
    if not isinstance(recorded, dict):
        raise ConfigError(f"{path} is damaged: it does not describe a model; {_AGAIN}.")
    try:
        found = described_files(version_dir)
    except OSError as error:
        raise ConfigError(
            f"Cannot read the model {version_dir} ({files.reason_of(error)}); check --model."
        ) from None
    for name, description in recorded.items():
        if name not in found:
            again = _QUANTIZE_AGAIN if is_quantized(version_dir) else _AGAIN
            raise ConfigError(f"The model {version_dir} is not whole: {name!r} is missing; {again}.")
        if found[name] != description:
            again = _QUANTIZE_AGAIN if is_quantized(version_dir) else _AGAIN
            raise ConfigError(
                f"The model {version_dir} is damaged: {name!r} is not the file that was exported; {again}."
            )

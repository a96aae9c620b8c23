"""Write a model to a directory that TF Serving loads.

    export_dir/
      1718000000/                    a version: the seconds since 1970, or more where that is taken
        saved_model.pb  variables/   graph, signatures and weights
        assets.extra/
          tf_serving_warmup_requests one request for each signature, run by the server before it takes others
          vocab.txt                  for clients that tokenize by themselves
        batching_params.pbtxt        how the server may answer requests together, if it is told to
        export.json                  where the model comes from

A server polls `export_dir` and takes any new number for a complete model. So a version is written under a name
that is no number, and renamed when all of it is on the disk.
"""

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from bert_squad import files, links, whole_files
from bert_squad.bert_config import BertConfig
from bert_squad.config import EXPORT_DTYPES, EXPORT_SIGNATURES, SquadConfig
from bert_squad.errors import ConfigError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.serving.batching_params import write_batching_params
from bert_squad.serving.older_servers import open_to_older_servers
from bert_squad.serving.signatures import ServedModel
from bert_squad.serving.text_operations import load_tensorflow_text
from bert_squad.serving.versions import (
    ASSETS_EXTRA,
    EXPORT_JSON,
    FILES,
    VOCABULARY,
    check_nameable,
    described_files,
    versions,
)
from bert_squad.serving.warmup import write_warmup_requests
from bert_squad.text.tokenization import FullTokenizer


def export_model(
    model: BertForSquad,
    config: SquadConfig,
    bert_config: BertConfig,
    tokenizer: FullTokenizer,
    metrics: dict[str, float] | None,
    export_dir: str,
    dtype: str = "float32",
    signatures: str = "all",
    *,
    training: Mapping[str, Any] | None = None,
) -> str:
    """Export a model as a SavedModel, with the signatures that `bert_squad.serving.signatures` lists.

    Args:
      model: the model, with its weights loaded.
      config: the run, whose lengths, n-best size and threshold are built in.
      bert_config: describes the model.
      tokenizer: the run's tokenizer.
      metrics: how well the model answers, for `export.json`; None when that is not known.
      export_dir: directory of all versions, local or remote; created if need be.
      dtype: one of `EXPORT_DTYPES`. "bfloat16" stores the weights in half the space and computes with them; inputs
        and outputs are the same.
      signatures: one of `EXPORT_SIGNATURES`. "features" leaves out those that answer texts, and with them the need for
        TensorFlow Text, here and where the model is loaded.
      training: the record of the training that the weights come from, `run.json`, for `export.json`; None when there
        is none.

    Returns:
      The path of the new version.

    Raises:
      ConfigError: when `dtype` is none of `EXPORT_DTYPES` or `signatures` none of `EXPORT_SIGNATURES`, or TensorFlow
        Text is needed and does not work.
      OutputError: when `export_dir` cannot be written; there is no new version then.
    """
    if dtype not in EXPORT_DTYPES:
        raise ConfigError(f"--export_dtype must be one of {', '.join(EXPORT_DTYPES)}, not {dtype!r}.")
    if signatures not in EXPORT_SIGNATURES:
        raise ConfigError(
            f"--export_signatures must be one of {', '.join(EXPORT_SIGNATURES)}, not {signatures!r}."
        )
    check_exportable(export_dir, signatures)
    logging.info("Exporting the model, %s weights, to %s", dtype, export_dir)
    whole_files.remove_abandoned(export_dir)
    version = _next_version(export_dir)
    version_dir = ""

    def publish(temporary: str) -> None:
        nonlocal version_dir
        version_dir = _publish(temporary, export_dir)

    with whole_files.complete_directory(
        files.join(export_dir, f"temp-{version}"),
        publish,
        problem=f"Cannot export to {files.join(export_dir, str(version))}",
        advice="; no version was added.",
    ) as temporary:
        logging.info("Exporting, 1 of 3: making the signatures")
        served = ServedModel(model.with_all_in(dtype), config, bert_config, tokenizer, signatures)
        logging.info("Exporting, 2 of 3: writing the graph and the weights")
        with _quiet_tensorflow():
            target = links.without_pattern(temporary, served)
            tf.saved_model.save(served, target, signatures=served.functions)
            open_to_older_servers(target)
        logging.info("Exporting, 3 of 3: writing the description and the warm-up requests")
        description = _description(config, bert_config, tokenizer, metrics, dtype, list(served.functions))
        description |= {"training": training, FILES: described_files(temporary)}
        _write_json(files.join(temporary, EXPORT_JSON), description)
        extra = files.join(temporary, ASSETS_EXTRA)
        files.make_directory(extra, "--export_dir")
        files.write_bytes(files.join(extra, VOCABULARY), tokenizer.vocab_content)
        write_warmup_requests(temporary, extra)
        write_batching_params(temporary)
    logging.info("Exported the model to %s", version_dir)
    return version_dir


def check_exportable(export_dir: str, signatures: str = "all") -> None:
    """Make sure that a model can be exported to a directory, which is created; for the start of a run.

    Args:
      export_dir: the directory of all versions.
      signatures: one of `EXPORT_SIGNATURES`.

    Raises:
      ConfigError: when TensorFlow Text is needed and does not work, or TensorFlow cannot reach a path of that name.
      OutputError: when the directory cannot be created, or not be written to.
    """
    check_nameable(export_dir, "--export_dir")
    if signatures == "all":
        load_tensorflow_text()
    files.make_directory(export_dir, "--export_dir")


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Keep out of the log what TensorFlow says of every variable that it saves."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _next_version(export_dir: str) -> int:
    return max([int(time.time()), *(version + 1 for version in versions(export_dir))])


def _publish(temporary: str, export_dir: str) -> str:
    """Give a complete version its number: the next that no other export has taken meanwhile."""
    while True:
        version_dir = files.join(export_dir, str(_next_version(export_dir)))
        try:
            files.rename(temporary, version_dir)
        except OSError:
            if not files.exists(version_dir):
                raise
        else:
            return version_dir


def _description(
    config: SquadConfig,
    bert_config: BertConfig,
    tokenizer: FullTokenizer,
    metrics: dict[str, float] | None,
    dtype: str,
    signatures: list[str],
) -> dict[str, Any]:
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "tensorflow": tf.__version__,
        "tensorflow_text": load_tensorflow_text().__version__ if "answer" in signatures else None,
        "signatures": signatures,
        "export_dtype": dtype,
        "flags": dataclasses.asdict(config),
        "bert_config": bert_config.to_dict(),
        "vocabulary": {
            "file": tokenizer.vocab_file,
            "pieces": len(tokenizer.vocab),
            "sha256": hashlib.sha256(tokenizer.vocab_content).hexdigest(),
        },
        "null_score_diff_threshold": config.null_score_diff_threshold
        if config.version_2_with_negative
        else None,
        "metrics": metrics,
    }


def _write_json(path: str, content: dict[str, Any]) -> None:
    files.write_bytes(path, (json.dumps(content, indent=4) + "\n").encode())

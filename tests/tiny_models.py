"""Tiny models with weights that differ everywhere, and what is written of them in other programs' formats."""

import importlib
import json
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from safetensors.numpy import save_file
from tiny_config import TINY

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.model.squad_model import BertForSquad

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *(chr(ord("a") + i) for i in range(26)),
    "##s",
    "?",
    ".",
]


def tiny_model(seed: int = 0, config: BertConfig = TINY) -> BertForSquad:
    """Make a model whose every weight is random, biases and LayerNorm too, and far from what training starts from."""
    model = BertForSquad(config)
    _fill(
        [(entry.name, entry.variable) for entry in tf1_variables(model).values()],
        np.random.default_rng(seed),
        config,
    )
    return model


def _fill(named_variables, rng, config):
    """Draw weights of a size that keeps hidden states near 1, as trained weights do."""
    for name, variable in named_variables:
        shift = 1.0 if "gamma" in name else 0.0
        variable.assign(shift + rng.normal(0, config.hidden_size**-0.5, variable.shape))


def weights(model) -> dict[str, np.ndarray]:
    """Return the weights by legacy name, in the legacy shapes."""
    return {name: entry.to_checkpoint(entry.variable).numpy() for name, entry in tf1_variables(model).items()}


def assert_same_weights(model, expected: dict[str, np.ndarray], but: tuple[str, ...] = ()):
    for name, value in weights(model).items():
        if name not in but:
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


def random_inputs(seed: int = 0, lengths=(16, 11, 5, 1), config: BertConfig = TINY) -> dict[str, np.ndarray]:
    """Make a batch of random ids, each row as long as `lengths` says and padded with zeros."""
    rng = np.random.default_rng(seed)
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int32)
    return {
        "input_ids": rng.integers(1, config.vocab_size, mask.shape).astype(np.int32) * mask,
        "input_mask": mask,
        "segment_ids": rng.integers(0, 2, mask.shape).astype(np.int32) * mask,
    }


def write_huggingface(
    directory: Path,
    tensors: dict[str, np.ndarray],
    config: dict | None = None,
    name: str = "model.safetensors",
) -> Path:
    """Write tensors under the names given, and a `config.json` of TINY with changes, as transformers would."""
    directory.mkdir(parents=True, exist_ok=True)
    values = {"model_type": "bert", **TINY.to_dict(), "hidden_act": "gelu_new", **(config or {})}
    (directory / "config.json").write_text(json.dumps(values))
    contiguous = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    save_file(contiguous, directory / name, metadata={"format": "pt"})
    return directory


def model_garden(module: str):
    """Import a module of the Model Garden; it takes seconds and warns about many things that are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"official.nlp.modeling.{module}")


def garden_encoder(class_name: str, config: BertConfig = TINY, **changes):
    """Make an encoder of the Model Garden with random weights, biases too; V2 is built by calling it."""
    networks = model_garden("networks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = getattr(networks, class_name)(
            **{
                "vocab_size": config.vocab_size,
                "hidden_size": config.hidden_size,
                "num_layers": config.num_hidden_layers,
                "num_attention_heads": config.num_attention_heads,
                "max_sequence_length": config.max_position_embeddings,
                "type_vocab_size": config.type_vocab_size,
                "inner_dim": config.intermediate_size,
                "output_dropout": 0.0,
                "attention_dropout": 0.0,
                **changes,
            }
        )
        ids = tf.zeros([1, 2], tf.int32)
        encoder({"input_word_ids": ids, "input_mask": ids + 1, "input_type_ids": ids})
    _fill([(variable.name, variable) for variable in encoder.variables], np.random.default_rng(7), config)
    return encoder

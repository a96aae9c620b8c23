"""Damaged model configurations: understood, or refused in a sentence."""

import pytest
from faults.json_mutation import check_json_reader

from bert_squad.bert_config import BertConfig

FUZZ_SECONDS = [2, pytest.param(30, marks=pytest.mark.slow)]
SEEDS = [
    {"vocab_size": 40, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "hidden_act": "gelu",
     "hidden_dropout_prob": 0.1, "initializer_range": 0.02, "max_position_embeddings": 16},
    {"model_type": "bert", "vocab_size": 40, "hidden_size": 12, "num_attention_heads": 3, "hidden_act": "gelu_new",
     "layer_norm_eps": 1e-12, "position_embedding_type": "absolute", "architectures": ["BertForMaskedLM"]},
]  # fmt: skip


@pytest.mark.parametrize("seconds", FUZZ_SECONDS)
def test_reading(tmp_path, seconds):
    path = tmp_path / "bert_config.json"

    def read(content):
        path.write_bytes(content)
        config = BertConfig.from_json_file(str(path))
        assert isinstance(config.hidden_size, int)
        assert 0 <= config.hidden_dropout_prob < 1
        hash(config)

    check_json_reader(read, SEEDS, seconds)

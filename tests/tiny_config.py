"""The configuration of a tiny model, for tests that do without TensorFlow too."""

from bert_squad.bert_config import BertConfig

TINY = BertConfig(
    vocab_size=40,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=16,
    type_vocab_size=2,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)

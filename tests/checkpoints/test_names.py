import pytest
from golden_files import golden, read_json
from tiny_config import TINY
from tiny_models import tiny_model

from bert_squad.checkpoints import names
from bert_squad.checkpoints.model_variables import tf1_variables


def test_the_table_names_every_variable_of_the_model_once():
    model = tiny_model()
    named = [entry.variable for entry in tf1_variables(model).values()]
    assert len(named) == len(model.variables)
    assert {id(variable) for variable in named} == {id(variable) for variable in model.variables}


def test_shapes_and_order_are_those_of_the_table():
    """The optimizer sums the norms of gradients in this order, so a change of it is a change of the last bits."""
    listed = [*names.encoder_variables(TINY.num_hidden_layers), *names.POOLER, *names.SPAN_HEAD]
    assert [(name, entry.shape) for name, entry in tf1_variables(tiny_model()).items()] == [
        (variable.legacy, names.expected_shape(variable, TINY)) for variable in listed
    ]


def test_every_variable_of_the_legacy_program_is_named():
    legacy = {entry["name"] for entry in read_json(golden("model/trajectory/variables.json"))}
    weights = {name for name in legacy if not name.endswith(names.SLOT_NAMES)} - {names.GLOBAL_STEP}
    listed = [*names.encoder_variables(names.layer_count(legacy)), *names.POOLER, *names.SPAN_HEAD]
    assert {variable.legacy for variable in listed} == weights


def test_the_order_is_that_of_the_legacy_script():
    ordered = [variable.legacy for variable in names.encoder_variables(2)]
    layer = [
        *("attention/self/query/kernel", "attention/self/query/bias"),
        *("attention/self/key/kernel", "attention/self/key/bias"),
        *("attention/self/value/kernel", "attention/self/value/bias"),
        *("attention/output/dense/kernel", "attention/output/dense/bias"),
        *("attention/output/LayerNorm/beta", "attention/output/LayerNorm/gamma"),
        *("intermediate/dense/kernel", "intermediate/dense/bias"),
        *("output/dense/kernel", "output/dense/bias"),
        *("output/LayerNorm/beta", "output/LayerNorm/gamma"),
    ]
    assert ordered == [
        "bert/embeddings/word_embeddings",
        "bert/embeddings/token_type_embeddings",
        "bert/embeddings/position_embeddings",
        "bert/embeddings/LayerNorm/beta",
        "bert/embeddings/LayerNorm/gamma",
        *(f"bert/encoder/layer_{index}/{name}" for index in range(2) for name in layer),
    ]


def test_the_golden_name_map():
    """103 rows that were checked value by value against the legacy program's own weights."""
    rows = read_json(golden("model/minilm/name_map.json"))
    assert len(rows) == 103
    for row in rows:
        variable = names.from_huggingface(row["hf"])
        assert (variable.legacy, variable.transposed) == (row["tf1"], row["transpose"])
        assert names.from_legacy(row["tf1"]).huggingface == f"bert.{row['hf']}"


@pytest.mark.parametrize(
    ("name", "legacy"),
    [
        ("embeddings.LayerNorm.gamma", "bert/embeddings/LayerNorm/gamma"),
        ("bert.embeddings.LayerNorm.beta", "bert/embeddings/LayerNorm/beta"),
        ("bert.encoder.layer.3.output.LayerNorm.gamma", "bert/encoder/layer_3/output/LayerNorm/gamma"),
        ("cls.predictions.transform.LayerNorm.beta", "cls/predictions/transform/LayerNorm/beta"),
        ("cls.seq_relationship.weight", "cls/seq_relationship/output_weights"),
        ("qa_outputs.weight", "cls/squad/output_weights"),
    ],
)
def test_old_names_and_heads(name, legacy):
    assert names.from_huggingface(name).legacy == legacy


@pytest.mark.parametrize(
    "name",
    [
        "roberta.encoder.layer.0.output.dense.weight",
        "distilbert.transformer.layer.0.attention.q_lin.weight",
        "encoder.layer.#.output.dense.weight",
        "encoder.layer.123456.output.dense.weight",
        "encoder.layer.0.output.dense.weight.extra",
        "bert.bert.pooler.dense.weight",
        "",
    ],
)
def test_what_is_not_of_bert(name):
    assert names.from_huggingface(name) is None
    assert names.from_legacy(name) is None


def test_pre_training_heads_have_the_legacy_names():
    """As a legacy pre-training checkpoint holds them."""
    ignored = read_json(golden("model/pretrain_like/initialized.json"))["ignored_checkpoint_variables"]
    heads = {
        name for name in ignored if name.startswith("cls/") and not name.endswith(("/adam_m", "/adam_v"))
    }
    assert {variable.legacy for variable in names.PRE_TRAINING_HEADS} == heads

import dataclasses
import functools
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from golden_files import golden
from tiny_config import TINY
from tiny_models import random_inputs

from bert_squad.bert_config import HIDDEN_ACTIVATIONS, BertConfig
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.errors import ConfigError, DataError
from bert_squad.model.encoder import activation_function
from bert_squad.model.squad_model import BertForSquad


def tiny_inputs(length=12):
    return random_inputs(lengths=[length] * 3)


@pytest.fixture(scope="module")
def golden_model():
    model = BertForSquad(BertConfig.from_json_file(str(golden("model/tiny_gelu/bert_config.json"))))
    load_checkpoint(model, str(golden("model/tiny_gelu/model.ckpt.index")).removesuffix(".index"))
    return model


def test_forward_pass_equals_the_legacy_one(golden_model):
    inputs = dict(np.load(golden("model/tiny_gelu/inputs.npz")))
    expected = np.load(golden("model/tiny_gelu/outputs.npz"))
    states = golden_model.bert(inputs["input_ids"], inputs["input_mask"], inputs["segment_ids"])
    np.testing.assert_allclose(states[0], expected["embedding_output"], atol=1e-5)
    np.testing.assert_allclose(tf.stack(states[1:]), expected["all_encoder_layers"], atol=1e-5)
    np.testing.assert_allclose(states[-1], expected["sequence_output"], atol=1e-5)
    np.testing.assert_allclose(
        golden_model.bert.pooled_output(states[-1]), expected["pooled_output"], atol=1e-5
    )
    start_logits, end_logits = golden_model(inputs)
    np.testing.assert_allclose(start_logits, expected["start_logits"], atol=1e-5)
    np.testing.assert_allclose(end_logits, expected["end_logits"], atol=1e-5)
    assert start_logits.dtype == end_logits.dtype == tf.float32


def test_padding_does_not_reach_real_positions(golden_model):
    inputs = tiny_inputs()
    inputs["input_mask"][:, 8:] = 0
    before = golden_model(inputs)[0][:, :8]
    inputs["input_ids"][:, 8:] = 7
    np.testing.assert_array_equal(golden_model(inputs)[0][:, :8], before)


@pytest.mark.parametrize("name", [*HIDDEN_ACTIVATIONS, "GELU", None, ""])
def test_activations(name):
    x = np.array([-2.0, -0.5, 0.0, 1.0], np.float32)
    expected = {
        "gelu": 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        "relu": np.maximum(x, 0),
        "tanh": np.tanh(x),
        "linear": x,
    }[(name or "linear").lower()]
    np.testing.assert_allclose(activation_function(name)(tf.constant(x)), expected, atol=1e-6)
    assert activation_function(name) is activation_function(name), "else each layer is compiled anew"


def test_initial_weights_follow_the_legacy_initializers():
    tf_keras.utils.set_random_seed(3)
    model = BertForSquad(
        BertConfig(vocab_size=2000, hidden_size=64, num_hidden_layers=1, num_attention_heads=4)
    )
    table = model.bert.embeddings.word_embeddings.numpy()
    # A normal of deviation 0.02 cut at two deviations has a deviation of 0.88 of that.
    assert np.abs(table).max() <= 0.04
    assert table.std() == pytest.approx(0.0176, rel=0.02)
    assert not model.span_head.dense.bias.numpy().any()
    assert model.span_head.dense.kernel.shape == (64, 2)
    assert (model.bert.transformer_layers[0].output_layer_norm.gamma.numpy() == 1).all()


def test_the_same_seed_gives_the_same_model():
    weights = []
    for _ in range(2):
        tf_keras.utils.set_random_seed(7)
        weights.append(BertForSquad(TINY).get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_dropout_is_a_function_of_the_seed():
    model = BertForSquad(dataclasses.replace(TINY, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1))
    inputs = tiny_inputs()

    def scores(**options):
        return model(inputs, **options)[0].numpy()

    once, again, other = (
        scores(training=True, dropout_seed=tf.constant(seed)) for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 1e-6
    assert np.abs(scores(training=True) - scores(training=True)).max() > 1e-6
    np.testing.assert_array_equal(scores(), scores(dropout_seed=tf.constant([1, 2])))


def test_the_model_can_be_described_and_made_again():
    model = BertForSquad(TINY, compute_dtype="float16", pad_to="batch")
    description = json.loads(json.dumps(model.get_config()))
    again = BertForSquad.from_config(description)
    assert (again.bert_config, again.compute_dtype, again.variable_dtype, again.pad_to) == (
        TINY,
        "float16",
        "float32",
        "batch",
    )
    assert {key for key in description if key in ("bert_config", "dtype", "pad_to")} == {
        "bert_config",
        "dtype",
        "pad_to",
    }


def test_it_has_a_summary_before_it_is_called():
    lines = []
    BertForSquad(TINY).summary(print_fn=lines.append)
    assert f"Total params: {TINY.num_parameters}" in "\n".join(lines)


def test_what_was_trained_in_any_way_is_exported_exact(golden_model):
    """`with_all_in` is what export writes."""
    inputs = dict(np.load(golden("model/tiny_gelu/inputs.npz")))
    trained = BertForSquad(golden_model.bert_config, compute_dtype="bfloat16", pad_to="batch")
    trained.set_weights(golden_model.get_weights())
    exported = trained.with_all_in("float32")
    np.testing.assert_array_equal(exported(inputs)[0], golden_model(inputs)[0])
    assert {weight.dtype for weight in trained.with_all_in("bfloat16").weights} == {tf.bfloat16}


@pytest.fixture
def global_policy():
    """Set Keras' global policy in a test; before and after, none is set."""
    tf_keras.mixed_precision.set_global_policy(None)
    yield tf_keras.mixed_precision.set_global_policy
    tf_keras.mixed_precision.set_global_policy(None)


def test_a_keras_policy_is_followed(global_policy):
    """As `dtype`, or the global one; what is asked for by `compute_dtype` goes before that."""
    inputs = tiny_inputs()
    wanted = BertForSquad(TINY, compute_dtype="bfloat16")
    by_dtype = BertForSquad(TINY, dtype="mixed_bfloat16")
    global_policy("mixed_bfloat16")
    by_global_policy = BertForSquad(TINY)
    exact = BertForSquad(TINY, compute_dtype="float32")
    for model in (by_dtype, by_global_policy, exact):
        model.set_weights(wanted.get_weights())
        assert {weight.dtype for weight in model.weights} == {tf.float32}
    np.testing.assert_array_equal(by_dtype(inputs), wanted(inputs))
    np.testing.assert_array_equal(by_global_policy(inputs), wanted(inputs))
    global_policy("float32")
    as_ever = BertForSquad(TINY)
    as_ever.set_weights(wanted.get_weights())
    np.testing.assert_array_equal(exact(inputs), as_ever(inputs))
    assert not np.array_equal(exact(inputs), wanted(inputs))


def test_an_explicit_type_does_not_ask_floatx(global_policy):
    before = tf_keras.backend.floatx()
    tf_keras.backend.set_floatx("float64")
    try:
        model = BertForSquad(TINY, compute_dtype="bfloat16")
        with pytest.raises(ConfigError, match="policy 'float64' is not one"):
            BertForSquad(TINY)
        logits = model(tiny_inputs())
    finally:
        tf_keras.backend.set_floatx(before)
    assert {weight.dtype for weight in model.weights} == {tf.float32}
    assert {x.dtype for x in logits} == {tf.float32}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compute_dtype": "int8"}, "must be one of float32, bfloat16, float16, not 'int8'"),
        ({"compute_dtype": "bfloat16", "dtype": "mixed_bfloat16"}, "but not both"),
        ({"pad_to": "longest"}, '`pad_to` must be "max" or "batch", not \'longest\''),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        BertForSquad(TINY, **options)


@pytest.mark.parametrize("way", ["__call__", "predict"])
def test_bad_inputs_are_named(way):
    """In a graph too, where AutoGraph likes to put errors of its own in the place of ours."""
    model = BertForSquad(TINY)
    score = model if way == "__call__" else functools.partial(model.predict, verbose=0)
    with pytest.raises(ConfigError) as error:
        score(tiny_inputs(length=17))
    assert str(error.value) == (
        "A sequence of 17 WordPieces is longer than the model's 16 positions; make features with a max_seq_length of "
        "at most 16 (`max_position_embeddings` of its configuration)."
    )
    inputs = tiny_inputs()
    del inputs["input_mask"]
    with pytest.raises(DataError) as error:
        score(inputs)
    assert str(error.value) == (
        "The model's inputs lack input_mask: they are a dict of input_ids, input_mask, segment_ids, each [batch, "
        "sequence]; given: input_ids, segment_ids."
    )
    with pytest.raises(DataError, match="inputs lack input_ids and input_mask and segment_ids"):
        score(tiny_inputs()["input_ids"])


@pytest.mark.parametrize("kind", [np.int64, np.uint8, "bool mask", "lists"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pad_to", ["max", "batch"])
def test_whole_numbers_of_any_type_will_do(kind, training, pad_to):
    inputs = tiny_inputs()
    inputs["input_mask"][0, 5:] = 0
    if kind == "bool mask":
        others = {**inputs, "input_mask": inputs["input_mask"].astype(bool)}
    elif kind == "lists":
        others = {name: values.tolist() for name, values in inputs.items()}
    else:
        others = {name: values.astype(kind) for name, values in inputs.items()}
    model = BertForSquad(TINY, pad_to=pad_to)
    seed = tf.constant([1, 2])
    got, wanted = (model(x, training=training, dropout_seed=seed)[0] for x in (others, inputs))
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids: ids.astype(np.float32), "input input_ids is float32; it must be of whole numbers"),
        (
            lambda ids: ids[0],
            r"of one shape, \[batch, sequence\]; given: input_ids \(12,\), input_mask \(3, 12\), seg",
        ),
        (lambda ids: ids[:, :8], r"of one shape, .* input_ids \(3, 8\), input_mask \(3, 12\)"),
        (lambda ids: ids[:2], r"of one shape, .* input_ids \(2, 12\), input_mask \(3, 12\)"),
        (lambda ids: tf.RaggedTensor.from_tensor(ids), "input_ids is a RaggedTensor; pad it"),
    ],
)
def test_inputs_of_another_kind_or_shape_are_named(change, message):
    inputs = tiny_inputs()
    with pytest.raises(DataError, match=message):
        BertForSquad(TINY)({**inputs, "input_ids": change(inputs["input_ids"])})


@pytest.mark.parametrize(("layers", "wide"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_the_early_layers_are_the_first_half_rounded_down(layers, wide):
    model = BertForSquad(dataclasses.replace(TINY, num_hidden_layers=layers))
    of_layers = [layer.attention.projects_wide for layer in model.bert.transformer_layers]
    assert of_layers == [True] * wide + [False] * (layers - wide)


def test_queries_and_keys_of_early_layers_are_wide_in_prediction(golden_model):
    """Rounded to bfloat16, their weights move logits; not rounded, they do not."""
    inputs = dict(np.load(golden("model/tiny_gelu/inputs.npz")))
    model = BertForSquad(golden_model.bert_config, compute_dtype="bfloat16")
    model.set_weights(golden_model.get_weights())
    before = model(inputs)[0].numpy()
    for layer, is_wide in zip(model.bert.transformer_layers, [True, False], strict=True):
        for dense in (layer.attention.query, layer.attention.key):
            kernel = tf.identity(dense.kernel)
            dense.kernel.assign(tf.cast(tf.cast(kernel, tf.bfloat16), tf.float32))
            moved = np.abs(model(inputs)[0] - before).max()
            assert (moved > 0) == is_wide
            dense.kernel.assign(kernel)

import numpy as np
import pytest
import tensorflow as tf
from golden_files import golden, read_json
from tiny_models import tiny_model

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints import directory
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.model_variables import tf1_variables
from bert_squad.checkpoints.names import SLOT_NAMES
from bert_squad.checkpoints.tf1 import Tf1Reader
from bert_squad.errors import ConfigError
from bert_squad.model.span_head import span_loss
from bert_squad.model.squad_model import BertForSquad
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay, learning_rate_at

TRAJECTORY = read_json(golden("model/trajectory/trajectory.json"))
HYPER = TRAJECTORY["hyper_parameters"]


def prefix(name: str) -> str:
    return str(golden(f"model/trajectory/{name}.index")).removesuffix(".index")


def new_model():
    return BertForSquad(BertConfig.from_json_file(str(golden("model/trajectory/bert_config.json"))))


class Run:
    """The golden run, one step at a time."""

    def __init__(self, model, num_parts=1):
        self.model, self.optimizer = model, AdamWeightDecay.for_model(model)
        self.batches = np.load(golden("model/trajectory/batches.npz"))
        self.train_step = make_train_step(
            model,
            self.optimizer,
            learning_rate=HYPER["learning_rate"],
            num_train_steps=HYPER["num_train_steps"],
            num_warmup_steps=HYPER["num_warmup_steps"],
            seed=0,
            num_parts=num_parts,
        )

    def step(self, index: int) -> list[float]:
        batch = {key: tf.constant(self.batches[key][index]) for key in self.batches.files}
        return [float(value) for value in self.train_step(tf.constant(index), batch)]


def check_against_checkpoint(run: Run, step: int) -> None:
    """Compare weights and slots with the tolerances that the goldens' README suggests."""
    reader = Tf1Reader(prefix(f"model.ckpt-{step}"))
    for name, entry in tf1_variables(run.model).items():
        tolerance = 1e-3 if name == "cls/squad/output_bias" else 5e-5
        np.testing.assert_allclose(
            entry.variable, entry.from_checkpoint(reader[name]), rtol=0, atol=tolerance, err_msg=name
        )
        if entry.trained:
            for slot, variable, tolerance in zip(
                SLOT_NAMES, run.optimizer.slots(name), (1e-6, 1e-8), strict=True
            ):
                expected = entry.from_checkpoint(reader[f"{name}/{slot}"])
                np.testing.assert_allclose(
                    variable, expected, rtol=0, atol=tolerance, err_msg=f"{name}/{slot}"
                )


def check_step(index: int, values: list[float]) -> None:
    for name, value in zip(("loss", "learning_rate", "global_norm"), values, strict=True):
        assert value == pytest.approx(TRAJECTORY[name][index], rel=1e-5, abs=1e-12), (
            f"{name} of step {index + 1}"
        )


@pytest.fixture(params=["plain", "compiled"])
def each_update(request, monkeypatch):
    """Small variables are updated by plain operations, large ones by a compiled function: have all by one of them."""
    worth = 0 if request.param == "compiled" else 2**40
    monkeypatch.setattr("bert_squad.training.optimizer._WORTH_COMPILING", worth)


def test_24_steps_of_the_legacy_program(each_update):
    model = new_model()
    load_checkpoint(model, prefix("init/model.ckpt"))
    run = Run(model)
    pooler = model.bert.pooler.kernel.numpy()
    for index in range(24):
        check_step(index, run.step(index))
        if index + 1 in (1, 12, 24):
            check_against_checkpoint(run, index + 1)
    np.testing.assert_array_equal(model.bert.pooler.kernel, pooler)


@pytest.mark.parametrize("num_parts", [2, 4])
def test_24_steps_in_parts(num_parts):
    """A batch of four, two or one at a time: within what one device may differ by."""
    model = new_model()
    load_checkpoint(model, prefix("init/model.ckpt"))
    run = Run(model, num_parts)
    for index in range(24):
        check_step(index, run.step(index))
        if index + 1 in (1, 12, 24):
            check_against_checkpoint(run, index + 1)


def test_continuing_the_legacy_run_from_step_12():
    run = Run(new_model())
    assert directory.restore(prefix("model.ckpt-12"), run.model, run.optimizer) == 12
    losses = []
    for index in range(12, 24):
        values = run.step(index)
        check_step(index, values)
        losses.append(values[0])
    np.testing.assert_allclose(losses, read_json(golden("model/resume/trajectory.json"))["loss"], rtol=1e-5)
    check_against_checkpoint(run, 24)


def test_gradients_of_the_first_step():
    """Before clipping, by legacy name; the pooler has none."""
    model = new_model()
    load_checkpoint(model, prefix("init/model.ckpt"))
    batches = np.load(golden("model/trajectory/batches.npz"))
    batch = {key: tf.constant(batches[key][0]) for key in batches.files}
    named = tf1_variables(model)
    with tf.GradientTape() as tape:
        loss = span_loss(*model(batch, training=True), batch["start_positions"], batch["end_positions"])
    gradients = tape.gradient(loss, {name: entry.variable for name, entry in named.items()})
    expected = np.load(golden("model/trajectory/step1_dense_gradients.npz"))
    assert isinstance(gradients["bert/embeddings/word_embeddings"], tf.IndexedSlices)
    for name, gradient in gradients.items():
        if not named[name].trained:
            assert gradient is None
            continue
        gradient = named[name].to_checkpoint(tf.convert_to_tensor(gradient))
        np.testing.assert_allclose(gradient, expected[name], atol=1e-6, err_msg=name)


def test_the_optimizer_of_a_model_has_all_but_the_pooler():
    model = new_model()
    wanted = {name for name in tf1_variables(model) if not name.startswith("bert/pooler/")}
    assert set(AdamWeightDecay.for_model(model).variables_by_name) == wanted


def test_frozen_variables_keep_their_values_and_have_empty_slots():
    model = new_model()
    before = {name: entry.variable.numpy() for name, entry in tf1_variables(model).items()}
    run = Run(model)
    run.optimizer = AdamWeightDecay.for_model(model, trainable=r"^cls/|layer_1/output/dense")
    run.train_step = make_train_step(
        model, run.optimizer, learning_rate=1e-2, num_train_steps=24, num_warmup_steps=0, seed=0
    )
    loss, _, norm = run.step(0)
    assert np.isfinite([loss, norm]).all()
    trained = {
        *("bert/encoder/layer_1/output/dense/kernel", "bert/encoder/layer_1/output/dense/bias"),
        *("cls/squad/output_weights", "cls/squad/output_bias"),
    }
    assert set(run.optimizer.variables_by_name) == trained
    for name, entry in tf1_variables(model).items():
        assert np.array_equal(entry.variable, before[name]) == (name not in trained), name
        if entry.trained:
            assert all(slot.numpy().any() == (name in trained) for slot in run.optimizer.slots(name)), name


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("cls/squad/output_weights", 1.0),
        ("bert/encoder/layer_1/attention/self/query/kernel", 0.8**2),
        ("bert/encoder/layer_0/attention/self/query/kernel", 0.8**3),
        ("bert/embeddings/word_embeddings", 0.8**4),
        ("bert/embeddings/LayerNorm/beta", 0.8**4),
    ],
)
def test_lower_layers_learn_slower(name, rate, each_update):
    """The whole update of a variable is smaller, its weight decay too; in a model of two layers."""

    def change(**options):
        model = tiny_model()
        optimizer = AdamWeightDecay.for_model(model, **options)
        gradients = [tf.ones(variable.shape) for variable in optimizer.variables_by_name.values()]
        variable = tf1_variables(model)[name].variable
        before = variable.numpy()
        optimizer.apply_gradients(gradients, tf.constant(0.1))
        return variable.numpy() - before

    np.testing.assert_allclose(change(layerwise_lr_decay=0.8), rate * change(), rtol=1e-3, atol=1e-6)


def test_narrow_weights_are_not_trained():
    narrow = new_model().with_all_in("bfloat16")
    with pytest.raises(
        ConfigError, match=r"weights are bfloat16, and .* make it with compute_dtype=\"bfloat16\""
    ):
        AdamWeightDecay.for_model(narrow)


def test_norm_counts_repeated_rows_separately():
    """LEGACY: two slices of the same row, (3) and (4), have norm 5; summed to (7) they would have 7."""
    table = tf.Variable(tf.zeros([10, 1]))
    optimizer = AdamWeightDecay({"table": table})
    slices = tf.IndexedSlices(tf.constant([[3.0], [4.0]]), tf.constant([2, 2]), tf.constant([10, 1]))
    assert float(optimizer.apply_gradients([slices], tf.constant(0.1))) == pytest.approx(5.0)
    # Scaled by 1/5 and summed, the row gets 7/5.
    assert float(optimizer.slots("table")[0][2, 0]) == pytest.approx(0.1 * 7 / 5, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "decays"),
    [
        ("bert/embeddings/word_embeddings", True),
        ("cls/squad/output_weights", True),
        ("cls/squad/output_bias", False),
        ("bert/encoder/layer_0/output/LayerNorm/gamma", False),
        ("bert/encoder/layer_0/output/dense/bias", False),
    ],
)
def test_weight_decay_by_name(name, decays, each_update):
    variable = tf.Variable([2.0])
    AdamWeightDecay({name: variable}).apply_gradients([tf.constant([0.0])], tf.constant(0.5))
    assert float(variable[0]) == pytest.approx(2.0 - 0.5 * 0.01 * 2.0 if decays else 2.0, rel=1e-6)


def test_one_infinite_gradient_makes_everything_nan(each_update):
    """As `tf.clip_by_global_norm` does; nothing half updated may be saved as if it were good."""
    variables = {"kernel": tf.Variable([1.0]), "other": tf.Variable([2.0])}
    gradients = [tf.constant([float("inf")]), tf.constant([0.5])]
    AdamWeightDecay(variables).apply_gradients(gradients, tf.constant(0.01))
    assert all(np.isnan(variable.numpy()).all() for variable in variables.values())


def test_one_update_by_hand(each_update):
    """From the rule: m = 0.1 g, v = 0.001 g², no bias correction, epsilon outside the root."""
    variable = tf.Variable([1.0])
    AdamWeightDecay({"kernel": variable}).apply_gradients([tf.constant([0.5])], tf.constant(0.01))
    m, v = 0.1 * 0.5, 0.001 * 0.25
    expected = 1.0 - 0.01 * (m / (v**0.5 + 1e-6) + 0.01 * 1.0)
    assert float(variable[0]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("step", [0, 1, 4, 5, 23, 24, 30])
def test_learning_rate(step):
    expected = 1e-3 * step / 5 if step < 5 else 1e-3 * max(0, 1 - step / 24)
    assert float(learning_rate_at(tf.constant(step), 1e-3, 24, 5)) == pytest.approx(
        expected, rel=1e-6, abs=1e-12
    )


def test_learning_rate_without_warmup_starts_at_the_peak():
    assert float(learning_rate_at(tf.constant(0), 1e-3, 24, 0)) == pytest.approx(1e-3)


def test_frozen_weights_are_not_trained_silently():
    model = new_model()
    model.bert.trainable = False
    with pytest.raises(
        ConfigError, match=r"bert/embeddings/word_embeddings is frozen, and the legacy optimizer"
    ):
        AdamWeightDecay.for_model(model)

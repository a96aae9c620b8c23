"""The seed, the step, the layer and the place reach dropout masks.

The golden trajectories drop nothing, so a mask that is the same everywhere would change no number of theirs.
"""

import dataclasses

import pytest
import tensorflow as tf
from tiny_models import TINY, random_inputs, tiny_model

from bert_squad.model import dropout
from bert_squad.training.loop import make_train_step
from bert_squad.training.optimizer import AdamWeightDecay

DROPPING = dataclasses.replace(TINY, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3)
INPUTS = {name: tf.constant(value) for name, value in random_inputs().items()}


@pytest.fixture
def keys(monkeypatch):
    """The keys of the masks that a model draws, in order. Nothing is compiled, so that they have values."""
    seen = []
    keep_mask = dropout.keep_mask

    def seeing(shape, rate, key, *first_index):
        seen.append(tuple(key.numpy()))
        return keep_mask(shape, rate, key, *first_index)

    monkeypatch.setattr("bert_squad.model.fusion.has_gpu", lambda: True)
    monkeypatch.setattr(dropout, "keep_mask", seeing)
    return seen


@pytest.mark.parametrize("pad_to", ["max", "batch"])
def test_each_place_of_each_layer_has_a_key_of_its_own(keys, pad_to):
    model = tiny_model(2, DROPPING)
    model.pad_to = pad_to
    model(INPUTS, training=True, dropout_seed=tf.constant([3, 0]))
    # The embeddings; in each layer the probabilities, what comes of attention, and the output.
    assert len(set(keys)) == 1 + 3 * DROPPING.num_hidden_layers


def test_seed_and_step_change_every_key(keys):
    model, of_seeds = tiny_model(2, DROPPING), []
    for seed in ([3, 0], [3, 1], [4, 0]):
        keys.clear()
        model(INPUTS, training=True, dropout_seed=tf.constant(seed))
        of_seeds.append(list(keys))
    for of_places in zip(*of_seeds, strict=True):
        assert len(set(of_places)) == 3


@pytest.mark.parametrize("num_parts", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_seed_and_step_reach_the_loss(num_parts):
    def losses(seed, steps):
        model = tiny_model(2, DROPPING)
        step = make_train_step(
            model,
            AdamWeightDecay.for_model(model),
            learning_rate=0.0,  # so that all steps see the same weights
            num_train_steps=10,
            num_warmup_steps=0,
            seed=seed,
            num_parts=num_parts,
        )
        labels = {"start_positions": tf.constant([3, 1, 4, 0]), "end_positions": tf.constant([5, 4, 4, 0])}
        return [float(step(tf.constant(number), {**INPUTS, **labels})[0]) for number in steps]

    first, second, again = losses(3, [0, 1, 0])
    (of_other_seed,) = losses(4, [0])
    assert again == first
    assert len({first, second, of_other_seed}) == 3

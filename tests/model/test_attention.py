import pytest
import tensorflow as tf

from bert_squad.model.attention import attend


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_scores_are_float32_in_prediction(dtype):
    """Two scores, 1000 and 1000.25: the same number in a narrow type, and then both keys would count alike."""
    query = tf.constant([2.0, 2.0, 0.0, 0.0], dtype)[tf.newaxis, tf.newaxis, tf.newaxis]
    key = tf.constant([[1000.0, 0.0, 0.0, 0.0], [1000.0, 0.25, 0.0, 0.0]], dtype)[tf.newaxis, tf.newaxis]
    value = tf.constant([[0.0] * 4, [1.0] * 4], dtype)[tf.newaxis, tf.newaxis]
    context = attend(query, key, value, tf.zeros([1, 1, 1, 2], dtype))
    assert context.dtype == dtype
    assert float(context[0, 0, 0, 0]) == pytest.approx(1 / (1 + 2.718281828**-0.25), abs=0.003)

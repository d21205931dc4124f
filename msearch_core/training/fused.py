"""Batch normalisation by one operation where Keras takes some seventy, forward and back, which all must be traced."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf


@contextmanager
def fused_batch_normalization() -> Iterator[None]:
    """Within it, layers of batch normalisation that are called for training compute by TensorFlow's fused operation.

    It gives the same outputs, gradients and moving statistics. A layer that has a mask, or inputs of unknown shape, or
    is in any other way special, computes as ever; so do all layers outside, and in whatever is saved.
    """
    layer = keras.layers.BatchNormalization
    plain = layer.call

    def call(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        usual = self.scale and self.center and not self.synchronized and self.axis in (-1, len(inputs.shape) - 1)
        if training and self.trainable and usual and mask is None and None not in inputs.shape:
            return _normalized(self, inputs)
        return plain(self, inputs, training=training, mask=mask)

    layer.call = call
    try:
        yield
    finally:
        layer.call = plain


def _normalized(layer: Any, inputs: Any) -> Any:
    """What a layer gives in training, and its moving statistics brought up to date; in float32, as Keras does it."""
    *around, channels = inputs.shape
    count = math.prod(around)
    # The operation's variance is divided by one less than their number, Keras' by their number.
    larger = count / max(1, count - 1)
    values = tf.cast(inputs, tf.float32)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=values if len(around) == 3 else tf.reshape(values, [count, 1, 1, channels]),
        scale=tf.cast(layer.gamma, tf.float32),
        offset=tf.cast(layer.beta, tf.float32),
        mean=tf.cast(layer.moving_mean, tf.float32),
        variance=tf.cast(layer.moving_variance, tf.float32) * larger,
        epsilon=layer.epsilon,
        exponential_avg_factor=1 - layer.momentum,
        is_training=True,
    )
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance / larger)
    return tf.cast(outputs if len(around) == 3 else tf.reshape(outputs, inputs.shape), inputs.dtype)

"""Batch normalisation by the fused operation is Keras' own, outputs, gradients and statistics."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from msearch_core.training.fused import fused_batch_normalization

RNG = np.random.default_rng(0)


def taken(layer: Any, values: np.ndarray, **options: Any) -> list[np.ndarray]:
    """What a layer gives in a step, the gradients of some function of that, and the statistics afterwards."""
    inputs = tf.constant(values, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True, **options)
        value = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3)
    gradients = tape.gradient(value, [inputs, layer.gamma.value, layer.beta.value])
    return [
        tf.cast(each, tf.float32).numpy()
        for each in (outputs, *gradients, layer.moving_mean.value, layer.moving_variance.value)
    ]


def made(shape: tuple[int, ...], **options: Any) -> Any:
    layer = keras.layers.BatchNormalization(momentum=0.9, **options)
    layer.build(shape)
    channels = shape[-1]
    layer.set_weights([RNG.normal(size=channels), RNG.normal(size=channels), np.zeros(channels), np.ones(channels)])
    return layer


@pytest.mark.parametrize("shape", [(32, 5), (16, 7, 5), (8, 6, 4, 5), (1, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_it_computes_what_keras_computes(shape: tuple[int, ...], dtype: str) -> None:
    layer = made(shape, dtype=dtype)
    other = keras.layers.BatchNormalization.from_config(layer.get_config())
    other.build(shape)
    other.set_weights(layer.get_weights())
    values = RNG.normal(3.0, 2.0, size=shape).astype(np.float32)
    expected = taken(layer, values)
    with fused_batch_normalization():
        found = taken(other, values)
    exact = dtype == "float32"
    for one, same in zip(expected, found, strict=True):
        np.testing.assert_allclose(same, one, rtol=1e-3 if exact else 0.05, atol=1e-4 if exact else 0.2)


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({"scale": False}, {}),
        ({"axis": 1}, {}),
        ({"trainable": False}, {}),
        ({}, {"mask": np.arange(7) < np.arange(1, 17)[:, np.newaxis] % 7 + 1}),
    ],
    ids=["no scale", "another axis", "frozen", "mask"],
)
def test_a_special_layer_computes_as_ever(options: dict[str, Any], given: dict[str, Any]) -> None:
    values = RNG.normal(size=(16, 7, 5)).astype(np.float32)
    one, other = (keras.layers.BatchNormalization(**options) for _ in range(2))
    expected = one(values, training=True, **given)
    with fused_batch_normalization():
        found = other(values, training=True, **given)
    np.testing.assert_array_equal(found, expected)
    for variable, same in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(same.numpy(), variable.numpy())


def operations(layer: Any) -> set[str]:
    """The kinds of operations of a training call."""
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(tf.TensorSpec((8, 5))).graph
    return {operation.type for operation in graph.get_operations()}


def test_it_begins_and_ends_with_its_context() -> None:
    layer = made((8, 5))
    with fused_batch_normalization():
        within = operations(layer)
    assert "FusedBatchNormV3" in within
    assert "FusedBatchNormV3" not in operations(layer)

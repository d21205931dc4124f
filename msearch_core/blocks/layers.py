"""What several blocks have in common."""

from __future__ import annotations

from typing import Any

# Keras' 0.99 leaves the moving statistics of a trial of a few hundred steps near their start, so that a well trained
# model is at chance when evaluated.
BATCH_NORM_MOMENTUM = 0.9


def batch_normalization(inputs: Any, name: str) -> Any:
    """Batch normalisation (Ioffe and Szegedy 2015) whose statistics settle within tens of steps."""
    import keras

    return keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_batch_norm")(inputs)


def activated(inputs: Any, name: str, activation: str, batch_norm: bool = False) -> Any:
    """Normalise over the batch where asked for, then apply the activation by its Keras name."""
    import keras

    normalised = batch_normalization(inputs, name) if batch_norm else inputs
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(normalised)


def convolved(
    inputs: Any,
    name: str,
    filters: int,
    kernel: int,
    *,
    stride: int = 1,
    activation: str = "relu",
    batch_norm: bool = True,
) -> Any:
    """Convolve with padding to the same size, normalise where asked for, and apply the activation."""
    import keras

    outputs = keras.layers.Conv2D(
        filters, kernel, strides=stride, padding="same", use_bias=not batch_norm, name=f"{name}_convolution"
    )(inputs)
    return activated(outputs, name, activation, batch_norm)

"""Small changes of the training examples, so that a model learns what does not matter: Keras' own layers.

They change nothing when a model predicts. On 32 pictures of 32 x 32 pixels ``flip`` and ``shift`` cost 1 ms each on
one core, where two convolutions of 32 filters cost 20.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from msearch_core.blocks.layers import like
from msearch_core.blocks.masking import values_of
from msearch_core.data.problem import Problem
from msearch_core.space import IMAGE, SEQUENCE, Value

Layer = Callable[[Any], Any]


def augmented(inputs: Any, problem: Problem, hyperparameters: Mapping[str, Value]) -> Any:
    """The examples, changed while training as the hyperparameters say; those of another kind of data do nothing.

    ``flip`` (truth value) mirrors half of the pictures left to right, ``shift`` (share of the sides) moves them and
    repeats the pixels at the edge. ``step_dropout`` and ``feature_dropout`` (rates) empty whole time steps and whole
    features of a sequence, a spectrogram's frames and bands among them (Park et al. 2019). ``noise`` (standard
    deviations) is added to any kind of data.

    Args:
        inputs: ``float32 (batch, *input_shape)``, standardised; sequences as ``Masked``.
        problem: gives the kind of data.
        hyperparameters: those of the trial.

    Returns:
        The same kind of tensor as ``inputs``.
    """
    values = values_of(inputs)
    for layer in _layers(problem, hyperparameters):
        values = layer(values)
    return inputs if values is values_of(inputs) else like(inputs, values)


def _layers(problem: Problem, hyperparameters: Mapping[str, Value]) -> list[Layer]:
    def asked(name: str) -> float:
        return float(hyperparameters.get(name, 0.0))

    layers: list[Layer] = []
    if problem.input == IMAGE and asked("flip"):
        layers.append(keras.layers.RandomFlip("horizontal", name="augment_flip"))
    if problem.input == IMAGE and (shift := asked("shift")):
        # Whole pixels stay sharp.
        options = {"fill_mode": "nearest", "interpolation": "nearest", "name": "augment_shift"}
        layers.append(keras.layers.RandomTranslation(shift, shift, **options))
    if problem.input == SEQUENCE and (rate := asked("step_dropout")):
        shape = (None, problem.input_shape[0], 1)
        layers.append(keras.layers.Dropout(rate, noise_shape=shape, name="augment_step_dropout"))
    if problem.input == SEQUENCE and (rate := asked("feature_dropout")):
        layers.append(keras.layers.SpatialDropout1D(rate, name="augment_feature_dropout"))
    if deviation := asked("noise"):
        layers.append(keras.layers.GaussianNoise(deviation, name="augment_noise"))
    return layers

"""Gradient steps: many of them in one TensorFlow call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from msearch_core.data.problem import Problem, Split
from msearch_core.space import Value
from msearch_core.training.build import is_kernel
from msearch_core.training.feed import Batches
from msearch_core.training.flat import FlatWeights
from msearch_core.training.fused import fused_batch_normalization
from msearch_core.training.losses import Loss, make_loss


def make_optimizer(hyperparameters: Mapping[str, Value], steps: int, warm_up: int = 0) -> Any:
    """A Keras optimizer.

    Args:
        hyperparameters: ``optimizer`` (adam, adamw, sgd with Nesterov momentum 0.9, rmsprop), ``learning_rate``,
            ``decay`` (none, or cosine to zero at the last step) and ``clip_norm`` (of all gradients together; 0 for
            none).
        steps: gradient steps in all.
        warm_up: over so many of them the learning rate rises from zero to its full height.

    Raises:
        KeyError: the optimizer is unknown.
    """
    rate: Any = float(hyperparameters.get("learning_rate", 1e-3))
    decays = hyperparameters.get("decay", "none") == "cosine"
    if warm_up:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm_up), alpha=0.0 if decays else 1.0, warmup_target=rate, warmup_steps=warm_up
        )
    elif decays:
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    common = {"learning_rate": rate, "global_clipnorm": float(hyperparameters.get("clip_norm", 0.0)) or None}
    makers: dict[str, Callable[[], Any]] = {
        "adam": lambda: keras.optimizers.Adam(**common),
        "adamw": lambda: keras.optimizers.AdamW(weight_decay=0.01, **common),
        "sgd": lambda: keras.optimizers.SGD(momentum=0.9, nesterov=True, **common),
        "rmsprop": lambda: keras.optimizers.RMSprop(**common),
    }
    return makers[str(hyperparameters.get("optimizer", "adam"))]()


class TrainSteps:
    """Takes gradient steps on a model, as many in one TensorFlow call as there are batches.

    The model's trainable weights are in one vector meanwhile (`FlatWeights`): call `gather` before the first steps,
    and `scatter` whenever the model itself is needed. What else changes in training, such as batch-norm statistics,
    the model always holds.

    Args:
        model: as ``build_model`` makes it.
        optimizer: as ``make_optimizer`` makes it; it is built here.
        problem: the targets.
        train: gives the types of the arrays.
        hyperparameters: ``l2`` (times the sum of all squared kernels) and ``label_smoothing``.
        batch_size: examples a step; a graph that knows them has fewer operations.
        loss_of: what training lowers, if not the loss of the labels alone.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        problem: Problem,
        train: Split,
        hyperparameters: Mapping[str, Value],
        batch_size: int,
        loss_of: Loss | None = None,
    ) -> None:
        self._weights = FlatWeights(model.trainable_variables)
        optimizer.build([self._weights.vector])
        loss_of = loss_of or make_loss(problem, float(hyperparameters.get("label_smoothing", 0.0)))
        value_and_gradient = _value_and_gradient(model, self._weights, loss_of, float(hyperparameters.get("l2", 0.0)))

        def take(x: Any, y: Mapping[str, Any], weight: Any, chosen: Any) -> Any:
            def step(number: Any, total: Any) -> tuple[Any, Any]:
                rows = chosen[number]
                targets = {name: tf.gather(values, rows) for name, values in y.items()}
                inputs = tf.cast(tf.gather(x, rows), tf.float32)
                value, gradient = value_and_gradient(inputs, targets, tf.gather(weight, rows))
                optimizer.apply([gradient], [self._weights.vector])
                return number + 1, total + value

            count = tf.shape(chosen)[0]
            start = (tf.constant(0), tf.zeros(()))
            return tf.while_loop(lambda number, _: number < count, step, start, parallel_iterations=1)[1]

        # Keras' layers need no conversion by AutoGraph, which would take as long as all the rest of tracing. The data
        # are arguments: a captured constant would never be freed.
        self._take = tf.function(take, autograph=False).get_concrete_function(
            tf.TensorSpec((None, *problem.input_shape), train.x.dtype),
            {name: tf.TensorSpec((None, *values.shape[1:]), values.dtype) for name, values in train.y.items()},
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None, batch_size), tf.int32),
        )

    def gather(self) -> None:
        """Take the trainable weights over from the model."""
        self._weights.gather()

    def scatter(self) -> None:
        """Give the trainable weights back to the model."""
        self._weights.scatter()

    def __call__(self, batches: Batches) -> float:
        """Take a step a row of ``batches.chosen`` and return the sum of their losses."""
        return float(self._take(batches.x, batches.y, batches.weight, batches.chosen))


def _value_and_gradient(
    model: Any, weights: FlatWeights, loss_of: Loss, l2: float
) -> Callable[[Any, Mapping[str, Any], Any], tuple[Any, Any]]:
    """A function from a batch to its loss and the gradient of that by the vector of weights."""
    others = model.non_trainable_variables

    def value_and_gradient(inputs: Any, targets: Mapping[str, Any], weight: Any) -> tuple[Any, Any]:
        vector = tf.convert_to_tensor(weights.vector.value)
        with tf.GradientTape() as tape:
            tape.watch(vector)
            own = weights.tensors(vector)
            # Layers see these tensors as their variables: copies back and forth in each step would cost a sixth of
            # what tracing takes.
            with fused_batch_normalization(), keras.StatelessScope(own, collect_losses=True) as scope:
                value = loss_of(targets, model(inputs, training=True), weight) + sum(model.losses)
            if l2:
                halves = [tf.nn.l2_loss(tensor) for variable, tensor in own if is_kernel(variable)]
                value += 2 * l2 * tf.add_n(halves)
        for variable in others:
            if (changed := scope.get_current_value(variable)) is not None:
                variable.assign(changed)
        return value, tape.gradient(value, vector)

    return value_and_gradient

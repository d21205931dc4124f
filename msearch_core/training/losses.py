"""What training lowers: one mean loss a target, weighed by example, class and target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from msearch_core.data.problem import Problem, Target

Loss: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any], Any], Any]


def make_loss(problem: Problem, label_smoothing: float = 0.0) -> Loss:
    """The loss ``(y, outputs, weight) -> float32 ()`` of a batch.

    Softmax cross-entropy for classes, the mean of the labels' sigmoid cross-entropies for several labels, squared
    error in standard deviations for numbers. The mean is over examples, or over all true time steps of the batch; each
    counts by its example's weight times its class's. Of several targets each has its share.

    Args:
        problem: the targets, class weights and target weights among them.
        label_smoothing: the share of a label's probability that is spread over all (Szegedy et al. 2016).

    Returns:
        A function of the targets and the model's outputs, both by name, and of ``float32 (batch,)`` sample weights or
        ``None``.
    """
    total = sum(target.weight for target in problem.targets)
    terms = [(target.name, target.weight / total, _target_loss(target, label_smoothing)) for target in problem.targets]

    def loss(y: Mapping[str, Any], outputs: Mapping[str, Any], weight: Any) -> Any:
        return tf.add_n([share * term(y[name], outputs[name], weight) for name, share, term in terms])

    return loss


def _target_loss(target: Target, label_smoothing: float) -> Callable[[Any, Any, Any], Any]:
    element = _element_loss(target, label_smoothing)

    def loss(y: Any, outputs: Any, weight: Any) -> Any:
        return mean_loss(target, element(y, outputs), y, weight)

    return loss


def mean_loss(target: Target, losses: Any, y: Any, weight: Any) -> Any:
    """The mean over examples, or over all true time steps, each by its example's weight.

    Args:
        target: what the losses are of.
        losses: ``float32 (batch,)``, or ``(batch, time)`` with a target for each step.
        y: what is true, of the same shape or, of several labels, with one axis more.
        weight: ``float32 (batch,)`` or ``None``.
    """
    if weight is not None:
        losses *= tf.expand_dims(weight, 1) if target.per_step else weight
    if not target.per_step:
        return tf.reduce_mean(losses)
    true = y >= 0 if target.task == "classification" else tf.logical_not(tf.math.is_nan(y))
    counted = tf.reduce_sum(tf.cast(true, losses.dtype))
    return tf.reduce_sum(tf.where(true, losses, 0.0)) / tf.maximum(counted, 1.0)


def _element_loss(target: Target, smoothing: float) -> Callable[[Any, Any], Any]:
    """The loss of each example or step, whatever it says where an example has ended."""

    def cross_entropy(y: Any, logits: Any) -> Any:
        known = tf.maximum(y, 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=known, logits=logits)
        if smoothing:
            uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
            losses = (1 - smoothing) * losses + smoothing * uniform
        return losses * tf.gather(tf.constant(target.class_weights), known) if target.class_weights else losses

    def binary_cross_entropies(y: Any, logits: Any) -> Any:
        soft = y * (1 - smoothing) + smoothing / 2
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=soft, logits=logits), axis=-1)

    def squared_error(y: Any, outputs: Any) -> Any:
        known = tf.where(tf.math.is_nan(y), tf.zeros_like(y), y)
        return tf.square((outputs[..., 0] - known) / target.scale)

    losses = {"classification": cross_entropy, "multilabel": binary_cross_entropies, "regression": squared_error}
    return losses[target.task]

"""Function-preserving morphism: a child begins by computing what its parent computes.

The child's graph is walked from input to output. For each tensor it is known which of the parent's channels each of
its own channels repeats; each kind of layer has a rule that says how its weights follow from the parent's and which
channels come out. Wider layers repeat channels and split the outgoing weights (Net2Net: Chen, Goodfellow and Shlens,
ICLR 2016), larger kernels are padded with zeros, inserted blocks begin as identities, as residual branches of zero,
or as features that nothing looks at yet (network morphism: Wei et al., ICML 2016). Where no rule holds, a layer is
copied if its name and shapes are the parent's, and else left as it was initialised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from msearch_core.training.channels import Channels, Place, Provenance, Step
from msearch_core.training.morphism_rules import apply_rule


def morph(
    model: Any, places: Callable[[str], Place], examples: np.ndarray, rng: np.random.Generator
) -> tuple[dict[str, Provenance], bool]:
    """Give every layer of a child its first weights.

    Args:
        model: the child, freshly built.
        places: where the weights of a layer come from, by its name.
        examples: ``(batch, *input_shape)``, encoded, to calibrate inserted batch normalisations on.
        rng: splits outgoing weights unequally, so that repeated channels learn different things.

    Returns:
        The provenance of each layer that has weights, and whether the child computes what its parent computes.
    """
    known: dict[int, Channels] = {id(each): Channels.same(each.shape[-1]) for each in model.inputs}
    provenance: dict[str, Provenance] = {}
    for operation in model.operations:
        node = operation._inbound_nodes[0]
        if not node.input_tensors:
            continue
        place = places(operation.name)
        inputs = [known[id(each)] for each in node.input_tensors]
        if not place.joined:
            inputs = [replace(each, exact=False) for each in inputs]
        step = Step(
            operation,
            place,
            inputs,
            [each.shape for each in node.input_tensors],
            partial(_statistics, model, node.input_tensors, examples),
            rng,
        )
        channels, whence = apply_rule(step)
        if isinstance(operation, keras.Layer) and operation.weights:
            provenance[operation.name] = whence or "fresh"
        if type(operation).__name__ == "Add" and place.inserted and place.identity == "zero_residual":
            channels = _close_branch(node.input_tensors, inputs, places) or channels
        for output in node.output_tensors:
            known[id(output)] = channels
    return provenance, all(known[id(output)].exact for output in model.outputs)


def _close_branch(
    tensors: Sequence[Any], inputs: Sequence[Channels], places: Callable[[str], Place]
) -> Channels | None:
    """Make the branch of an inserted residual block zero; returns what is known of its skip connection."""
    skips = [each for each in inputs if each.exact]
    branches = [tensor for tensor, each in zip(tensors, inputs, strict=True) if not each.exact]
    if len(skips) != 1 or not branches:
        return None
    last = [_last_weighted(tensor, places) for tensor in branches]
    if None in last:
        return None
    for variable in (variable for layers in last for layer in layers or () for variable in layer.trainable_weights):
        variable.assign(np.zeros(variable.shape, np.float32))
    return skips[0]


def _last_weighted(tensor: Any, places: Callable[[str], Place]) -> list[Any] | None:
    """The last layers with weights on each way to a tensor; ``None`` if a way has none within inserted blocks."""
    operation = tensor._keras_history.operation
    if isinstance(operation, keras.Layer) and operation.trainable_weights:
        return [operation] if places(operation.name).inserted else None
    # What is true of a step is no value of it: a mask leaves zeros as they are.
    before = [each for each in operation._inbound_nodes[0].input_tensors if each.dtype != "bool"]
    found = [_last_weighted(each, places) for each in before]
    if not before or None in found:
        return None
    return [layer for layers in found for layer in layers or ()]


def _statistics(model: Any, tensors: Sequence[Any], examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel of a tensor of the model, in training mode, over some examples.

    Args:
        model: as far as the tensor is concerned, with its first weights.
        tensors: the tensor, and its mask if it has one.
        examples: encoded.
    """
    before = [variable.value.numpy() for variable in model.non_trainable_variables]
    computed = keras.tree.flatten(keras.Model(model.inputs[0], list(tensors))(examples, training=True))
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        variable.assign(value)  # looking on is no training step: moving statistics stay as they were
    values, *masks = (np.asarray(each) for each in computed)
    values = values.astype(np.float32)
    true = np.broadcast_to(masks[0], values.shape[:-1]) if masks else np.ones(values.shape[:-1], bool)
    return values[true].mean(axis=0), values[true].var(axis=0)

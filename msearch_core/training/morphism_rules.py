"""What each kind of layer does to channels, and how its weights follow from its parent's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from msearch_core.training.channels import NEW, Channels, Outcome, Step
from msearch_core.training.windows import centred, enlarged, middle


def apply_rule(step: Step) -> Outcome:
    """Give the operation of a step its weights, where it has any, and say what is known of its output."""
    kind = type(step.operation).__name__
    if kind in RULES:
        return RULES[kind](step)
    return _unchanged(step)


def _size(step: Step) -> int:
    shape = step.operation._inbound_nodes[0].output_tensors[0].shape
    return int(shape[-1] or 1) if shape else 1


def _unknown(step: Step) -> Outcome:
    return Channels.same(_size(step), exact=False), "fresh"


def _rows(channels: Channels, wanted: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Which input rows of the parent's kernel the child's are, and by what they are multiplied."""
    if channels.size != wanted:
        if len(channels.source) != wanted:
            return None
        channels = Channels.same(wanted, exact=False)
    shares = rng.uniform(0.5, 1.5, len(channels.source)) * (channels.source != NEW)
    totals = np.bincount(channels.source[channels.source != NEW], shares[channels.source != NEW], wanted)
    alone = np.bincount(channels.source[channels.source != NEW], minlength=wanted) == 1
    scale = np.where(
        alone[channels.source], channels.source != NEW, shares / np.maximum(totals, 1e-12)[channels.source]
    )
    return channels.source, scale.astype(np.float32), channels.exact and bool((totals > 0).all())


def _linear(step: Step) -> Outcome:
    """Dense layers and convolutions: rows follow the input's channels, columns are repeated where there are more."""
    layer, parent = step.operation, step.place.parent
    if step.place.inserted:
        return _identity(step) if step.place.identity == "exact" else _unknown(step)
    kernel = parent.get("kernel")
    wanted = tuple(layer.kernel.shape)
    if kernel is None or kernel.ndim != len(wanted) or (layer.use_bias != ("bias" in parent)):
        return _unknown(step)
    rows = _rows(step.inputs[0], kernel.shape[-2], step.rng)
    larger = enlarged(layer, kernel) if kernel.ndim > 2 else kernel
    if rows is None or larger is None or wanted[-1] < kernel.shape[-1]:
        return _unknown(step)
    source, scale, exact = rows
    columns = np.arange(wanted[-1]) % kernel.shape[-1]
    layer.kernel.assign(larger[..., source, :][..., columns] * scale[:, np.newaxis])
    if layer.use_bias:
        layer.bias.assign(parent["bias"][columns])
    unchanged = wanted == kernel.shape and bool((source == np.arange(len(source))).all())
    channels = Channels(columns, kernel.shape[-1], exact, _is_positive(layer))
    return channels, "copied" if unchanged else "morphed"


def _depthwise(step: Step) -> Outcome:
    """Each channel has a kernel of its own, which goes where the channel goes."""
    layer, channels = step.operation, step.inputs[0]
    variables = {variable.name.rpartition("/")[2]: variable for variable in layer.weights}
    name = "depthwise_kernel" if "depthwise_kernel" in variables else "kernel"
    if step.place.inserted:
        place = middle(layer)
        if step.place.identity != "exact" or _strided(layer) or place is None:
            return _unknown(step)
        variables[name].assign(centred(np.ones(variables[name].shape[-2:], np.float32), variables[name].shape, place))
        return channels, "morphed"
    parent = step.place.parent
    if set(parent) != set(variables) or (channels.source == NEW).any() or parent[name].shape[-2] != channels.size:
        return _unknown(step)
    larger = enlarged(layer, parent[name])
    if larger is None or larger.shape[-1] != 1:
        return _unknown(step)
    variables[name].assign(larger[..., channels.source, :])
    if "bias" in variables:
        variables["bias"].assign(parent["bias"][channels.source])
    unchanged = channels.is_same and larger.shape == parent[name].shape
    return replace(channels, positive=False), "copied" if unchanged else "morphed"


def _separable(step: Step) -> Outcome:
    """A kernel for each channel, then a mixing of the channels."""
    layer, parent = step.operation, step.place.parent
    deep, wide = layer.depthwise_kernel, layer.pointwise_kernel
    if step.place.inserted:
        place = middle(layer)
        if step.place.identity != "exact" or _strided(layer) or deep.shape[-1] != 1 or place is None:
            return _unknown(step)
        picked = np.arange(wide.shape[-1]) % wide.shape[-2]
        if len(picked) < wide.shape[-2]:
            return _unknown(step)
        deep.assign(centred(np.ones(deep.shape[-2:], np.float32), deep.shape, place))
        wide.assign(np.eye(wide.shape[-2], dtype=np.float32)[:, picked].reshape(wide.shape))
        return replace(step.inputs[0], source=step.inputs[0].source[picked]), "morphed"
    if set(parent) != {variable.name.rpartition("/")[2] for variable in layer.weights}:
        return _unknown(step)
    rows = _rows(step.inputs[0], parent["pointwise_kernel"].shape[-2], step.rng)
    larger = enlarged(layer, parent["depthwise_kernel"])
    fewer = wide.shape[-1] < parent["pointwise_kernel"].shape[-1]
    if rows is None or larger is None or fewer or larger.shape[-1] != 1 or deep.shape[-1] != 1:
        return _unknown(step)
    source, scale, exact = rows
    columns = np.arange(wide.shape[-1]) % parent["pointwise_kernel"].shape[-1]
    deep.assign(larger[..., source, :])
    wide.assign(parent["pointwise_kernel"][..., source, :][..., columns] * scale[:, np.newaxis])
    if layer.use_bias:
        layer.bias.assign(parent["bias"][columns])
    unchanged = all(variable.shape == parent[variable.name.rpartition("/")[2]].shape for variable in layer.weights)
    return Channels(columns, parent["pointwise_kernel"].shape[-1], exact), "copied" if unchanged else "morphed"


def _batch_normalization(step: Step) -> Outcome:
    """Scale, shift and statistics go where their channel goes; an inserted one undoes what it does to a batch."""
    layer, channels, parent = step.operation, step.inputs[0], step.place.parent
    if step.place.inserted:
        if step.place.identity != "exact" or not channels.exact:
            return _unknown(step)
        mean, variance = step.statistics()
        layer.gamma.assign(np.sqrt(variance + layer.epsilon))
        layer.beta.assign(mean)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(variance)
        return channels, "morphed"
    names = {variable.name.rpartition("/")[2] for variable in layer.weights}
    fits = set(parent) == names and all(values.shape == (channels.size,) for values in parent.values())
    if not fits or (channels.source == NEW).any():
        return _unknown(step) if not _copy(step) else (Channels.same(_size(step), exact=False), "copied")
    for variable in layer.weights:
        variable.assign(parent[variable.name.rpartition("/")[2]][channels.source])
    return replace(channels, positive=False), "copied" if channels.is_same else "morphed"


def _recurrent(step: Step) -> Outcome:
    """Of each kernel the rows follow the input's channels; all else is copied."""
    layer, parent = step.operation, step.place.parent
    names = {variable.path.partition("/")[2]: variable for variable in layer.weights}
    if step.place.inserted or set(names) != set(parent):
        return _unknown(step)
    values: dict[str, np.ndarray] = {}
    exact = True
    for name, variable in names.items():
        value = parent[name]
        if name.rpartition("/")[2] == "kernel":
            rows = _rows(step.inputs[0], value.shape[0], step.rng)
            if rows is None:
                return _unknown(step)
            source, scale, own = rows
            exact &= own
            value = value[source] * scale[:, np.newaxis]
        if value.shape != tuple(variable.shape):
            return _unknown(step)
        values[name] = value
    for name, variable in names.items():
        variable.assign(values[name])
    return Channels.same(_size(step), exact=exact), "copied" if step.inputs[0].is_same else "morphed"


def _identity(step: Step) -> Outcome:
    layer, channels = step.operation, step.inputs[0]
    shape = tuple(layer.kernel.shape)
    place = middle(layer) if len(shape) > 2 else ()
    if shape[-1] < shape[-2] or _strided(layer) or place is None:
        return _unknown(step)
    picked = np.arange(shape[-1]) % shape[-2]
    layer.kernel.assign(centred(np.eye(shape[-2], dtype=np.float32)[:, picked], shape, place))
    activation = keras.activations.serialize(layer.activation)
    exact = channels.exact and (activation == "linear" or (activation == "relu" and channels.positive))
    return replace(channels, source=channels.source[picked], exact=exact), "morphed"


def _activation(step: Step) -> Outcome:
    channels, name = step.inputs[0], keras.activations.serialize(step.operation.activation)
    if step.place.inserted:
        exact = channels.exact and (name == "linear" or (name == "relu" and channels.positive))
        return replace(channels, exact=exact), None
    return replace(channels, positive=_is_positive(step.operation)), None


def _flat(step: Step) -> Outcome:
    """All axes but the batch become one, or the last few of them do."""
    channels, before, after = step.inputs[0], step.shapes[0], _size(step)
    times, axis = 1, len(before) - 2
    while axis > 0 and times * len(channels.source) < after:
        times *= before[axis] or 1
        axis -= 1
    if times * len(channels.source) != after:
        return _unchanged(step)
    offsets = np.arange(times)[:, np.newaxis] * channels.size
    source = np.where(channels.source == NEW, NEW, offsets + channels.source).ravel()
    return replace(channels, source=source, size=channels.size * times), None


def _concatenated(step: Step) -> Outcome:
    if step.operation.axis not in (-1, len(step.shapes[0]) - 1):
        return _unchanged(step)
    sources, size = [], 0
    for channels in step.inputs:
        if step.place.identity == "beside" and not channels.exact:
            sources.append(np.full(len(channels.source), NEW))
            continue
        sources.append(np.where(channels.source == NEW, NEW, channels.source + size))
        size += channels.size
    whole = any if step.place.identity == "beside" else all
    exact = whole(each.exact for each in step.inputs)
    return Channels(np.concatenate(sources), size, exact, all(each.positive for each in step.inputs)), None


def _elementwise(step: Step) -> Outcome:
    """The channels stay where they are, if all inputs agree on them; a single one is spread over the others."""
    inputs = [each for each in step.inputs if len(each.source) == max(len(other.source) for other in step.inputs)]
    others = [each for each in step.inputs if len(each.source) == 1]
    agree = all(each.matches(inputs[0]) for each in inputs) and all(each.exact for each in step.inputs)
    if (
        not agree
        or len(inputs) + len(others) < len(step.inputs)
        or step.operation._inbound_nodes[0].output_tensors[0].shape[-1] != len(inputs[0].source)
    ):
        return _unchanged(step)
    positive = inputs[0].positive and all(each.positive for each in inputs)
    return replace(inputs[0], positive=positive), None


def _unchanged(step: Step) -> Outcome:
    """Any operation does to the parent's very channels what it did there, if it has the parent's very weights."""
    whole = all(each.is_same and each.exact for each in step.inputs)
    if step.place.inserted:
        return _unknown(step)
    weights = step.operation.weights if isinstance(step.operation, keras.Layer) else []
    copied = _copy(step) if weights else True
    channels = Channels.same(_size(step), exact=whole and copied, positive=_is_boolean(step))
    return channels, ("copied" if copied else "fresh") if weights else None


def _copy(step: Step) -> bool:
    """Copy the parent's weights if all have the same shapes."""
    variables = {variable.path.partition("/")[2]: variable for variable in step.operation.weights}
    parent = step.place.parent
    if any(name not in parent or parent[name].shape != tuple(each.shape) for name, each in variables.items()):
        return False
    for name, variable in variables.items():
        variable.assign(parent[name])
    return True


def _strided(layer: Any) -> bool:
    return any(stride != 1 for stride in np.atleast_1d(getattr(layer, "strides", 1)))


def _is_positive(layer: Any) -> bool:
    return keras.activations.serialize(layer.activation) in ("relu", "sigmoid", "softplus", "relu6", "hard_sigmoid")


def _is_boolean(step: Step) -> bool:
    output = step.operation._inbound_nodes[0].output_tensors[0]
    inputs = step.operation._inbound_nodes[0].input_tensors
    return output.dtype == "bool" or (all(each.positive for each in step.inputs) and inputs[0].dtype == "bool")


RULES: Mapping[str, Callable[[Step], Outcome]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D"), _linear),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "Bidirectional"), _recurrent),
    **dict.fromkeys(("Flatten", "Reshape"), _flat),
    **dict.fromkeys(
        (
            "Add", "Multiply", "Subtract", "Maximum", "Where", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
            "GaussianNoise", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D",
            "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Cast",
        ),
        _elementwise,
    ),
    "BatchNormalization": _batch_normalization,
    "Activation": _activation,
    "Concatenate": _concatenated,
}  # fmt: skip
"""By the name of a Keras layer or operation; any other is passed only by what is the parent's own."""

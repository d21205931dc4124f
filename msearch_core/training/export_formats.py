"""Writing a model in each format."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from msearch_core.data.problem import Problem
from msearch_core.exporting.bundle.predict import FILES
from msearch_core.training.export_models import numeric_model, raw_model

OPSET = 17
"""ONNX Runtime since 1.12 has it, and so do the other runtimes of today."""


def write_keras(problem: Problem, tower: Any, path: Path) -> None:
    """The ``.keras`` file, which plain Keras loads in safe mode."""
    raw_model(problem, tower).save(path)


def write_saved_model(problem: Problem, tower: Any, path: Path) -> None:
    """The SavedModel, whose ``serve`` takes a dict of arrays by input name."""
    model = raw_model(problem, tower)
    archive = keras.export.ExportArchive()
    archive.track(model)
    endpoint = functools.partial(model.__call__, training=False)
    archive.add_endpoint("serve", endpoint, input_signature=[_signature(model, None)])
    archive.write_out(str(path), verbose=False)


def write_tflite(problem: Problem, tower: Any, path: Path) -> None:
    """The TFLite file, of built-in operations only; it takes one example at a time.

    With a batch of any size recurrent layers would not convert (TensorListReserve needs a static shape).
    """
    model = numeric_model(problem, tower)
    # The converter leaves the variables empty unless TensorFlow itself keeps track of them.
    module = tf.Module()
    module.kept = [variable.value for variable in model.variables]
    module.serve = _function(model, 1)
    with tempfile.TemporaryDirectory() as folder:
        with _channels_last():
            traced = module.serve.get_concrete_function()
        tf.saved_model.save(module, folder, signatures=traced)
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def write_onnx(problem: Problem, tower: Any, path: Path) -> None:
    """The ONNX file; it takes batches of any size."""
    import numpy as np
    import tf2onnx
    from onnx import numpy_helper

    model = numeric_model(problem, tower)
    function = _function(model, None)
    signature = list(_signature(model, None).values())
    # tf2onnx writes most choices as sums of products with 0 and 1, of which a NaN makes NaN.
    choices: dict[str, Any] = {"SelectV2": (lambda _context, node, *_: setattr(node, "type", "Where"), [])}
    converted, _ = tf2onnx.convert.from_function(
        function, input_signature=signature, opset=OPSET, custom_op_handlers=choices
    )
    # tf2onnx takes constants that were tensors when the model was built for inputs.
    concrete = function.get_concrete_function()
    captured = {
        inner.name: outer
        for outer, inner in concrete.graph.captures
        if outer.dtype != tf.resource and isinstance(outer, tf.Tensor)
    }
    graph, used = converted.graph, _used(converted.graph)
    for given in [each for each in graph.input if each.name in captured]:
        if given.name in used:
            graph.initializer.append(numpy_helper.from_array(np.asarray(captured[given.name]), given.name))
        graph.input.remove(given)
    path.write_bytes(converted.SerializeToString())


Writer = Callable[[Problem, Any, Path], None]
WRITERS: Mapping[str, Writer] = {
    "keras": write_keras,
    "savedmodel": write_saved_model,
    "tflite": write_tflite,
    "onnx": write_onnx,
}


def write(format_name: str, problem: Problem, tower: Any, folder: Path) -> None:
    """Write a model's file into a bundle."""
    WRITERS[format_name](problem, tower, folder / FILES[format_name])


def _signature(model: Any, batch: int | None) -> dict[str, Any]:
    return {
        name: tf.TensorSpec((batch, *tensor.shape[1:]), tensor.dtype, name=name)
        for name, tensor in sorted(model.input.items())
    }


def _function(model: Any, batch: int | None) -> Any:
    """The model as a TensorFlow function of its inputs in the order of their names."""
    signature = _signature(model, batch)

    @tf.function(input_signature=list(signature.values()))  # type: ignore[untyped-decorator]
    def serve(*tensors: Any) -> Any:
        return model(dict(zip(signature, tensors, strict=True)), training=False)

    return serve


@contextlib.contextmanager
def _channels_last() -> Iterator[None]:
    """Keep Keras from adding what it takes for a bias of channels that come before the steps: TFLite has no such thing.

    A batch of one sequence of one number a step looks like that to ``keras.ops.add``.
    """
    bias_add = tf.nn.bias_add

    def add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
        if data_format == "NCHW":
            return tf.add(value, tf.reshape(bias, (-1, *[1] * (len(value.shape) - 2))), name=name)
        return bias_add(value, bias, data_format, name)

    tf.nn.bias_add = add
    try:
        yield
    finally:
        tf.nn.bias_add = bias_add


def _used(graph: Any) -> set[str]:
    """The names that the nodes of an ONNX graph take, those in its loops and branches too."""
    names: set[str] = set()
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= _used(attribute.g)
    return names

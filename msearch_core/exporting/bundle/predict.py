"""Ask the exported model: ``python predict.py FORMAT`` for the example, in Python ``predict(format, examples)``.

Needs what the format needs: Keras with TensorFlow, TensorFlow, LiteRT's interpreter or ONNX Runtime; and ``encode.py``.
"""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
FILES = {"keras": "model.keras", "savedmodel": "saved_model", "tflite": "model.tflite", "onnx": "model.onnx"}
Model = Callable[[dict[str, np.ndarray]], dict[str, Any]]


def _load_encode() -> Any:
    specification = importlib.util.spec_from_file_location("encode", HERE / "encode.py")
    if specification is None or specification.loader is None:
        raise ImportError("encode.py is missing")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


encode = _load_encode()


def load(format_name: str) -> Model:
    """A function from arrays, as ``encode.inputs`` makes them, to the model's outputs by name."""
    return {"keras": _keras, "savedmodel": _saved_model, "tflite": _tflite, "onnx": _onnx}[format_name](
        str(HERE / FILES[format_name])
    )


def predict(format_name: str, examples: Any) -> Any:
    """What the model says of raw examples: see ``encode.inputs`` and ``encode.answers``."""
    return encode.answers(load(format_name)(encode.inputs(examples)))


def _keras(path: str) -> Model:
    import keras

    model = keras.saving.load_model(path, compile=False)
    return lambda arrays: dict(model.predict_on_batch(arrays))


def _saved_model(path: str) -> Model:
    import tensorflow as tf

    model = tf.saved_model.load(path)
    return lambda arrays: {name: each.numpy() for name, each in model.serve(arrays).items()}


def _tflite(path: str) -> Model:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter  # noqa: N806
    runner = Interpreter(path).get_signature_runner()
    known = encode.about()

    def run(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """One example at a time, which is what the file is made for."""
        taken = encode.tensors(arrays, known)
        count = len(next(iter(taken.values())))
        said = [runner(**{name: each[row : row + 1] for name, each in taken.items()}) for row in range(count)]
        return {name: np.concatenate([each[name] for each in said]) for name in said[0]}

    return run


def _onnx(path: str) -> Model:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    known = encode.about()
    return lambda arrays: dict(zip(names, session.run(None, encode.tensors(arrays, known))))  # noqa: B905


def main() -> None:
    """Answer for the example."""
    if len(sys.argv) != 2 or sys.argv[1] not in FILES:
        sys.exit(f"usage: python predict.py {'|'.join(name for name, file in FILES.items() if (HERE / file).exists())}")
    with np.load(HERE / "example.npz", allow_pickle=False) as example:
        outputs = load(sys.argv[1])(dict(example))
    sys.stdout.write(json.dumps(encode.answers(outputs), ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()

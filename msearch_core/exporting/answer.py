"""Ask an exported model in a fresh process, as whoever takes it away will: ``python -I answer.py JSON``.

The JSON has ``bundle``, ``formats``, ``inputs`` (a folder of ``.npz`` parts), ``outputs`` (a folder for the answers)
and ``modules``, files by module name, without which a ``.keras`` file with layers of the user's own cannot be read.
Nothing of this package is imported, unless such a module does so.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HIDDEN = ("msearch_core", "flows", "search_spaces")


def main() -> None:
    """Write the outputs of each format for each part, as ``<format>-<part>.npz``."""
    asked = json.loads(sys.argv[1])
    if not asked["modules"]:
        sys.modules.update(dict.fromkeys(HIDDEN))  # type: ignore[arg-type]  # to import them is an error from now on
    for name, file in asked["modules"].items():
        _load(name, Path(file))
    predict = _load("predict", Path(asked["bundle"]) / "predict.py")
    for format_name in asked["formats"]:
        model = predict.load(format_name)
        for part in sorted(Path(asked["inputs"]).glob("*.npz")):
            with np.load(part, allow_pickle=False) as arrays:
                outputs = {name: _plain(values) for name, values in model(dict(arrays)).items()}
            np.savez(Path(asked["outputs"]) / f"{format_name}-{part.name}", allow_pickle=False, **outputs)


def _plain(values: Any) -> np.ndarray:
    """Texts as NumPy has them."""
    array = np.asarray(values)
    if array.dtype != object:
        return array
    return np.array([text.decode("utf-8") for text in array.ravel()], str).reshape(array.shape)


def _load(name: str, path: Path) -> Any:
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()

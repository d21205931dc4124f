"""Hashes that follow the meaning of code and settings."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any


def digest(value: Any) -> str:
    """Sixteen hexadecimal digits that name a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source(function: Callable[..., Any]) -> list[str]:
    """The code of a function, and the functions and constants of its own package that it uses.

    Comments, docstrings and layout are left out, so that only a change of meaning changes it.
    """
    package = function.__module__.partition(".")[0]
    waiting, seen, sources = [function], {function}, set()
    while waiting:
        each = waiting.pop()
        sources.add(_without_layout(inspect.getsource(each)))
        for name in sorted(_names(each.__code__)):
            used = each.__globals__.get(name)
            if isinstance(used, str | int | float | tuple):
                sources.add(f"{name} = {used!r}")
            elif inspect.isfunction(used) and used.__module__.partition(".")[0] == package and used not in seen:
                seen.add(used)
                waiting.append(used)
    return sorted(sources)


def _names(code: CodeType) -> set[str]:
    """The names that code looks up, comprehensions and functions within it included."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _without_layout(source: str) -> str:
    tree = ast.parse(textwrap.dedent(source))
    definition = tree.body[0]
    if isinstance(definition, ast.FunctionDef) and ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:]
    return ast.unparse(tree)

"""Code by name. The trial log never carries code: it names it, and this is where the name is looked up."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from msearch_core.errors import UserError
from msearch_core.space import SearchSpace
from msearch_core.urls import expanded

CODE_PATH = "MSEARCH_CODE_PATH"


def load_space(reference: str) -> SearchSpace:
    """Find a search space.

    Args:
        reference: a built-in space's bare name (``tabular``), ``package.module:attribute``, or
            ``path/to/file.py:attribute`` for a file in the current folder or in one that ``MSEARCH_CODE_PATH`` allows.
            The attribute is ``space`` unless given.

    Raises:
        UserError: there is no such module, file or attribute, it is not a space, or its folder is not allowed.
    """
    built_in = reference.isidentifier()
    found = load_code(f"search_spaces.{reference}" if built_in else reference, "space", "a search space")
    if not isinstance(found, SearchSpace):
        attribute = reference.partition(":")[2] or "space"
        raise UserError(f"{reference!r} is not a search space; expected a SearchSpace named {attribute!r}")
    return found


def load_code(reference: str, attribute: str, what: str) -> object:
    """Find what a user wrote: a search space, an objective, a data source.

    Args:
        reference: ``package.module:attribute``, or ``path/to/file.py:attribute`` for a file in the current folder or in
            one that ``MSEARCH_CODE_PATH`` allows.
        attribute: the attribute where the reference names none.
        what: what is looked for, for messages.

    Raises:
        UserError: there is no such module, file or attribute, or its folder is not allowed.
    """
    location, _, named = reference.partition(":")
    hint = "; `msearch spaces` lists those there are" if attribute == "space" else ""
    try:
        if location.endswith(".py"):
            module = _from_file(Path(location))
        elif all(part.isidentifier() for part in location.split(".")):
            module = _from_name(location, f"no {what.partition(' ')[2]}", hint)
        else:
            raise UserError(f"{reference!r} names no {what.partition(' ')[2]}{hint or '; give file.py:attribute'}")
    except UserError:
        raise
    except Exception as error:
        kind = f"the {what.partition(' ')[2]} {reference!r}"
        raise UserError(f"{kind} cannot be loaded: {type(error).__name__}: {error}") from error
    found: object = getattr(module, named or attribute, None)
    if found is None:
        raise UserError(f"{reference!r} is not {what}; expected one named {named or attribute!r}")
    return found


def _from_name(name: str, missing: str, hint: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise UserError(f"{missing} {name!r}{hint}") from None
        raise


def _from_file(path: Path) -> ModuleType:
    """Import a file; a file that was imported before is not read again."""
    resolved = expanded(path).resolve()
    allowed = [expanded(folder).resolve() for folder in os.environ.get(CODE_PATH, "").split(os.pathsep) if folder]
    # Modules of the current folder can be imported as well; folders below it may hold logs that somebody else sent.
    if resolved.parent != Path.cwd() and not any(resolved.is_relative_to(folder) for folder in allowed):
        raise UserError(
            f"{path} may not be loaded; if you trust it, start the command in its folder or put that into {CODE_PATH}"
        )
    if not resolved.is_file():
        raise UserError(f"there is no file {path}")
    name = f"{resolved.stem}_{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        specification = importlib.util.spec_from_file_location(name, resolved)
        if specification is None or specification.loader is None:
            raise UserError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        try:
            specification.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]

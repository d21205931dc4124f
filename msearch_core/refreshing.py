"""Whether a search's data has changed since it was last searched."""

from __future__ import annotations

import time
from dataclasses import replace

from msearch_core.config import SearchConfig
from msearch_core.data import manifest
from msearch_core.data.custom import is_reference
from msearch_core.data.manifest import Manifest
from msearch_core.data.source import load
from msearch_core.data.split import fingerprint
from msearch_core.errors import UserError
from msearch_core.trial_log import TrialLog


def log_of(config: SearchConfig) -> TrialLog:
    """The log that a search recurs in.

    Raises:
        UserError: none is named.
    """
    if config.log is None:
        raise UserError("a refresh needs the log of its search: give --log, or `log` in its file")
    return TrialLog(config.log)


def stock(config: SearchConfig) -> tuple[Manifest, str]:
    """What the files of a search's data hold, and how that was found, in words."""
    began = time.monotonic()
    own = [each for each in (config.data, config.test) if each and is_reference(each)]
    found = manifest.take(each for each in (config.data, config.test) if each and each not in own)
    if own:  # a source of the user's own has no files to look at
        examples = {reference: fingerprint(load(config.source)) for reference in own[:1]}
        found = replace(found, digests={**found.digests, **examples})
    return found, f"{len(found.digests)} files, {found.read} of them read, in {time.monotonic() - began:.1f} s"


def nothing_new(config: SearchConfig, found: tuple[Manifest, str] | None = None) -> str | None:
    """One line that says so if the data is what it was when it was last searched, else ``None``.

    Args:
        config: the search.
        found: its stock, where that was taken already.
    """
    log = log_of(config)
    refreshes = log.refreshes()
    if not refreshes:
        return None
    files, words = found or stock(config)
    if files.fingerprint != refreshes[-1].manifest:
        return None
    return f"nothing new in {config.data} since run {refreshes[-1].run} ({words})"

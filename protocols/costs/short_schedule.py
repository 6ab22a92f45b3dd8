"""Options with which an agent learns at once and in small groups of updates, with the work per update of its own schedule."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from agents.api import has_schedule


def one_call(options: Any, per_call: str | None, *, every_env_steps: int) -> Any:
    """A training call at every decision, with the fewest updates that keep the ratio of the work per call.

    per_call  the option with this work (`agents.catalog.AgentEntry.per_call`): 8 generations in 16 updates become 1 in 2
    """
    portion = math.gcd(options.updates, getattr(options, per_call)) if per_call else options.updates
    return _shortened(options, per_call, portion, every_env_steps)


def same_share(options: Any, per_call: str | None) -> Any:
    """The same number of updates per env step, but in the smallest groups and from the first step on."""
    if not has_schedule(options):
        return options
    counts = [options.updates, options.update_every_env_steps, *([getattr(options, per_call)] if per_call else [])]
    portion = math.gcd(*counts)
    return _shortened(options, per_call, portion, options.update_every_env_steps // portion)


def _shortened(options: Any, per_call: str | None, portion: int, every_env_steps: int) -> Any:
    work = {per_call: getattr(options, per_call) // portion} if per_call else {}
    return replace(
        options,
        prefill_env_steps=0,
        pretrain_updates=1,
        updates=options.updates // portion,
        update_every_env_steps=every_env_steps,
        **work,
    )

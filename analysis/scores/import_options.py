"""What the user says about a score file of another project: the options of `import`, and of every reader.

Only the standard library, so that `--help` stays fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["env_steps", "frames", "agent_steps"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user says about a file."""

    method: str | None = None
    """Method name to use instead of the file's own."""
    task: str | None = None
    """Task name to use instead of the file's own."""
    seed: str | None = None
    """Seed to use instead of the file's own."""
    pattern: str | None = None
    """Read method, task and seed from the paths, for example "{method}/{task}/seed-{seed}/*.csv"."""
    protocol: str | None = None
    """Protocol to file the scores under, if they really followed it: an id, or a file of your own."""
    unit: Unit | None = None
    """What the step column counts, whatever its name says. Frames are simulator steps."""
    action_repeat: int | None = None
    """Simulator steps per agent step, to convert agent steps."""
    iteration_steps: int | None = None
    """Steps per iteration, for files that count iterations (Dopamine)."""
    at: int | None = None
    """Simulator steps at which the scores were reached, for files without steps (Atari-100k, rliable)."""
    score: str | None = None
    """Column, key or tag of the returns, if it has no usual name."""
    step: str | None = None
    """Column or key of the steps, if it has no usual name."""
    suite: str | None = None
    """Prefix of the tasks of another package."""
    own_tasks: tuple[str, ...] = ()
    """Names or patterns ("minigrid_*") of your own tasks; other unknown names are refused."""
    nulls: Literal["fail", "drop"] = "fail"
    """Points without a score: fail at the first one, or drop them and say how many."""

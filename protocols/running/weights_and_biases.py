"""Runs in Weights & Biases beside the records. If the two differ, `metrics.jsonl` is right.

Needs the extra: pip install "dreamer-bench[wandb]". WANDB_MODE, WANDB_PROJECT and WANDB_ENTITY decide what is sent and where,
as in every program that uses wandb; WANDB_MODE=offline keeps the data on this machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dreamer_bench_base import UserError
from dreamer_bench_files import sha256
from protocols.records.store import Run
from protocols.running.job import Moment

PROJECT = "dreamer-bench"


class WandbRuns:
    """One wandb run per run, with every number of an evaluation's line over env_steps. A resumed run continues its own."""

    def __init__(self, runs: Sequence[Run]) -> None:
        try:
            import wandb
        except ImportError:
            raise UserError("--wandb needs the package wandb; install it: pip install 'dreamer-bench[wandb]'") from None
        self._runs: list[Any] = []
        for run in runs:
            manifest = run.manifest
            name = f"{manifest['protocol']}/{manifest['label']}/{manifest['task']}/seed-{manifest['seed']}"
            kept = ("protocol", "digest", "agent", "label", "task", "seed", "options", "overrides", "commit", "limit_env_steps")
            begun = wandb.init(
                project=None if wandb.setup().settings.project else PROJECT,
                dir=str(run.folder),
                id=sha256(f"{name} {manifest['created']}".encode())[:16],
                name=name,
                group=f"{manifest['protocol']}/{manifest['task']}",
                config={key: manifest.get(key) for key in kept},
                resume="allow",
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
            )
            begun.define_metric("*", step_metric="env_steps")
            self._runs.append(begun)

    def __call__(self, moment: Moment) -> None:
        for run, line in zip(self._runs, moment.lines, strict=False):
            numbers = {name: value for name, value in line.items() if isinstance(value, (int, float)) and math.isfinite(value)}
            run.log({"env_steps": moment.env_steps, **numbers})

    def close(self) -> None:
        for run in self._runs:
            run.finish()

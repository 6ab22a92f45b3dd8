"""One cohort as a request that can be sent to another machine, and how its program ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from agents import catalog as agent_catalog
from protocols.running.grid import Grid
from protocols.spec import Protocol


@dataclass(frozen=True, kw_only=True)
class CohortRequest:
    """Everything one program needs to train its seeds, on this machine or another.

    workers      processes that step environments; 0: none, None: chosen from the number of processors
    film         keep a video of the last evaluation
    tensorboard  write event files beside the records
    wandb        log to Weights & Biases beside the records
    command      the command line that resumes it
    cpus, gpus   what one Ray task takes of a node; gpus may be a fraction, so that several programs share a device
    """

    grid: Grid
    agent: str
    task: str
    seeds: tuple[int, ...]
    device: str = "cpu"
    workers: int | None = None
    film: bool = True
    tensorboard: bool = False
    wandb: bool = False
    command: str = ""
    cpus: float = 1.0
    gpus: float = 1.0

    @property
    def protocol(self) -> Protocol:
        return self.grid.protocol

    @property
    def name(self) -> str:
        label = self.grid.spec(self.agent, self.task, self.seeds[0]).label
        return f"{label} {self.task} seeds {', '.join(map(str, self.seeds))}"

    def options(self) -> Any:
        chosen = agent_catalog.find(self.agent).options(self.protocol.agent_profile)
        return replace(chosen, **self.grid.overrides)


@dataclass(frozen=True, kw_only=True)
class CohortOutcome:
    """How a program ended. `interrupted` means: asked to stop, checkpoint written."""

    request: CohortRequest
    status: Literal["complete", "interrupted"]

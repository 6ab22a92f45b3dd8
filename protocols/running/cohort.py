"""A request to train one cohort, which can be sent to another machine, and the outcome of its program."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from agents import catalog as agent_catalog
from protocols.running.grid import Grid
from protocols.spec import Protocol


@dataclass(frozen=True, kw_only=True)
class CohortRequest:
    """Everything one program needs to train its seeds, on this machine or another.

    workers      processes that step environments; 0: none, None: chosen from the number of CPU cores
    film         keep a video of the last evaluation
    tensorboard  also write event files
    wandb        also log to Weights & Biases
    command      the command line that resumes it
    cpus, gpus   resources of one Ray task on its node; with a fraction of a GPU, several programs share it
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
        chosen = agent_catalog.find(self.agent).options(self.protocol.profile_of(self.task))
        return replace(chosen, **self.grid.overrides)


@dataclass(frozen=True, kw_only=True)
class CohortOutcome:
    """How a program ended. `interrupted` means that it was asked to stop and has written a checkpoint."""

    request: CohortRequest
    status: Literal["complete", "interrupted"]

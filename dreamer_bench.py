"""The command line over the four packages. Only this module may import all of them, and it imports them late.

Each package has its commands in `commands.py`, as frozen dataclasses whose `run()` returns the exit code. This file has only
the commands that need several packages at once. Exit codes: 0 done, 1 no (a verdict, a failed check of `doctor`), 2 bad input,
3 inconclusive, 4 invalid records, 5 a bug, 130/143 interrupted.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import tyro

from analysis.leaderboard.commands import LeaderboardAdd, LeaderboardBuild
from dreamer_bench_base import Exits, UserError, open_closed_streams
from dreamer_bench_files import write_atomically
from protocols.costs.commands import DoctorCommand
from protocols.running.list_commands import ListCommand, OptionsCommand

if TYPE_CHECKING:
    from analysis.leaderboard.checkpoints import Replaying

Way = Literal["eager", "compiled", "captured", "compiled and captured"]


@dataclass(frozen=True, kw_only=True)
class CheckAgentCommand:
    """Test that an agent follows the interface in agents/api.py.

    Exit codes: 0 every claim holds, 1 one does not (a FAIL line), 5 the agent raised an exception (its traceback, and the claim
    that was being checked).
    """

    name: tyro.conf.Positional[str]
    """Name of the agent, as in `list agents`."""
    probes: bool = False
    """Also train it on the probe environments and print its return beside the known optimum (takes minutes)."""

    def run(self) -> int:
        from agents import catalog
        from agents.conformance import check_agent
        from suites import catalog as suites

        passed = True
        for finding in check_agent.findings(catalog.find(self.name), make=suites.make, probes=self.probes):
            mark, detail = "ok  " if finding.passed else "FAIL", f": {finding.detail}" if finding.detail else ""
            print(f"{mark} {finding.claim}{detail}", flush=True)  # so that a later exception does not hide it
            passed &= finding.passed
        return 0 if passed else 1


@dataclass(frozen=True, kw_only=True)
class ImagineCommand:
    """Predict video with the world model of a run (Figure 5): it sees the first images of an episode, then only the actions.

    Writes truth, prediction and error as a PNG strip and a GIF, and the error of every step as CSV.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of one seed: runs/<protocol>/<agent>/<task>/seed-<n>, of any agent with a world model."""
    out: Path | None = None
    """Folder to write to (default: `imagine` in the run's folder, which the report shows)."""
    context: int = 5
    """Images to show to the model."""
    steps: int = 45
    """Steps to predict after them, in decisions."""
    episodes: int = 2
    """Held-out episodes to predict; the agent plays them with environment seeds that training never uses."""
    device: str = "auto"
    """Device to compute on: auto, cpu or cuda."""

    def run(self) -> int:
        from agents import imagination
        from agents.device import resolve_device
        from agents.learning.model_based import ModelBasedAgent
        from protocols.cadence import episode_seed
        from protocols.running.load_run import revive

        if min(self.context, self.steps, self.episodes) < 1:
            raise UserError(
                f"--context, --steps and --episodes must be at least 1, got {self.context}, {self.steps} and {self.episodes}"
            )
        if self.out is not None and self.out.is_file():
            raise UserError(f"--out {self.out} is a file; give a folder (a missing folder is created)")
        revived = revive(self.run_folder, device=resolve_device(self.device))
        manifest = revived.run.manifest
        if not isinstance(revived.agent, ModelBasedAgent):
            raise UserError(
                f"agent {manifest['agent']!r} has no world model; give a run of dreamer or of another agent with a world model"
            )
        tasks = revived.protocol.played(manifest["task"])
        environment = revived.make()
        try:
            played = [
                imagination.record_episode(
                    revived.agent,
                    environment,
                    rows=self.context + self.steps,
                    seed=episode_seed(int(manifest["seed"]), "final", index, len(tasks)),
                )
                for index in range(self.episodes)
            ]
        finally:
            environment.close()
        with revived.bounded():
            prediction = imagination.open_loop(revived.agent, played, context=self.context)
        for path in imagination.draw(prediction, self.out or self.run_folder / "imagine"):
            print(path)
        if len(tasks) > 1:
            print(f"tasks of the sequences, from 0: {', '.join(tasks[index % len(tasks)] for index in range(self.episodes))}")
        seen, unseen = prediction.image_error[: self.context].mean(), prediction.image_error[self.context :].mean()
        print(
            f"mean squared error per pixel in [0, 1]: {seen:.5f} while the model sees images, {unseen:.5f} over the "
            f"{self.steps} predicted steps (n={self.episodes} episodes)"
        )
        return 0


@dataclass(frozen=True, kw_only=True)
class LeaderboardAddCommand(LeaderboardAdd):
    __doc__ = LeaderboardAdd.__doc__

    def replaying(self, number: int) -> Replaying:
        from analysis.leaderboard.checkpoints import Replaying
        from protocols.running.replay_check import Replays

        if not self.replay_tolerance >= 0:
            raise UserError(f"--replay-tolerance must be at least 0, got {self.replay_tolerance}")
        if self.replay_seed is not None and self.replay_seed < 0:
            raise UserError(f"--replay-seed must be at least 0, got {self.replay_seed}")
        play = Replays(device=self.device, tolerance=self.replay_tolerance, say=print)
        return Replaying(number=number, play=play, tolerance=self.replay_tolerance, seed=self.replay_seed, say=print)


@dataclass(frozen=True, kw_only=True)
class LeaderboardCommand:
    """Keep a leaderboard: add checked submissions, build its static site."""

    action: Annotated[
        Annotated[LeaderboardAddCommand, tyro.conf.subcommand("add")]
        | Annotated[LeaderboardBuild, tyro.conf.subcommand("build")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> int:
        return self.action.run()


@dataclass(frozen=True, kw_only=True)
class BenchCommand:
    """Measure this machine: updates, decisions, planning, replay, frames, the whole loop and memory, for every agent.

    Prints tables. Save the JSON for `plan --measured`.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to measure; auto takes a GPU if there is one."""
    agents: tuple[str, ...] = ("dreamer", "no_value", "planet", "sac")
    """Agents to measure."""
    seeds_per_program: tuple[int, ...] = (1, 3, 5, 10)
    """Numbers of seeds to train together as one program; each one is measured."""
    profile: Literal["paper", "quick"] = "paper"
    """Measure the sizes and tasks of dmc-5m@1 (paper) or of quick@1 (quick)."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Tasks to time (default: dmc_walker_walk, or quick@1's); agents are measured on the first."""
    workers: tuple[int, ...] = (1, 4, 16)
    """Numbers of worker processes to time, one environment each; 0 is one environment in this process."""
    ways: Annotated[tuple[Way, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Ways to run an update (default: eager on a CPU, where compiling takes minutes; all of them on a GPU)."""
    seconds: float = 5.0
    """Length of a measurement; at least two calls are made."""
    most_seconds: float | None = None
    """Stop increasing the seeds per program once an update has taken longer than this."""
    json: Path | None = None
    """Write the measurements as JSON to this file."""
    markdown: Path | None = None
    """Write the tables to this file as well."""

    def run(self) -> int:
        from agents import speed
        from agents.catalog import find
        from agents.device import resolve_device
        from protocols import catalog
        from protocols.costs import bench, bench_tables
        from protocols.costs.commands import write_json_report

        protocol = catalog.find("quick@1" if self.profile == "quick" else "dmc-5m@1")
        device = resolve_device(self.device)
        request = bench.request(
            protocol,
            tasks=self.tasks or (("dmc_walker_walk",) if self.profile == "paper" else protocol.tasks),
            agents=tuple(find(name).name for name in self.agents),
            seeds_per_program=self.seeds_per_program,
            workers=self.workers,
            device=device,
            ways=self.ways or speed.default_ways(device),
            seconds=self.seconds,
            most_seconds=self.most_seconds,
        )
        bench.check_target(self.json, self.markdown)
        record = bench.bench(request, speed.measure_speed, speed.machine(device), say=lambda line: print(line, file=sys.stderr))
        write_json_report(record, self.json)
        text = bench_tables.tables(record)
        if self.markdown is not None:
            write_atomically(self.markdown, text.encode())
        print(text, end="")
        return 0


def commands() -> dict[str, Any]:
    """Every command by name, in the order of the help."""
    from analysis.commands import COMMANDS as reading
    from protocols.running.commands import COMMANDS as running
    from protocols.running.playback_commands import COMMANDS as playing

    return {
        "list": ListCommand,
        "options": OptionsCommand,
        **running,
        **playing,
        "imagine": ImagineCommand,
        **reading,
        "leaderboard": LeaderboardCommand,
        "check-agent": CheckAgentCommand,
        "bench": BenchCommand,
        "doctor": DoctorCommand,
    }


def refuse_empty(command: Any, arguments: list[str]) -> None:
    """Raises UserError for a list option without a value: that is not the same as leaving the option out."""
    if "" in arguments:  # an unset variable of the shell, which as a path would be the current folder
        raise UserError("an argument is empty; give a value, or leave it out")
    named = {each.partition("=")[0].replace("_", "-") for each in arguments if each.startswith("--")}
    for field in dataclasses.fields(command):
        value, option = getattr(command, field.name), "--" + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            refuse_empty(value, arguments)
        elif value == () and option in named:
            raise UserError(f"{option} has no value; give at least one, or leave it out")


def main() -> None:
    open_closed_streams()
    # By default, threads of torch that wait for each other spin for a long time. If the machine has other work, an update of
    # small networks on two cores then takes 2 to 17 s instead of 0.6 s. torch reads this when it is loaded; docs/log.md.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    if sys.argv[1:] == ["--version"]:
        print(f"dreamer-bench {metadata.version('dreamer-bench')}")
        raise SystemExit(0)
    known = commands()
    choices: Any = Union[tuple(Annotated[kind, tyro.conf.subcommand(name=name)] for name, kind in known.items())]  # noqa: UP007
    with Exits():
        command: Any = tyro.cli(
            choices,
            prog="dreamer-bench",
            description="The benchmark for world-model agents: frozen protocols, raw records, honest intervals.",
            config=(tyro.conf.OmitArgPrefixes,),
        )
        refuse_empty(command, sys.argv[1:])
        code = command.run()
    raise SystemExit(code)


if __name__ == "__main__":
    main()

"""The one training loop, and the only place that counts steps.

A cohort is S seeds of one (agent, task), trained as one program. All its seeds advance together:

    act -> step every environment -> observe -> environments whose episode ended are reset and observed again -> learn

env_steps = agent_steps x action repeat, per seed. A reset counts nothing; an episode that ends inside a repeat counts the
whole repeat (the field's convention). Evaluations come between two iterations and leave no trace in training.
Everything random is a function of seeds and counters, so a checkpoint holds counters, the agent, and the actions of the
episodes that were open: those are played again from their seeds, and the run continues as if it had not been interrupted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.api import Carry, Progress, TimeStep
from agents.environments import Environments
from agents.interaction import begin, interact
from dreamer_bench_base import UserError
from protocols.cadence import Purpose, episode_seed
from protocols.records import chain, checkpoint
from protocols.records.json_files import write_json
from protocols.records.line_log import LineLog
from protocols.records.store import EPISODES, MANIFEST, METRICS, SESSIONS, write_result
from protocols.running.evaluate import FINAL_STREAM, Episode, lanes_per_seed, play
from protocols.running.job import Job, Moment

LOOP, OPEN_EPISODES, AGENT = "loop.json", "open_episodes.npz", "agent"
WATCH_EVERY_SECONDS = 0.5


class Interrupted(Exception):
    """The run was asked to stop; its checkpoint is written."""


@dataclass(kw_only=True)
class Counts:
    """What a checkpoint holds of the loop. `finished` [S][E] counts training episodes per environment.

    recent  [S] sums and numbers of the returns of training episodes since the last line of metrics
    """

    finished: list[list[int]]
    recent: list[list[float]]
    iteration: int = 0
    gradient_steps: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    marked_seconds: float = 0.0
    marked_env_steps: int = 0
    bytes: list[dict[str, int]] = field(default_factory=list)


class Training:
    """One cohort under way."""

    step: TimeStep
    carry: Carry
    counts: Counts
    returns: np.ndarray
    actions: list[list[list[np.ndarray]]]  # of the open episode of every [seed][environment]

    def __init__(self, job: Job) -> None:
        self.job = job
        task = job.runs[0].manifest["task"]
        self.tasks, self.names_tasks = job.protocol.played(task), task in job.protocol.joined
        self.environments = job.open_environments(job.cadence.num_envs)
        self.evaluation_environments: dict[int, Environments] = {}  # by environments per seed
        self.active = np.array([run.result() is None for run in job.runs])
        self.scores: list[float | None] = [None] * len(job.seeds)
        self.saved_at: tuple[int, int] | None = None
        self.watched_at = 0.0
        self._restore()

    # ------------------------------------------------------------ the loop

    def run(self) -> None:
        """Trains to the end and writes the results. Raises Interrupted after a checkpoint when asked to stop."""
        cadence, counts = self.job.cadence, self.counts
        try:
            while True:
                if not self.active.any():
                    break
                if cadence.evaluations[counts.evaluations :][:1] == (counts.iteration,):
                    self._evaluate()
                    self.save()
                if counts.iteration == cadence.iterations:
                    break
                self._check()
                self._iterate()
                if time.monotonic() - self.watched_at > WATCH_EVERY_SECONDS:
                    self._tell()
            self._finish()
        except _Stop:
            self.save()
            raise Interrupted from None

    def _iterate(self) -> None:
        job, counts = self.job, self.counts
        decided = interact(job.agent, self.carry, self.step, advance=self._advance, restart=self._restart)
        self.carry, self.step = decided.carry, decided.step
        updates = job.agent.learn(
            Progress(
                env_steps=job.cadence.env_steps(counts.iteration),
                agent_steps=job.cadence.agent_steps(counts.iteration),
                episodes=min(sum(row) for row in counts.finished),
                budget_env_steps=job.budget_env_steps,
            )
        )
        counts.gradient_steps += updates
        if updates:  # the next decision waits for the same updates, so asking here makes no device wait that would not
            self._finish_diverged()

    def _advance(self, action: np.ndarray) -> TimeStep:
        step = self.environments.step(action)
        self.counts.iteration += 1
        for s, e in np.ndindex(*self.environments.shape):
            self.actions[s][e].append(np.array(action[s, e]))
            self.returns[s, e] += self.environments.reward[s, e]
        return step

    def _restart(self, step: TimeStep) -> TimeStep:
        for s, e in np.argwhere(step.is_last):
            self._end_episode(s, e)
        return self.environments.reset(step.is_last, self._train_seeds())

    def _end_episode(self, s: np.signedinteger, e: np.signedinteger) -> None:
        self.counts.recent[s][0] += float(self.returns[s, e])
        self.counts.recent[s][1] += 1
        self.counts.finished[s][e] += 1
        self.actions[s][e], self.returns[s, e] = [], 0.0

    def _train_seeds(self) -> np.ndarray:
        """[S, E]: the environment seed of every lane's present episode."""
        num_envs = self.environments.shape[1]
        return np.array(
            [
                [episode_seed(seed, "train", finished * num_envs + e, len(self.tasks)) for e, finished in enumerate(row)]
                for seed, row in zip(self.job.seeds, self.counts.finished, strict=True)
            ]
        )

    # ------------------------------------------------------------ evaluation and records

    def _evaluate(self) -> None:
        protocol, counts = self.job.protocol, self.counts
        index = counts.evaluations
        played = self._play("evaluate", protocol.evaluate_episodes, index * protocol.evaluate_episodes, stream=index + 1)
        self._record(played, index, final=False)
        marks = self._record_metrics()
        counts.evaluations += 1
        self._tell(marks, tuple(played[s][0].frames if played[s] else () for s in range(len(played))))

    def _play(self, purpose: Purpose, episodes: int, first_index: int, stream: int) -> list[list[Episode]]:
        job = self.job
        lanes = lanes_per_seed(job.protocol, purpose)
        if lanes not in self.evaluation_environments:
            self.evaluation_environments[lanes] = job.open_environments(lanes)
        return play(
            job.agent,
            self.evaluation_environments[lanes],
            run_seeds=job.seeds,
            purpose=purpose,
            tasks=len(self.tasks),
            first_index=first_index,
            episodes=episodes,
            stream=stream,
            active=self.active,
            film=job.film and purpose == "evaluate",
            check=self._check,
        )

    def _record(self, played: list[list[Episode]], index: int, *, final: bool) -> None:
        for s in np.flatnonzero(self.active):
            self.episode_logs[s].write(
                [
                    {
                        **self._counted(),
                        "checkpoint": index,
                        "episode": number,
                        **({"task": self.tasks[number % len(self.tasks)]} if self.names_tasks else {}),
                        "env_seed": episode.env_seed,
                        "score": episode.score,
                        "length": episode.length,
                        "seconds": round(episode.seconds, 3),
                        "final": final,
                    }
                    for number, episode in enumerate(played[s])
                ]
            )
            self.scores[s] = float(np.mean([episode.score for episode in played[s]]))

    def _record_metrics(self) -> tuple[dict[str, Any], ...]:
        counts, counted = self.counts, self._counted()
        seconds = self._seconds()
        elapsed = seconds - counts.marked_seconds
        rate = (counted["env_steps"] - counts.marked_env_steps) / elapsed if elapsed > 0 else 0.0
        metrics = {name: np.asarray(value) for name, value in self.job.agent.metrics().items()}
        lines = []
        for s, (total, number) in enumerate(counts.recent):
            line = {
                **counted,
                "seconds": round(seconds, 3),
                "env_steps_per_second": round(rate, 3),
                "train_return": total / number if number else None,
                **{name: float(value[s]) for name, value in metrics.items()},
            }
            if self.active[s]:
                self.metric_logs[s].write([line])
            lines.append({**line, "score": self.scores[s]})
            counts.recent[s] = [0.0, 0]
        counts.marked_seconds, counts.marked_env_steps = seconds, counted["env_steps"]
        return tuple(lines)

    def _finish_diverged(self) -> None:
        diverged = np.asarray(self.job.agent.diverged)
        for s in np.flatnonzero(self.active & diverged):
            seconds = self._seconds()
            marked, elapsed = self._counted(), seconds - self.counts.marked_seconds
            rate = (marked["env_steps"] - self.counts.marked_env_steps) / elapsed if elapsed > 0 else 0.0
            self.metric_logs[s].write(
                [
                    {
                        **marked,
                        "seconds": round(seconds, 3),
                        "env_steps_per_second": round(rate, 3),
                        "train_return": None,
                        "diverged": True,
                    }
                ]
            )
            self._write_result(s, "diverged")
            self.scores[s] = None
            self.job.say(f"seed {self.job.seeds[s]} diverged: its loss was not finite; the other seeds continue")
        self.active &= ~diverged

    def _finish(self) -> None:
        protocol = self.job.protocol
        if protocol.final_episodes and self.active.any():
            played = self._play("final", protocol.final_episodes, 0, stream=FINAL_STREAM)
            self._record(played, len(self.job.cadence.evaluations), final=True)
        for s in np.flatnonzero(self.active):
            self._write_result(s, "complete")
        self._tell()

    def _write_result(self, s: np.signedinteger, status: Literal["complete", "diverged"]) -> None:
        seconds, run = self._seconds(), self.job.runs[s]
        checkpoint.check_records(run.folder, self._recorded(int(s)))
        write_result(
            run,
            status=status,
            checkpoint=checkpoint.newest_seal(run.folder) if status == "complete" else None,
            **self._counted(),
            wall_seconds=round(seconds, 3),
            device_seconds=round(seconds / len(self.job.seeds), 3),
        )

    def _counted(self) -> dict[str, int]:
        cadence, counts = self.job.cadence, self.counts
        return {
            "env_steps": cadence.env_steps(counts.iteration),
            "agent_steps": cadence.agent_steps(counts.iteration),
            "gradient_steps": counts.gradient_steps,
        }

    # ------------------------------------------------------------ checkpoints

    def save(self) -> None:
        """Writes a checkpoint from which this very place is reached again."""
        counts = self.counts
        if self.saved_at == (counts.iteration, counts.evaluations):
            return
        counts.seconds = self._seconds()
        checkpoint.save(
            [run.folder for run in self.job.runs], self._write_parts, [self._recorded(s) for s in range(len(self.job.runs))]
        )
        self.saved_at = (counts.iteration, counts.evaluations)

    def _recorded(self, s: int) -> dict[str, checkpoint.Recorded]:
        """What this process wrote, or found when it began, of the records of one seed."""
        episodes, metrics = self.episode_logs[s], self.metric_logs[s]
        return {
            **self.found[s],
            EPISODES: {"bytes": episodes.bytes, "sha256": episodes.sha256},
            METRICS: {"bytes": metrics.bytes, "sha256": metrics.sha256},
        }

    def _write_parts(self, parts: Sequence[Path]) -> None:
        counts = self.counts
        for s, part in enumerate(parts):
            write_json(
                part / LOOP,
                {
                    "seeds": self.job.seeds,
                    "iteration": counts.iteration,
                    "gradient_steps": counts.gradient_steps,
                    "evaluations": counts.evaluations,
                    "seconds": counts.seconds,
                    "marked_seconds": counts.marked_seconds,
                    "marked_env_steps": counts.marked_env_steps,
                    "finished": counts.finished[s],
                    "recent": counts.recent[s],
                    "score": self.scores[s],
                    "bytes": {EPISODES: self.episode_logs[s].bytes, METRICS: self.metric_logs[s].bytes},
                },
            )
            space = self.environments.action_space
            np.savez(
                part / OPEN_EPISODES,
                **{  # type: ignore[arg-type]
                    f"lane_{e}": np.array(actions, dtype=space.dtype).reshape(len(actions), *space.shape)  # type: ignore[misc]
                    for e, actions in enumerate(self.actions[s])
                },
            )
            (part / AGENT).mkdir()
        self.job.agent.save([part / AGENT for part in parts], self.carry)

    def _restore(self) -> None:
        """Begins, or resumes from the newest good checkpoint."""
        job, (num_seeds, num_envs) = self.job, self.environments.shape
        parts = checkpoint.newest([run.folder for run in job.runs], job.say)
        self.actions = [[[] for _ in range(num_envs)] for _ in range(num_seeds)]
        if parts is None:
            self.counts = Counts(finished=[[0] * num_envs for _ in job.seeds], recent=[[0.0, 0] for _ in job.seeds])
            vouched = [{EPISODES: 0, METRICS: 0}] * num_seeds
        else:
            held = [json.loads((part / LOOP).read_bytes()) for part in parts]
            if any(tuple(one["seeds"]) != job.seeds for one in held):
                raise UserError(
                    f"checkpoint {parts[0]} belongs to a cohort of the seeds {held[0]['seeds']}, "
                    f"not {list(job.seeds)}; give another folder with --runs"
                )
            self.counts = Counts(
                finished=[one["finished"] for one in held],
                recent=[one["recent"] for one in held],
                **{
                    name: held[0][name]
                    for name in ("iteration", "gradient_steps", "evaluations", "seconds", "marked_seconds", "marked_env_steps")
                },
            )
            self.scores = [one["score"] for one in held]
            vouched = [one["bytes"] for one in held]
            for s, part in enumerate(parts):
                with np.load(part / OPEN_EPISODES) as stored:
                    self.actions[s] = [list(stored[f"lane_{e}"]) for e in range(num_envs)]
        self.episode_logs, self.metric_logs = (
            [
                LineLog(
                    run.folder / name,
                    known[name],
                    chain.origin(run.manifest) if name == EPISODES and run.schema >= 2 else None,
                )
                for run, known in zip(job.runs, vouched, strict=True)
            ]
            for name in (EPISODES, METRICS)
        )
        self.found = [{name: checkpoint.recorded(run.folder / name) for name in (MANIFEST, SESSIONS)} for run in job.runs]
        self.step = self._play_open_episodes_again()
        if parts is None:
            self.carry = job.agent.initial(num_envs)
            space = self.environments.action_space
            nothing = np.zeros((num_seeds, num_envs, *space.shape), space.dtype)  # type: ignore[misc]
            begin(job.agent, nothing, self.step)
        else:
            self.carry = job.agent.load([part / AGENT for part in parts])
            self.saved_at = (self.counts.iteration, self.counts.evaluations)
        self.started = time.monotonic() - self.counts.seconds

    def _play_open_episodes_again(self) -> TimeStep:
        """Brings the environments to where the checkpoint left them. The agent has seen all of this."""
        shape = self.environments.shape
        self.returns = np.zeros(shape)
        step = self.environments.reset(np.ones(shape, bool), self._train_seeds())
        lengths = np.array([[len(actions) for actions in row] for row in self.actions])
        space = self.environments.action_space
        for t in range(int(lengths.max(initial=0))):
            chosen = lengths > t
            action = np.zeros((*shape, *space.shape), space.dtype)  # type: ignore[misc]
            for s, e in np.argwhere(chosen):
                action[s, e] = self.actions[s][e][t]
            step = self.environments.step(action, chosen)
            self.returns[chosen] += self.environments.reward[chosen]
            if step.is_last.any():
                task = self.job.runs[0].manifest["task"]
                raise UserError(
                    f"an interrupted episode of {task} ended early when it was played again from its seed: the "
                    "simulator is not reproducible (another version?); start this run again in another folder"
                )
        return step

    # ------------------------------------------------------------ time and watching

    def _check(self) -> None:
        if self.job.stop_requested():
            raise _Stop

    def _seconds(self) -> float:
        return time.monotonic() - self.started

    def _tell(self, lines: tuple[Mapping[str, Any], ...] = (), films: tuple[Sequence[np.ndarray], ...] = ()) -> None:
        env_steps, seconds = self._counted()["env_steps"], self._seconds()
        self.watched_at = time.monotonic()
        self.job.watch(
            Moment(
                env_steps=env_steps,
                budget_env_steps=self.job.budget_env_steps,
                seconds=seconds,
                env_steps_per_second=env_steps / seconds if seconds > 0 else 0.0,
                scores=tuple(self.scores),
                evaluations=self.counts.evaluations,
                evaluations_due=len(self.job.cadence.evaluations),
                lines=lines,
                films=films,
            )
        )

    def close(self) -> None:
        self.environments.close()
        for each in self.evaluation_environments.values():
            each.close()


class _Stop(Exception):
    """Asked to stop; nothing is written yet."""


def train(job: Job) -> None:
    """Trains a cohort from where its records stand to its end. Raises Interrupted when asked to stop."""
    training = Training(job)
    try:
        training.run()
    finally:
        training.close()

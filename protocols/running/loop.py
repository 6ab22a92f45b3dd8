"""The training loop, and the only place that counts steps.

A cohort is S seeds of one (agent, task), trained as one program. All its seeds advance together:

    act -> step every environment -> observe -> environments whose episode ended are reset and observed again -> learn

env_steps = agent_steps x action repeat, per seed. A reset counts 0; an episode that ends inside a repeat counts the whole
repeat (the field's convention). Evaluations come between two iterations and do not change training.
Everything random is a function of seeds and counters. So a checkpoint has counters, the agent, and the actions of the open
episodes, which are played again from their seeds; then the run continues as if it had not been interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.api import Carry, Progress, TimeStep
from agents.environments import Environments
from agents.interaction import begin, interact
from protocols.cadence import Purpose, episode_seed
from protocols.records import checkpoint
from protocols.running import bounded, loop_state
from protocols.running.cohort_records import CohortRecords
from protocols.running.evaluate import FINAL_STREAM, Episode, lanes_per_seed, play
from protocols.running.job import Job, Moment
from protocols.running.loop_state import Counts, LoopState

AGENT = "agent"
WATCH_EVERY_SECONDS = 0.5


class Interrupted(Exception):
    """The run was asked to stop. When `run` and `train` raise it, a checkpoint is written."""


class Training:
    """The training of one cohort."""

    step: TimeStep
    carry: Carry
    counts: Counts
    scores: list[float | None]
    records: CohortRecords
    returns: np.ndarray
    actions: list[list[list[np.ndarray]]]  # actions of the open episode of every [seed][environment]

    def __init__(self, job: Job) -> None:
        self.job = job
        task = job.runs[0].manifest["task"]
        self.tasks, self.names_tasks = job.protocol.played(task), task in job.protocol.joined
        self.environments = job.open_environments(job.cadence.num_envs)
        self.evaluation_environments: dict[int, Environments] = {}  # by environments per seed
        self.active = np.array([run.result() is None for run in job.runs])
        self.saved_at: tuple[int, int] | None = None
        self.watched_at = 0.0
        self._restore()

    # ------------------------------------------------------------ the loop

    def run(self) -> None:
        """Trains to the end and writes the results. If asked to stop, raises Interrupted after a checkpoint."""
        cadence, counts = self.job.cadence, self.counts
        try:
            while self.active.any():
                if cadence.evaluations[counts.evaluations :][:1] == (counts.iteration,):
                    self._evaluate()
                    self.save()
                if counts.iteration == cadence.iterations:
                    break
                self.check()
                self._iterate()
                if time.monotonic() - self.watched_at > WATCH_EVERY_SECONDS:
                    self._tell()
            self._finish()
        except Interrupted:
            self.save()
            raise

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
        if updates:  # the next decision waits for the same updates anyway, so asking here costs no time
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
            recent = self.counts.recent[s]
            recent[0], recent[1] = recent[0] + float(self.returns[s, e]), recent[1] + 1
            self.counts.finished[s][e] += 1
            self.actions[s][e], self.returns[s, e] = [], 0.0
        return self.environments.reset(step.is_last, self._train_seeds())

    def _train_seeds(self) -> np.ndarray:
        """[S, E]: the environment seed of every lane's current episode."""
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
            check=self.check,
        )

    def _record(self, played: list[list[Episode]], index: int, *, final: bool) -> None:
        for s in map(int, np.flatnonzero(self.active)):
            self.records.write_episodes(s, played[s], self._counted(), index, final=final)
            self.scores[s] = float(np.mean([episode.score for episode in played[s]]))

    def _record_metrics(self) -> tuple[dict[str, Any], ...]:
        counts, seconds = self.counts, self._seconds()
        mark = self._mark(seconds)
        metrics = {name: np.asarray(value) for name, value in self.job.agent.metrics().items()}
        lines = []
        for s, (total, number) in enumerate(counts.recent):
            line = {
                **mark,
                "train_return": total / number if number else None,
                **{name: float(value[s]) for name, value in metrics.items()},
            }
            if self.active[s]:
                self.records.write_metrics(s, line)
            lines.append({**line, "score": self.scores[s]})
            counts.recent[s] = [0.0, 0]
        counts.marked_seconds, counts.marked_env_steps = seconds, mark["env_steps"]
        return tuple(lines)

    def _mark(self, seconds: float) -> dict[str, Any]:
        """The progress of training after `seconds`, and its speed since the last line of metrics."""
        counts, counted = self.counts, self._counted()
        elapsed = seconds - counts.marked_seconds
        rate = (counted["env_steps"] - counts.marked_env_steps) / elapsed if elapsed > 0 else 0.0
        return {**counted, "seconds": round(seconds, 3), "env_steps_per_second": round(rate, 3)}

    def _finish_diverged(self) -> None:
        diverged = np.asarray(self.job.agent.diverged)
        for s in map(int, np.flatnonzero(self.active & diverged)):
            self.records.write_metrics(s, {**self._mark(self._seconds()), "train_return": None, "diverged": True})
            self.records.write_result(s, "diverged", self._counted(), seconds=self._seconds())
            self.scores[s] = None
            self.job.say(f"seed {self.job.seeds[s]} diverged: its loss was not finite; the other seeds continue")
        self.active &= ~diverged

    def _finish(self) -> None:
        protocol = self.job.protocol
        if protocol.final_episodes and self.active.any():
            played = self._play("final", protocol.final_episodes, 0, stream=FINAL_STREAM)
            self._record(played, len(self.job.cadence.evaluations), final=True)
        for s in map(int, np.flatnonzero(self.active)):
            self.records.write_result(s, "complete", self._counted(), seconds=self._seconds())
        self._tell()

    def _counted(self) -> dict[str, int]:
        cadence, counts = self.job.cadence, self.counts
        return {
            "env_steps": cadence.env_steps(counts.iteration),
            "agent_steps": cadence.agent_steps(counts.iteration),
            "gradient_steps": counts.gradient_steps,
        }

    # ------------------------------------------------------------ checkpoints

    def save(self) -> None:
        """Writes a checkpoint from which a run resumes at exactly this point."""
        counts = self.counts
        if self.saved_at == (counts.iteration, counts.evaluations):
            return
        counts.seconds = self._seconds()
        runs = self.job.runs
        checkpoint.save([run.folder for run in runs], self._write_parts, [self.records.recorded(s) for s in range(len(runs))])
        self.saved_at = (counts.iteration, counts.evaluations)

    def _write_parts(self, parts: Sequence[Path]) -> None:
        state = LoopState(counts=self.counts, scores=self.scores, actions=self.actions)
        for s, part in enumerate(parts):
            loop_state.write(
                part,
                state,
                s,
                seeds=self.job.seeds,
                written_bytes=self.records.written_bytes(s),
                space=self.environments.action_space,
            )
            (part / AGENT).mkdir()
        self.job.agent.save([part / AGENT for part in parts], self.carry)

    def _restore(self) -> None:
        """Starts, or resumes from the newest undamaged checkpoint."""
        job, (num_seeds, num_envs) = self.job, self.environments.shape
        parts = checkpoint.newest([run.folder for run in job.runs], job.say)
        if parts is None:
            state, vouched_bytes = loop_state.beginning(num_seeds, num_envs), None
        else:
            state, vouched_bytes = loop_state.read(parts, job.seeds, num_envs, self.environments.action_space)
            loop_state.check_place(parts[0], state.counts, job.cadence)
        self.counts, self.scores, self.actions = state.counts, state.scores, state.actions
        self.records = CohortRecords(job.runs, vouched_bytes, self.tasks if self.names_tasks else ())
        task = job.runs[0].manifest["task"]
        self.step, self.returns = loop_state.play_again(self.environments, self.actions, self._train_seeds(), task)
        if parts is None:
            self.carry = job.agent.initial(num_envs)
            space = self.environments.action_space
            nothing = np.zeros((num_seeds, num_envs, *space.shape), space.dtype)  # type: ignore[misc]
            begin(job.agent, nothing, self.step)
        else:
            with bounded.loading(job.runs[0].folder, job.runs[0].manifest["agent"]):
                self.carry = job.agent.load([part / AGENT for part in parts])
            self.saved_at = (self.counts.iteration, self.counts.evaluations)
        self.started = time.monotonic() - self.counts.seconds

    # ------------------------------------------------------------ time and watching

    def check(self) -> None:
        if self.job.stop_requested():
            raise Interrupted

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


def train(job: Job) -> None:
    """Trains a cohort from the state of its records to its end. If asked to stop, raises Interrupted."""
    training = Training(job)
    try:
        training.run()
    finally:
        training.close()

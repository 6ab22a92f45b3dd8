"""An agent made of a world model, a behaviour and a replay.

Only this file and agents/learning/batches.py convert between numpy and torch, and only here the code depends on the device.
Every recipe with a world model builds a `ModelBasedAgent`. The file has more than 300 lines, because the methods of the
contract share one state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn.functional import one_hot

from agents.api import AgentContext, Progress, TimeStep
from agents.behaviors.api import Behavior, OptimizerSettings, Parts, Searched, Sizes
from agents.learning import agent_file
from agents.learning.agent_file import Carry
from agents.learning.batches import Batches, batches
from agents.learning.evolution import Evolution, EvolutionSettings
from agents.learning.learner import Learner
from agents.learning.lifting import MakeLift, faster_lift
from agents.learning.memory import keep_freed_memory
from agents.learning.noise import ACT, LEARN, REPLAY, Noise, entropy
from agents.learning.playable import action_width
from agents.learning.replay import Replay, firsts
from agents.learning.schedule import Schedule
from agents.learning.self_check import self_check
from agents.models.latents import NoiseSpec
from agents.models.networks import shape
from agents.models.rssm import State
from agents.models.world_model import WorldModel
from dreamer_bench_base import UserError

PRECISIONS: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class ModelBasedAgent:
    """World model + behaviour + replay behind agents.api.Agent.

    world_model      makes the model of one seed from the action width; the learner sets its parameter values for each seed
    model_optimizer  settings for the world model's group
    evolution        search for the group of a `Searched` behaviour; None if gradients train everything
    precision        "float32", or "bfloat16" for products and convolutions (parameters, statistics and losses stay float32)
    lift             lift over seeds (agents/learning/lifting.py); None takes the faster one for the device
    compile          use torch.compile for the losses
    capture          on a GPU, replay every update and every decision as one CUDA graph
    update_bytes     memory of an update of one seed besides the weights; 0 if it is not known
    """

    def __init__(
        self,
        *,
        context: AgentContext,
        world_model: Callable[[int], WorldModel],
        model_optimizer: OptimizerSettings,
        behavior: Behavior,
        schedule: Schedule,
        evolution: EvolutionSettings | None = None,
        precision: str = "float32",
        lift: MakeLift | None = None,
        compile: bool = False,
        capture: bool = True,
        update_bytes: int = 0,
    ):
        assert lift is None or not compile, "who names a lift says there whether it compiles"
        self.context, self.schedule, self.behavior = context, schedule, behavior
        self.update_bytes = len(context.seeds) * update_bytes
        self.device = torch.device(context.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.discrete = isinstance(context.action_space, spaces.Discrete)
        self.action_width = action_width(context.action_space)
        self.noise = Noise(context.seeds, self.device)
        with torch.device("meta"):
            model = world_model(self.action_width)
        self.sizes = Sizes(
            features=model.dynamics.feature_size,
            action=self.action_width,
            discrete=self.discrete,
            latent=model.dynamics.latent.noise,
            has_discount=model.discount_head is not None,
            start_every=model.start_every,
        )
        self.model_noise = model.noise(schedule.batch_length, schedule.batch_sequences)
        self.loss_noise = behavior.loss_noise(self.sizes, schedule.batch_length, schedule.batch_sequences)

        def build() -> Parts:
            networks = behavior.networks(self.sizes)
            copies = {name: behavior.networks(self.sizes)[target.source] for name, target in behavior.targets.items()}
            return Parts(world_model(self.action_width), {**networks, **copies})

        self.learner = Learner(
            build,
            model_optimizer=model_optimizer,
            behavior=behavior,
            noise=self.noise,
            precision=PRECISIONS[precision],
            lift=lift or faster_lift(context, compile=compile, precision=precision, update_bytes=self.update_bytes),
            capture=capture,
            model_first=schedule.model_first,
            searched=[] if evolution is None else [cast(Searched, behavior).searched],
        )
        self.evolution: Evolution | None = None
        if evolution is not None:
            searching = cast(Searched, behavior)
            specs = searching.fitness_noise(self.sizes, schedule.batch_length, schedule.batch_sequences)
            self.evolution = Evolution(evolution, searching, self.learner, self.noise, specs)
        folders: Sequence[Path | None] = context.replay_folders or [None] * len(context.seeds)
        observation = {key: (shape(space), np.dtype(space.dtype)) for key, space in context.observation_space.spaces.items()}
        shortest = schedule.batch_length + 1 if schedule.skip_short_episodes else 1
        self.replays = [
            Replay(
                observation,
                self.action_width,
                context.num_envs,
                folder,
                capacity=schedule.replay_capacity,
                shortest=shortest,
            )
            for folder in folders
        ]
        self._batches: Batches | None = None
        self.gradient_steps = 0
        self.next_update_env_steps: int | None = None
        self._replay_missing = False

    # -- acting ----------------------------------------------------------------------------------------------------------------

    def initial(self, num_envs: int, *, stream: int = 0) -> Carry:
        seeds = len(self.context.seeds)
        state = self.learner.skeleton.world_model.initial(seeds, num_envs, like=self.learner.gradient_steps)
        return Carry(state, torch.zeros(seeds, num_envs, self.action_width, device=self.device), stream, 0)

    def act(self, carry: Carry, step: TimeStep, *, explore: bool) -> tuple[np.ndarray, Carry]:
        function, seen, noise = self.decision(carry, step, explore=explore)
        if "prefill" in noise:
            state = self.learner.apply_captured(function, *seen, noise["filter"])
            action = 2.0 * noise["prefill"] - 1.0
            if self.discrete:
                action = one_hot(action.argmax(-1), self.action_width).float()
        else:
            action, state = self.learner.apply_captured(function, *seen, noise)
            action = action.float()
        carry = Carry(state, action, carry.stream, carry.position + 1)
        return (action.argmax(-1) if self.discrete else action).cpu().numpy(), carry

    def decision(
        self, carry: Carry, step: TimeStep, *, explore: bool
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Tensor]]:
        """The parts of a decision: the function for one seed, its inputs, and the noise."""
        num_envs = step.is_first.shape[1]
        specs = {**self.behavior.act_noise(self.sizes, num_envs, explore=explore), "filter": self.sizes.latent.over(num_envs)}
        if explore and self.next_update_env_steps is None:
            specs["prefill"] = NoiseSpec("uniform", (num_envs, self.action_width))
        # All noise is drawn even if the action is random, because each part of a draw depends on the size of the others.
        noise = self.noise.draw(specs, ACT, carry.stream, carry.position)
        seen = (
            carry.state,
            carry.action,
            {key: self._tensor(value) for key, value in step.observation.items()},
            self._tensor(step.is_first).float(),
        )
        function = self._filter if "prefill" in noise else self._explore if explore else self._evaluate
        return function, seen, noise

    def _filter(self, parts: Parts, *inputs: Any) -> dict[str, Tensor]:
        return parts.world_model.filter(*inputs)

    def _explore(self, parts: Parts, *inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return self._decide(parts, *inputs, explore=True)

    def _evaluate(self, parts: Parts, *inputs: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return self._decide(parts, *inputs, explore=False)

    def _decide(
        self,
        parts: Parts,
        state: State,
        action: Tensor,
        observation: Mapping[str, Tensor],
        is_first: Tensor,
        noise: Mapping[str, Tensor],
        *,
        explore: bool,
    ) -> tuple[Tensor, State]:
        state = self._filter(parts, state, action, observation, is_first, noise["filter"])
        return self.behavior.act(parts, state, noise, self.learner.gradient_steps, explore=explore), state

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    # -- learning --------------------------------------------------------------------------------------------------------------

    def observe(self, action: np.ndarray, step: TimeStep, lanes: np.ndarray) -> None:
        self._need_replay()
        if self.discrete:
            action = np.eye(self.action_width, dtype=np.float32)[np.asarray(action, dtype=np.int64)]
        for s, e in zip(*np.nonzero(lanes)):
            self.replays[s].add(
                int(e),
                action[s, e],
                {key: value[s, e] for key, value in step.observation.items()},
                float(step.reward[s, e]),
                bool(step.is_first[s, e]),
                bool(step.is_last[s, e]),
                bool(step.is_terminal[s, e]),
            )

    def learn(self, progress: Progress) -> int:
        self._need_replay()
        schedule = self.schedule
        ready = all(replay.ready(schedule.batch_length) for replay in self.replays)
        if not ready or progress.env_steps < schedule.prefill_env_steps:
            return 0
        updates = 0
        if self.next_update_env_steps is None:
            self.next_update_env_steps = progress.env_steps + schedule.update_every_env_steps
            updates = schedule.pretrain_updates
        while progress.env_steps >= self.next_update_env_steps:
            self.next_update_env_steps += schedule.update_every_env_steps
            updates += schedule.updates
        for _ in range(updates):
            self.update()
        return updates

    def update(self) -> None:
        """One gradient step of every group, from a fresh batch, and the generations of a search that are due after it."""
        clock = self.learner.clock
        batch, model_noise, behavior_noise = self.update_inputs()
        with clock("learner"):
            self.learner.update(batch, model_noise, behavior_noise)
        self.gradient_steps += 1
        if self.evolution is not None:
            with clock("search"):
                for _ in range(self.evolution.due(self.gradient_steps, self.schedule.updates)):
                    self.learner.note(self.evolution.generation(batch))

    def update_inputs(self) -> tuple[dict[str, Tensor], dict[str, Tensor], list[dict[str, Tensor]]]:
        """The inputs of the next update: a batch from replay, and noise for the model and each round of the behaviour."""
        clock, steps = self.learner.clock, self.gradient_steps
        with clock("replay sampling"):
            batch = self.sample()
        with clock("noise"):
            model_noise = self.noise.draw(self.model_noise, LEARN, steps, 0)
            behavior_noise = [
                self.noise.draw(self.loss_noise, LEARN, steps, 1 + repeat) for repeat in range(self.behavior.repeats)
            ]
        return batch, model_noise, behavior_noise

    def sample(self) -> dict[str, Tensor]:
        if self._batches is None:  # made late, so that only an agent that learns takes the memory
            context, schedule = self.context, self.schedule
            self._batches = batches(
                self.replays,
                length=schedule.batch_length,
                sequences=schedule.batch_sequences,
                balance_ends=schedule.balance_ends,
                device=self.device,
                decisions=context.budget_env_steps // (context.num_envs * context.action_repeat),
                update_bytes=2 * self.update_bytes,  # line by line, and as a graph
            )
        batch = dict(
            self._batches.take(
                [np.random.default_rng(entropy(seed, REPLAY, self.gradient_steps)) for seed in self.context.seeds]
            )
        )
        if self.schedule.clip_rewards:
            batch["reward"] = torch.tanh(batch["reward"])
        return batch

    def metrics(self) -> Mapping[str, np.ndarray]:
        return {name: value.float().cpu().numpy() for name, value in self.learner.drain().items()}

    @property
    def diverged(self) -> np.ndarray:
        return ~self.learner.alive.cpu().numpy()

    def self_check(self) -> dict[str, Any]:
        """Compares captured graphs and lifted seeds with direct calls (agents/learning/self_check.py).

        Build an agent only for this check, because its replay is filled with random rows.
        """
        return self_check(self)

    # -- keeping ---------------------------------------------------------------------------------------------------------------

    def save(self, folders: Sequence[Path], carry: Carry) -> None:
        for s, (folder, replay) in enumerate(zip(folders, self.replays)):
            if self.context.replay_folders is None:
                for number, lane in enumerate(replay.lanes):
                    np.save(Path(folder) / f"replay-lane-{number}.npy", lane.everything())
            kept = {
                "learner": self.learner.state(s),
                "gradient_steps": self.gradient_steps,
                "evolution": None if self.evolution is None else self.evolution.state(s),
                "replay": replay.state(),
                "replay_apart": self.context.replay_folders is not None,
                "next_update_env_steps": self.next_update_env_steps,
            }
            agent_file.write(Path(folder), kept, carry, s)

    def load(self, folders: Sequence[Path]) -> Carry:
        carries = []
        for s, folder in enumerate(folders):
            kept = agent_file.read(Path(folder))
            self.learner.restore(s, kept["learner"])
            self.gradient_steps, self.next_update_env_steps = kept["gradient_steps"], kept["next_update_env_steps"]
            if self.evolution is not None:
                self.evolution.restore(s, kept["evolution"])
            carries.append(kept["carry"])
            self._load_replay(s, Path(folder), kept)
        self._batches = None
        return agent_file.joined(carries, self.initial(1), self.device)

    def _load_replay(self, s: int, folder: Path, kept: Mapping[str, Any]) -> None:
        replay = self.replays[s]
        same_lanes = len(kept["replay"]["rows"]) == len(replay.lanes)
        if not same_lanes or (kept["replay_apart"] and self.context.replay_folders is None):
            self._replay_missing = True  # enough for acting, because `evaluate` needs no replay
            return
        if not kept["replay_apart"]:
            for number, lane in enumerate(replay.lanes):
                lane.restore(np.load(folder / f"replay-lane-{number}.npy", mmap_mode="r"), firsts(kept["replay"])[number])
        replay.restore(kept["replay"])

    def _need_replay(self) -> None:
        if self._replay_missing:
            raise UserError(
                "this agent was loaded without the replay it learned from, so it can act but not train; "
                "give it the replay folders and the number of environments it was saved with"
            )

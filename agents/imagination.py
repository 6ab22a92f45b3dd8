"""What a world model predicts: open-loop video prediction, as in Figure 5 of the Dreamer paper.

The model sees the first images of a held-out episode, then predicts the rest from the actions alone, without correction.
Functions return numpy arrays and write files. The caller passes in environments, because agents know no suite.
Source: Hafner et al. 2020, Figure 5: 5 images seen, 45 steps predicted.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from agents.behaviors.api import Parts
from agents.environments import Environments, InThisProcess
from agents.learning.model_based import ModelBasedAgent
from agents.learning.noise import ACT
from dreamer_bench_base import UserError

CONTEXT_STEPS = 5
STREAM = 1_000_003
"""Stream of the acting noise of predictions, far from the streams of training and evaluation."""
SCALE, GAP = 2, 4


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Truth and prediction along N sequences; time is the first axis.

    truth      [T, N, 64, 64, C] uint8
    predicted  [T, N, 64, 64, C] uint8: reconstructions while the model sees images, predictions after that
    reward, predicted_reward  [T, N] received and predicted rewards
    context    number of rows whose image the model saw
    """

    truth: np.ndarray
    predicted: np.ndarray
    reward: np.ndarray
    predicted_reward: np.ndarray
    context: int

    @property
    def image_error(self) -> np.ndarray:
        """Mean squared error per pixel, with pixels in [0, 1]: [T, N]."""
        difference = (self.predicted.astype(np.float32) - self.truth.astype(np.float32)) / 255.0
        return np.square(difference).mean(axis=(2, 3, 4))


def record_episode(agent: ModelBasedAgent, env: gymnasium.Env, *, seed: int, rows: int) -> dict[str, np.ndarray]:
    """The first rows of an episode that the agent plays without exploration, in the arrival convention.

    Returns "image" [T, 64, 64, C] uint8, other observations [T, ...], "action" [T, ...] and "reward" [T].
    Raises ValueError if the agent sees no image, or the episode ends before `rows`.
    """
    environments = Environments(InThisProcess([env]), 1, 1)
    if "image" not in environments.observation_space.spaces:
        shown = ", ".join(environments.observation_space.spaces)
        raise UserError(f"predictions are drawn from images, and this task shows only {shown}; choose a task with pixels")
    carry = agent.initial(1, stream=STREAM)
    step = environments.reset(np.ones((1, 1), bool), np.full((1, 1), seed))
    action = np.zeros((1, 1, *(env.action_space.shape or ())), env.action_space.dtype)
    kept = [(step, action)]
    while len(kept) < rows:
        if step.is_last.all():
            raise UserError(f"the episode of seed {seed} ended after {len(kept)} of {rows} steps; ask for fewer steps")
        action, carry = agent.act(carry, step, explore=False)
        step = environments.step(action)
        kept.append((step, action))
    found = {key: np.stack([row.observation[key][0, 0] for row, _ in kept]) for key in step.observation}
    led, reward = (
        np.stack([part[0, 0] for part in parts]) for parts in ([a for _, a in kept], [row.reward for row, _ in kept])
    )
    return {**found, "action": led, "reward": reward}


def open_loop(
    agent: ModelBasedAgent, episodes: Sequence[Mapping[str, np.ndarray]], *, context: int = CONTEXT_STEPS
) -> Prediction:
    """Encodes the first `context` rows of recorded episodes and predicts the other rows from their actions.

    agent     a loaded or trained agent with one seed
    episodes  results of `record_episode`, all of the same length
    """
    rows = len(episodes[0]["reward"])
    if not 1 <= context < rows:
        raise UserError(f"between 1 and {rows - 1} images can be shown of {rows} steps, not {context}")
    stacked = {key: np.stack([episode[key] for episode in episodes], axis=1) for key in episodes[0]}
    action = stacked.pop("action")
    if agent.discrete:
        action = np.eye(agent.action_width, dtype=np.float32)[action.astype(np.int64)]
    reward = stacked.pop("reward")
    batch = {key: torch.from_numpy(np.ascontiguousarray(value)).to(agent.device) for key, value in stacked.items()}
    actions = torch.from_numpy(action.astype(np.float32)).to(agent.device)
    noise = agent.noise.draw({"latent": agent.sizes.latent.over(rows, len(episodes))}, ACT, STREAM, 0)["latent"]

    def predict(parts: Parts, batch: Mapping[str, Tensor], actions: Tensor, noise: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        model = parts.world_model
        state = model.initial(len(episodes), like=actions)
        features = []
        for t in range(rows):
            if t < context:
                is_first = torch.full_like(actions[t, :, 0], float(t == 0))
                state = model.filter(state, actions[t], {key: value[t] for key, value in batch.items()}, is_first, noise[t])
            else:
                state = model.step(state, actions[t], noise[t])
            features.append(model.features(state))
        stacked_features = torch.stack(features)
        return model.reconstruct(stacked_features), model.reward(stacked_features)

    lead = {key: value[None] for key, value in batch.items()}
    means, predicted_reward = agent.learner.apply(predict, lead, actions[None], noise)
    images = ((means["image"][0].float().clamp(-0.5, 0.5) + 0.5) * 255.0).round().to(torch.uint8).cpu().numpy()
    return Prediction(
        truth=stacked["image"],
        predicted=images,
        reward=reward,
        predicted_reward=predicted_reward[0].float().cpu().numpy(),
        context=context,
    )


def draw(
    prediction: Prediction,
    folder: Path,
    *,
    name: str = "imagination",
    strip_steps: Sequence[int] | None = None,
    milliseconds: int = 100,
) -> list[Path]:
    """Writes NAME.png (strip: truth, prediction, error), NAME.gif (animation) and NAME.csv (error per step).

    strip_steps  rows shown in the strip; None shows every fifth
    Returns the paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = len(prediction.truth)
    chosen = list(range(0, rows, 5)) if strip_steps is None else list(strip_steps)
    strip, frames, table = folder / f"{name}.png", folder / f"{name}.gif", folder / f"{name}.csv"
    Image.fromarray(_strip(prediction, chosen)).save(strip)
    pictures = [Image.fromarray(_frame(prediction, t)) for t in range(rows)]
    pictures[0].save(frames, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sequence", "step", "image_seen", "image_error", "reward", "predicted_reward"])
        for n in range(prediction.truth.shape[1]):
            for t in range(rows):
                writer.writerow(
                    [
                        n,
                        t,
                        int(t < prediction.context),
                        f"{prediction.image_error[t, n]:.6g}",
                        f"{prediction.reward[t, n]:.6g}",
                        f"{prediction.predicted_reward[t, n]:.6g}",
                    ]
                )
    return [strip, frames, table]


def _column(prediction: Prediction, t: int, n: int) -> np.ndarray:
    """Truth above prediction above error, [3 · 64, 64, 3]; grey is an error of 0."""
    truth, predicted = _colour(prediction.truth[t, n]), _colour(prediction.predicted[t, n])
    error = ((predicted.astype(np.int16) - truth) // 2 + 128).astype(np.uint8)
    return np.concatenate([truth, predicted, error])


def _strip(prediction: Prediction, steps: Sequence[int]) -> np.ndarray:
    """One block of three rows per sequence and one column per step; a white line marks the last image that the model saw."""
    blocks = []
    for n in range(prediction.truth.shape[1]):
        columns: list[np.ndarray] = []
        for before, t in zip([None, *steps], steps):
            column = _column(prediction, t, n)
            if before is not None and before < prediction.context <= t:
                columns.append(np.full((len(column), GAP, 3), 255, np.uint8))
            columns.append(column)
        block = np.concatenate(columns, axis=1)
        blocks += [block, np.full((GAP, block.shape[1], 3), 255, np.uint8)]
    return np.concatenate(blocks[:-1])


def _frame(prediction: Prediction, t: int) -> np.ndarray:
    """One animation frame: enlarged sequences side by side, with a white frame while the model sees the images."""
    columns = [_column(prediction, t, n) for n in range(prediction.truth.shape[1])]
    picture = np.concatenate(columns, axis=1).repeat(SCALE, 0).repeat(SCALE, 1)
    edge = 255 if t < prediction.context else 0
    return np.pad(picture, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=edge)


def _colour(image: np.ndarray) -> np.ndarray:
    """[64, 64, C] -> [64, 64, 3]."""
    return image if image.shape[-1] == 3 else np.repeat(image[..., :1], 3, axis=-1)

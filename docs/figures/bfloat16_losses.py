"""Draws the losses of the same updates in float32 and in bfloat16, with the table of what it draws.

    python docs/figures/bfloat16_losses.py [--profile paper] [--device cuda] [--updates 1000]

All learners see the same batches (random actions in dmc_cartpole_balance) and the same noise. The third one computes in
float32 as the first, but begins with weights rounded to bfloat16 once: how far apart two learners come from a single rounding.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np

from agents import catalog as agents
from agents.api import AgentContext, TimeStep
from suites import catalog as suites

matplotlib.use("Agg")
from matplotlib import pyplot

LOSSES = ("image_loss", "reward_loss", "kl", "actor_loss", "value_loss")
CURVES = {"float32": ("float32", False), "bfloat16": ("bfloat16", False), "float32, begun rounded": ("float32", True)}
EVERY, EPISODES = 5, 3
HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--updates", type=int, default=200)
    asked = parser.parse_args()
    curves = {name: losses(precision, asked, rounded=rounded) for name, (precision, rounded) in CURVES.items()}
    numbers = range(EVERY, EVERY * len(curves["float32"]) + 1, EVERY)
    with (HERE / "bfloat16-losses.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["gradient_steps", "learner", *LOSSES])
        for precision, rows in curves.items():
            table.writerows([number, precision, *(f"{row[name]:.6g}" for name in LOSSES)] for number, row in zip(numbers, rows))
    figure, axes = pyplot.subplots(1, len(LOSSES), figsize=(3 * len(LOSSES), 2.6), layout="constrained")
    for axis, name in zip(axes, LOSSES):
        for (precision, rows), style in zip(curves.items(), ("-", "--", ":")):
            axis.plot(numbers, [row[name] for row in rows], style, label=precision, linewidth=1.2)
        axis.set(title=name.replace("_", " "), xlabel="gradient steps")
    axes[0].legend(frameon=False)
    figure.savefig(HERE / "bfloat16-losses.svg")
    for name in LOSSES:
        exact, *others = (np.array([row[name] for row in rows]) for rows in curves.values())
        apart = ", ".join(f"{other} {np.abs(exact - values).max():.3g}" for other, values in zip(list(curves)[1:], others))
        print(f"{name}: largest difference from float32: {apart}; the curve spans {np.ptp(exact):.3g}")


def losses(precision: str, asked: argparse.Namespace, *, rounded: bool) -> list[dict[str, float]]:
    environment = suites.make("dmc_cartpole_balance", action_repeat=4, look="fast")
    environment.action_space.seed(0)
    entry = agents.find("dreamer")
    agent = entry.build(
        replace(entry.options(asked.profile), precision=precision),
        AgentContext(
            observation_space=environment.observation_space,
            action_space=environment.action_space,
            seeds=(0,),
            num_envs=1,
            action_repeat=4,
            budget_env_steps=10_000,
            device=asked.device,
        ),
    )
    if rounded:
        for group in agent.learner.groups.values():
            group.values.copy_(group.values.bfloat16())
    for episode in range(EPISODES):
        observation, _ = environment.reset(seed=episode)
        agent.observe(environment.action_space.sample()[None, None], shown(observation, 0.0, first=True, last=False), ONE)
        ended = False
        while not ended:
            action = environment.action_space.sample()
            observation, reward, terminated, truncated, _ = environment.step(action)
            ended = terminated or truncated
            agent.observe(action[None, None], shown(observation, reward, first=False, last=ended), ONE)
    environment.close()
    found = []
    for number in range(1, asked.updates + 1):
        agent.update()
        if number % EVERY == 0:
            found.append({name: float(value[0]) for name, value in agent.metrics().items()})
    return found


ONE = np.ones((1, 1), bool)


def shown(observation: dict[str, np.ndarray], reward: float, *, first: bool, last: bool) -> TimeStep:
    return TimeStep(
        {key: value[None, None] for key, value in observation.items()},
        np.full((1, 1), reward, np.float32),
        ONE & first,
        ONE & last,
        ~ONE,
    )


if __name__ == "__main__":
    main()

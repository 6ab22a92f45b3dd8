"""Draws the losses of the same updates in float32 and in bfloat16, with the table of what it draws.

    python docs/figures/bfloat16_losses.py [--profile paper] [--device cuda] [--updates 1000]

Both learners see the same batches (random actions in dmc_cartpole_balance) and the same noise.
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
EVERY, EPISODES = 5, 3
HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--updates", type=int, default=200)
    asked = parser.parse_args()
    curves = {precision: losses(precision, asked) for precision in ("float32", "bfloat16")}
    numbers = range(EVERY, EVERY * len(curves["float32"]) + 1, EVERY)
    with (HERE / "bfloat16-losses.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["gradient_steps", "precision", *LOSSES])
        for precision, rows in curves.items():
            table.writerows([number, precision, *(f"{row[name]:.6g}" for name in LOSSES)] for number, row in zip(numbers, rows))
    figure, axes = pyplot.subplots(1, len(LOSSES), figsize=(3 * len(LOSSES), 2.6), layout="constrained")
    for axis, name in zip(axes, LOSSES):
        for (precision, rows), style in zip(curves.items(), ("-", "--")):
            axis.plot(numbers, [row[name] for row in rows], style, label=precision, linewidth=1.2)
        axis.set(title=name.replace("_", " "), xlabel="gradient steps")
    axes[0].legend(frameon=False)
    figure.savefig(HERE / "bfloat16-losses.svg")
    for name in LOSSES:
        first, second = (np.array([row[name] for row in rows]) for rows in curves.values())
        print(f"{name}: largest difference {np.abs(first - second).max():.3g}, spread of the curve {np.ptp(first):.3g}")


def losses(precision: str, asked: argparse.Namespace) -> list[dict[str, float]]:
    environment = suites.make("dmc_cartpole_balance", action_repeat=4, look="fast")
    environment.action_space.seed(0)
    entry = agents.find("dreamer")
    agent = entry.build(
        replace(entry.options(asked.profile), precision=precision),
        AgentContext(observation_space=environment.observation_space, action_space=environment.action_space, seeds=(0,),
                     num_envs=1, action_repeat=4, budget_env_steps=10_000, device=asked.device))
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
    return TimeStep({key: value[None, None] for key, value in observation.items()}, np.full((1, 1), reward, np.float32),
                    ONE & first, ONE & last, ~ONE)


if __name__ == "__main__":
    main()

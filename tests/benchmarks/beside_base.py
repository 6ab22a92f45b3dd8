"""Whole programs of Dreamer in this checkout and in another one, in turn: processor seconds for each env_step of a seed.

    git worktree add --detach ../base 37f4384
    python -m tests.benchmarks.beside_base ../base --rounds 3

A program is three seeds in one process with everything that training does: act, step the environments, observe, learn. Both
checkouts get the same options and the same libraries. Evaluations and checkpoints are left out, and so is the first update.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parents[2] if "__file__" in globals() else Path.cwd()
SEEDS = (0, 1, 2)
WARM_UP_ENV_STEPS, TIMED_ENV_STEPS = 300, 200
PROGRAMS: dict[str, dict[str, Any]] = {
    "pixels, as in quick@1": {"task": "dmc_walker_stand", "make": {"look": "fast", "action_repeat": 4}, "options": {}},
    "state, as in quick@1": {"task": "gym:Pendulum-v1", "make": {"action_repeat": 1}, "options": {}},
    "state, 16x16 rows": {
        "task": "gym:Pendulum-v1",
        "make": {"action_repeat": 1},
        "options": {"batch_sequences": 16, "batch_length": 16},
    },
}


def timed(name: str) -> float:
    """Processor seconds for each env_step, in the checkout that is first on the path."""
    import numpy as np

    try:
        from agents.recipes import dreamer
    except ImportError:  # before the recipes had a folder
        from agents import dreamer  # type: ignore[no-redef,attr-defined]
    from agents.api import AgentContext, Progress, TimeStep
    from suites import catalog

    program = PROGRAMS[name]
    environments = [catalog.make(program["task"], **program["make"]) for _ in SEEDS]
    repeat = program["make"]["action_repeat"]
    budget = WARM_UP_ENV_STEPS + TIMED_ENV_STEPS
    context = AgentContext(
        observation_space=environments[0].observation_space,  # type: ignore[arg-type]
        action_space=environments[0].action_space,
        seeds=SEEDS,
        num_envs=1,
        action_repeat=repeat,
        budget_env_steps=budget,
    )
    options = dataclasses.replace(dreamer.PROFILES["quick"], prefill_env_steps=WARM_UP_ENV_STEPS - 100, **program["options"])
    agent = dreamer.build(options, context)

    def step_of(shown: list[Any], rewards: list[float], *, first: bool, last: bool) -> TimeStep:
        observation = {key: np.stack([each[key] for each in shown])[:, None] for key in shown[0]}
        flags = [np.full((len(SEEDS), 1), flag) for flag in (first, last, False)]
        return TimeStep(observation, np.array(rewards, np.float32)[:, None], *flags)

    def begun(seed: int) -> TimeStep:
        return step_of(
            [each.reset(seed=seed + s)[0] for s, each in enumerate(environments)], [0.0] * len(SEEDS), first=True, last=False
        )

    every, updates, episode = np.ones((len(SEEDS), 1), bool), 0, 50
    step, carry = begun(0), agent.initial(1)
    agent.observe(np.zeros((len(SEEDS), 1, *context.action_space.shape), np.float32), step, every)  # type: ignore[misc]
    start = 0.0
    for decision in range(1, budget // repeat + 1):
        action, carry = agent.act(carry, step, explore=True)
        played = [environment.step(action[s, 0]) for s, environment in enumerate(environments)]
        step = step_of(
            [each[0] for each in played], [float(each[1]) for each in played], first=False, last=not decision % episode
        )
        agent.observe(action, step, every)
        if not decision % episode:  # all episodes end together, early enough for a first batch
            step = begun(decision)
            agent.observe(action, step, every)
        env_steps = decision * repeat
        if env_steps == WARM_UP_ENV_STEPS + repeat:
            updates, start = 0, time.process_time()
        updates += agent.learn(
            Progress(env_steps=env_steps, agent_steps=decision, episodes=decision // episode, budget_env_steps=budget)
        )
    taken = time.process_time() - start
    assert updates == options.updates * TIMED_ENV_STEPS // options.update_every_env_steps, updates
    return taken / TIMED_ENV_STEPS


def in_tree(tree: Path, name: str) -> float:
    code = f"import sys; sys.path[:0] = [{str(tree)!r}]; sys.argv = ['']; exec(open({str(Path(__file__).resolve())!r}).read())"
    environment = {**os.environ, "BESIDE_BASE": name, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tree}: {done.stderr}")
    return float(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    asked = parser.parse_args()
    trees = {"base": asked.base.resolve(), "ours": HERE}
    for name in asked.programs:
        found: dict[str, list[float]] = {"base": [], "ours": []}
        for _ in range(asked.rounds):
            for which, tree in trees.items():
                found[which].append(in_tree(tree, name))
        base, ours = (median(found[which]) for which in trees)
        rounds = {which: [round(1000 * value, 2) for value in values] for which, values in found.items()}
        print(json.dumps({"program": name, "milliseconds": rounds, "ratio": round(base / ours, 2)}), flush=True)


if __name__ == "__main__":
    if "BESIDE_BASE" in os.environ:
        print(json.dumps(timed(os.environ["BESIDE_BASE"])))
    else:
        main()

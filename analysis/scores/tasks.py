"""The names of tasks in published score files, brought to the names of the suite catalog. Knows names only, no simulator."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dreamer_bench_base import InvalidData, UserError

_DMC = (
    "acrobot_swingup acrobot_swingup_sparse cartpole_balance cartpole_balance_sparse cartpole_swingup "
    "cartpole_swingup_sparse cartpole_three_poles cartpole_two_poles cheetah_run cup_catch dog_fetch dog_run "
    "dog_stand dog_trot dog_walk finger_spin finger_turn_easy finger_turn_hard fish_swim fish_upright hopper_hop "
    "hopper_stand humanoid_cmu_run humanoid_cmu_stand humanoid_cmu_walk humanoid_run humanoid_run_pure_state "
    "humanoid_stand humanoid_walk lqr_lqr_2_1 lqr_lqr_6_2 manipulator_bring_ball manipulator_bring_peg "
    "manipulator_insert_ball manipulator_insert_peg pendulum_swingup point_mass_easy point_mass_hard quadruped_escape "
    "quadruped_fetch quadruped_run quadruped_walk reach_duplo reacher_easy reacher_hard stacker_stack_2 "
    "stacker_stack_4 swimmer_swimmer15 swimmer_swimmer6 walker_run walker_stand walker_walk "
)
DMC = tuple(_DMC.split())
"""Tasks of dm_control 1.0.50's suite, and its manipulation task reach_duplo as DrQ-v2 names it."""

ALIASES = {"ball_in_cup_catch": "cup_catch"}
"""dm_control's own spelling -> the one of the Dreamer papers, which the catalog uses."""

DOMAINS = tuple({"point_mass_" if task.startswith("point_mass") else task.split("_")[0] + "_" for task in DMC})
"""How a task of dm_control without its suite begins."""

OWN_SUITES = ("dmc", "atari")

REFERENCES = Path(__file__).with_name("references")


@cache
def known() -> dict[str, str]:
    """Spelling without suite and without separators -> catalog name, of every task this project has heard of."""
    names = [f"dmc_{task}" for task in DMC]
    with (REFERENCES / "atari_human_random_record.csv").open(newline="") as file:
        names += [row["task"] for row in csv.DictReader(file)]
    names += [f"atari_{game}" for game in ("air_raid", "carnival", "elevator_action", "journey_escape", "pooyan")]
    return {_bare(name.split("_", 1)[1]): name for name in names}


def canonical(name: str, *, suite: str | None = None) -> str:
    """The catalog name of a task: "walker-walk", "dmc_walker_walk", "ball_in_cup_catch", "airraid", "ALE/Pong-v5".

    suite: for tasks of other packages: their catalog name is suite_name. Raises InvalidData with the nearest name.
    """
    name = name.strip()
    if ":" in name or name.startswith(("dmlab_", "probe_")):
        return name  # "gym:Pendulum-v1" and the like are the catalog's own spelling
    plain = name.lower().removeprefix("ale/").removesuffix("-v5").replace("-", "_").replace(" ", "_").replace("/", "_")
    if suite is not None and suite not in OWN_SUITES:
        return plain if plain.startswith(f"{suite}_") else f"{suite}_{plain}"
    prefix, _, rest = plain.partition("_")
    own = prefix in OWN_SUITES and bool(rest)
    body = ALIASES.get(rest, rest) if own else ALIASES.get(plain, plain)
    found = known().get(_bare(body))
    if found is not None and (not own or found.startswith(prefix)):
        return found
    if name in _protocol_tasks():
        return name
    near = difflib.get_close_matches(_bare(body), known(), n=1, cutoff=0.8)
    if rest and not own and not near and not plain.startswith(DOMAINS):
        return name  # suite_task of another package
    hint = f"; did you mean {known()[near[0]]!r}?" if near else "; a task of another package is imported with --suite NAME"
    raise InvalidData(f"task {name!r} is not known{hint}")


def named(names: Sequence[str]) -> tuple[str, ...]:
    """Catalog names of the tasks a person asked for; a wrong one is a usage error."""
    try:
        return tuple(canonical(name) for name in names)
    except InvalidData as error:
        raise UserError(f"--tasks: {error}") from None


@cache
def _protocol_tasks() -> frozenset[str]:
    from protocols import catalog

    return frozenset(task for protocol in catalog.entries().values() for task in protocol.tasks)


def _bare(name: str) -> str:
    return name.replace("_", "")

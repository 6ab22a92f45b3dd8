"""The table of task names: every usual spelling of a task in score files, and its catalog name.

A name that is not in the table is refused, unless the user declares it (`--own-tasks`). Knows names only, no simulator.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from dreamer_bench_base import InvalidData, UserError, entry_points, suggestion


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


REFERENCES = Path(__file__).with_name("references")

DMC = _words(
    "acrobot_swingup acrobot_swingup_sparse cartpole_balance cartpole_balance_sparse cartpole_swingup "
    "cartpole_swingup_sparse cartpole_three_poles cartpole_two_poles cheetah_run cup_catch dog_fetch dog_run "
    "dog_stand dog_trot dog_walk finger_spin finger_turn_easy finger_turn_hard fish_swim fish_upright hopper_hop "
    "hopper_stand humanoid_cmu_run humanoid_cmu_stand humanoid_cmu_walk humanoid_run humanoid_run_pure_state "
    "humanoid_stand humanoid_walk lqr_lqr_2_1 lqr_lqr_6_2 manipulator_bring_ball manipulator_bring_peg "
    "manipulator_insert_ball manipulator_insert_peg pendulum_swingup point_mass_easy point_mass_hard quadruped_escape "
    "quadruped_fetch quadruped_run quadruped_walk reach_duplo reacher_easy reacher_hard stacker_stack_2 "
    "stacker_stack_4 swimmer_swimmer15 swimmer_swimmer6 walker_run walker_stand walker_walk"
)
"""Tasks of dm_control 1.0.50's suite, and its manipulation task reach_duplo under DrQ-v2's name."""

MUJOCO = _words(
    "Ant HalfCheetah Hopper Humanoid HumanoidStandup InvertedDoublePendulum InvertedPendulum Pusher Reacher Swimmer Walker2d"
)
"""Gymnasium's MuJoCo environments, registered as -v1 to -v5. A version is another task: rewards and limits differ."""

OTHER_GYM = {
    "Acrobot": "1",
    "BipedalWalker": "3",
    "BipedalWalkerHardcore": "3",
    "CarRacing": "0 1 2 3",
    "CartPole": "0 1",
    "LunarLander": "2 3",
    "LunarLanderContinuous": "2 3",
    "MountainCar": "0",
    "MountainCarContinuous": "0",
    "Pendulum": "0 1",
    "Blackjack": "1",
    "CliffWalking": "0 1",
    "FrozenLake": "1",
    "Taxi": "3 4",
}
"""Gymnasium's other environments and the versions that were registered."""

PROCGEN = _words(
    "bigfish bossfight caveflyer chaser climber coinrun dodgeball fruitbot heist jumper leaper maze miner ninja "
    "plunder starpilot"
)
"""Cobbe et al. 2020, "Leveraging Procedural Generation to Benchmark Reinforcement Learning", 16 games."""

META_WORLD = _words(
    "assembly basketball bin_picking box_close button_press button_press_topdown button_press_topdown_wall "
    "button_press_wall coffee_button coffee_pull coffee_push dial_turn disassemble door_close door_lock door_open "
    "door_unlock drawer_close drawer_open faucet_close faucet_open hammer hand_insert handle_press handle_press_side "
    "handle_pull handle_pull_side lever_pull peg_insert_side peg_unplug_side pick_out_of_hole pick_place "
    "pick_place_wall plate_slide plate_slide_back plate_slide_back_side plate_slide_side push push_back push_wall "
    "reach reach_wall shelf_place soccer stick_pull stick_push sweep sweep_into window_close window_open"
)
"""Yu et al. 2020, "Meta-World", the 50 tasks of MT50."""

PROBES = ("one_step", "two_step", "action", "terminal", "beyond", "count")
"""The probes of this project."""

SAME = {
    "dmc": {"ball_in_cup_catch": "cup_catch"},  # dm_control's own spelling -> the one of the Dreamer papers
    "atari": {"yar_revenge": "yars_revenge"},
    "dmlab": {
        "rooms_collect_good_objects": "rooms_collect_good_objects_train",
        "collect": "rooms_collect_good_objects_train",
    },
}
"""Other spellings of a task that differ in more than case and separators."""

PREFIXES = {
    "dmc_vision": "dmc",
    "dm_control": "dmc",
    "dmcontrol": "dmc",
    "dmc": "dmc",
    "atari100k": "atari",
    "atari": "atari",
    "ale": "atari",
    "procgen": "procgen",
    "metaworld": "metaworld",
    "meta_world": "metaworld",
    "mw": "metaworld",
    "crafter": "crafter",
    "minecraft": "minecraft",
    "dmlab": "dmlab",
    "probe": "probe",
}
"""Prefix of a task in other projects -> prefix here."""

WITHOUT_SUITE = ("dmc", "atari", "procgen", "dmlab")
"""Suites whose tasks are recognised without the name of the suite, because no two of them share a task."""

_ENDINGS = re.compile(r"(?:noframeskip|deterministic)?-v[045]$")
"""Endings of Gym's ids of Atari games. Frame skip and sticky actions belong to a protocol, not to the name of a task."""


@cache
def table() -> dict[str, dict[str, str]]:
    """Suite -> plain spelling of a task (lower case, no separators) -> its catalog name."""
    with (REFERENCES / "atari_human_random_record.csv").open(newline="") as file:
        games = [row["task"].removeprefix("atari_") for row in csv.DictReader(file)]
    games += ["air_raid", "carnival", "elevator_action", "journey_escape", "pooyan"]
    tasks = {
        "dmc": DMC,
        "atari": games,
        "procgen": PROCGEN,
        "metaworld": META_WORLD,
        "crafter": ("reward", "noreward"),
        "minecraft": ("diamond",),
        "dmlab": ("rooms_collect_good_objects_train",),
        "probe": PROBES,
    }
    found = {suite: {_bare(task): f"{suite}_{task}" for task in known} for suite, known in tasks.items()}
    for suite, others in SAME.items():
        found[suite] |= {_bare(other): f"{suite}_{task}" for other, task in others.items()}
    versions = {**dict.fromkeys(MUJOCO, "1 2 3 4 5"), **OTHER_GYM}
    found["gym"] = {
        f"{name.lower()}-v{version}": f"gym:{name}-v{version}" for name, every in versions.items() for version in every.split()
    }
    return found


def canonical(name: str, *, suite: str | None = None, own: Collection[str] = ()) -> str:
    """The catalog name of a task: "walker-walk", "ball_in_cup_catch", "ALE/Pong-v5", "PongNoFrameskip-v4", "Hopper-v4".

    suite  suite of another package to which the file's tasks belong; the catalog name is suite_name
    own    patterns ("minigrid_*") of the user's own tasks, whose names do not change
    Raises InvalidData with the nearest name for an unknown one.
    """
    name = name.strip()
    plain = name.lower().replace(" ", "_")
    if suite is not None and suite not in ("dmc", "atari"):
        return _own_name(plain, suite)
    if ":" in name:
        return name  # "gym:Pendulum-v1", "dmlab:tests/demo_map": the catalog's own spelling of a suite that takes any name
    found = _known(plain)
    if found is not None:
        return found
    if name in _protocol_tasks() or any(name.startswith(f"{installed}_") for installed in _installed_suites()):
        return name
    if any(fnmatchcase(name, pattern) for pattern in own):
        return name
    everything = {spelling: task for tasks in table().values() for spelling, task in tasks.items()}
    near = suggestion(_bare(_without_suite(plain)[1]), everything, cutoff=0.8)
    if near:
        raise InvalidData(f"task {name!r} is not known; did you mean {everything[near.split(chr(39))[1]]!r}?")
    raise InvalidData(f"task {name!r} is not known; if it is a task of your own, give --own-tasks {name!r}")


def declared(name: str) -> bool:
    """Whether a name is in a table only because the user declared it."""
    try:
        canonical(name)
    except InvalidData:
        return True
    return False


def suite_of(task: str) -> str:
    """The suite in a catalog name: "dmc" of "dmc_walker_walk", "gym" of "gym:Pendulum-v1"."""
    return re.split("[_:]", task, maxsplit=1)[0]


def is_gym_mujoco(task: str) -> bool:
    """Whether a catalog name is one of Gymnasium's MuJoCo environments, or of a suite that calls itself mujoco."""
    return task.startswith("mujoco_") or task.removeprefix("gym:").split("-")[0] in MUJOCO


def named(names: Sequence[str], there: Collection[str] = ()) -> tuple[str, ...]:
    """Catalog names of the tasks in an option, with patterns ("dmc_*") expanded. Raises UserError for an unknown name.

    there  the tasks to choose from, whose own spelling is also accepted
    """
    found: list[str] = []
    for name in names:
        try:
            if any(sign in name for sign in "*?["):
                matching = sorted(task for task in there if fnmatchcase(task, name))
                if not matching:
                    raise InvalidData(f"no task matches {name!r}; there are {', '.join(sorted(there)[:6]) or 'none'}")
                found += matching
            else:
                found.append(name if name in there else canonical(name))
        except InvalidData as error:
            raise UserError(f"--tasks: {str(error).split('; if it is')[0]}") from None
    return tuple(dict.fromkeys(found))


def _known(plain: str) -> str | None:
    """The catalog name of a spelling in the table; None if no suite has it."""
    found = table()["gym"].get(plain)
    if found is not None:
        return found
    suite, rest = _without_suite(plain)
    spelling = _bare(_ENDINGS.sub("", rest))
    if suite is not None:
        return table()[suite].get(spelling)
    return next((table()[suite][spelling] for suite in WITHOUT_SUITE if spelling in table()[suite]), None)


def _without_suite(plain: str) -> tuple[str | None, str]:
    for prefix, suite in PREFIXES.items():
        for separator in "_-/":
            if plain.startswith(prefix + separator):
                return suite, plain[len(prefix) + 1 :]
    return None, plain


def _own_name(plain: str, suite: str) -> str:
    plain = re.sub("[-/]", "_", plain)
    return plain if plain.startswith(f"{suite}_") else f"{suite}_{plain}"


@cache
def _protocol_tasks() -> frozenset[str]:
    from protocols import catalog

    return frozenset(task for protocol in catalog.entries().values() for task in protocol.tasks)


@cache
def _installed_suites() -> frozenset[str]:
    """Names of the suites of other packages, without importing them."""
    return frozenset(point.name for point in entry_points("dreamer_bench.suites"))


def _bare(name: str) -> str:
    return re.sub("[-_/ ]", "", name)

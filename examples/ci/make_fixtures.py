"""Writes the synthetic score files of this folder: made-up numbers whose verdicts are known, no result of any agent.

python examples/ci/make_fixtures.py
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("fixtures")
BUDGET = 1_000_000

LEVELS = {
    "dmc_cartpole_swingup": 820.0,
    "dmc_cheetah_run": 610.0,
    "dmc_cup_catch": 930.0,
    "dmc_finger_spin": 480.0,
    "dmc_reacher_easy": 870.0,
    "dmc_walker_walk": 940.0,
}
FIVE = (-31.0, -12.0, 2.0, 14.0, 27.0)
FIVE_OTHERS = (-27.0, -15.0, 1.0, 10.0, 31.0)
THREE_WIDE = (-140.0, 20.0, 120.0)


def rows(method: str, offsets: tuple[float, ...], shift: float = 0.0, skip: str = "") -> list[str]:
    """One point per run at the budget; seeds start elsewhere on each task, so that no two runs are copies."""
    return [
        f"{method},{task},{seed},{BUDGET},{round(level + shift + offset * (1 + index / 10), 2)},synthetic"
        for index, (task, level) in enumerate(LEVELS.items())
        for seed, offset in enumerate(offsets)
        if task != skip
    ]


FILES = {
    "reference.csv": rows("reference", FIVE),
    "0-reproduced.csv": rows("ours", FIVE_OTHERS, 4.0),
    "1-below.csv": rows("ours", FIVE_OTHERS, -110.0),
    "3-inconclusive.csv": rows("ours", THREE_WIDE, -20.0),
    "4-invalid.csv": rows("ours", FIVE_OTHERS, 4.0, skip="dmc_cup_catch"),
}
"""File name -> lines; the number is the exit code of `verify` against reference.csv."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, lines in FILES.items():
        (FOLDER / name).write_text("\n".join(["method,task,seed,env_step,score,source", *lines]) + "\n")


if __name__ == "__main__":
    main()

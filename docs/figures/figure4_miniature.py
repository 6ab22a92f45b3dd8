"""Draws figure4-miniature: Figure 4 of the Dreamer paper on a probe. About ten minutes on one core; it may be interrupted.

    python docs/figures/figure4_miniature.py          train every cell that the CSV lacks, and draw
    python docs/figures/figure4_miniature.py 4 8      only those horizons
    python docs/figures/figure4_miniature.py draw     draw from the CSV

The probe's first action chooses a small reward at each of 13 steps or a late one at the 14th. A horizon of imagination or
planning that ends earlier contains only small rewards. Every arm begins with the same world models, learned from random
actions; the rows "no_value_fresh" begin with untrained ones. docs/arms.md says why. Sizes: tests/agents/probe_training.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "agents"))

CSV = HERE / "figure4-miniature.csv"
DELAY, SMALL, DECISIONS, DECISIONS_FRESH = 13, 0.4, 200, 300
HORIZONS = (4, 8, 12, 16)
SEEDS = (0, 1, 2)
ARMS = {"dreamer": ("Dreamer", "#0072b2", "o"), "no_value": ("no value", "#d55e00", "s"), "planet": ("PlaNet", "#009e73", "^")}
DASHES = {"planet": (0, (3, 2))}
FRESH = "no_value_fresh"


def train(horizons: Sequence[int]) -> None:
    """Adds one row per (arm, horizon, seed) to the CSV as it is earned."""
    from probe_training import score, taught

    from suites import catalog

    def make():
        return catalog.make("probe_beyond", delay=DELAY)

    teacher = taught(make, SEEDS)
    known = set(pd.read_csv(CSV).set_index(["arm", "horizon"]).index) if CSV.exists() else set()
    for horizon in horizons:
        for arm in (*ARMS, FRESH):
            if (arm, horizon) in known:
                continue
            sizes = {"horizon": horizon, "planner_horizon": horizon}
            if arm == FRESH:
                returns = score("no_value", make, SEEDS, decisions=DECISIONS_FRESH, **sizes)
            else:
                returns = score(arm, make, SEEDS, decisions=DECISIONS, teacher=teacher, **sizes)
            rows = [
                {"arm": arm, "horizon": horizon, "seed": seed, "return": round(float(value), 4)}
                for seed, value in zip(SEEDS, returns)
            ]
            pd.DataFrame(rows).to_csv(CSV, mode="a", header=not CSV.exists(), index=False, lineterminator="\n")
            print(arm, horizon, returns.round(3).tolist(), flush=True)


def draw() -> None:
    """Every seed as a point, the mean as a line."""
    from analysis.figures.drawing import Drawing, drawing_style, new_figure, save

    table = pd.read_csv(CSV).sort_values(["arm", "horizon", "seed"])
    with drawing_style("figure4-miniature"):
        figure = new_figure(5.4, 3.2)
        axes = figure.subplots()
        for offset, (arm, (label, colour, marker)) in zip((-0.12, 0.0, 0.12), ARMS.items()):
            cells = table[table["arm"] == arm]
            mean = cells.groupby("horizon")["return"].mean()
            axes.plot(mean.index, mean, color=colour, label=label, linestyle=DASHES.get(arm, "-"))
            axes.plot(cells["horizon"] + offset, cells["return"], marker, color=colour, alpha=0.5, markersize=4)
        axes.axvline(DELAY + 1, color="0.6", linewidth=1.0, linestyle=":")
        axes.text(DELAY + 0.8, 0.13, "the horizon reaches the late reward", ha="right", va="center", color="0.35", fontsize=8)
        axes.axhline(SMALL, color="0.6", linewidth=1.0, linestyle=":")
        axes.text(HORIZONS[0], SMALL - 0.055, "the small rewards", ha="left", va="top", color="0.35", fontsize=8)
        axes.set(xlabel="horizon of imagination or planning (steps)", ylabel="return", ylim=(0.0, 1.05), xticks=HORIZONS)
        axes.legend(loc="center left", frameon=False)
    seeds = table["seed"].nunique()
    save(
        Drawing(
            name="figure4-miniature",
            title="A reward beyond the horizon",
            figure=figure,
            data=table,
            caption=f"probe_beyond, late reward at step {DELAY + 1}: {seeds} seeds (points), their mean (lines), 20 episodes "
            "each.",
        ),
        HERE,
    )


if __name__ == "__main__":
    if sys.argv[1:] != ["draw"]:
        train([int(argument) for argument in sys.argv[1:]] or HORIZONS)
    draw()

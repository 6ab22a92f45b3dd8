"""Figure name -> function, and the selection of runs for each figure of the papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures import comparison as comparisons
from analysis.figures.atari55 import atari55
from analysis.figures.bars import fig6
from analysis.figures.comparison import Comparison
from analysis.figures.curves import curves
from analysis.figures.drawing import Drawing
from analysis.figures.efficiency import efficiency
from analysis.figures.intervals import aggregates, differences, improvement, profiles
from analysis.figures.joined import joined
from analysis.figures.style import REPEATS, base_name, short_count
from analysis.figures.sweeps import fig4
from analysis.scores import normalize, per_run, references
from analysis.scores import table as tables
from dreamer_bench_base import UserError

LONG_HORIZON = ("dmc_acrobot_swingup", "dmc_hopper_hop", "dmc_quadruped_walk", "dmc_walker_walk")
"""The panels of our Figures 7 and 8 (protocols/studies.py gives the reason)."""


def _only(
    comparison: Comparison, figure: str, methods: Sequence[str], wanted: str, tasks: Sequence[str] | None = None
) -> Comparison:
    """The comparison with some of its methods and, if it has any of them, some of its tasks."""
    if not methods:
        raise UserError(f"figure {figure!r} shows {wanted}; these scores hold {', '.join(comparison.methods)}")
    shown = [task for task in tasks or () if task in comparison.tasks] or comparison.tasks
    keep = comparison.table["method"].isin(methods) & comparison.table["task"].isin(shown)
    return replace(comparison, table=comparison.table[keep])


def _lines(lines: pd.DataFrame | None) -> dict[str, Any]:
    if lines is None or lines.empty:
        return {}
    said = ", ".join(dict.fromkeys(f"{row.label} ({row.source})" for row in lines.itertuples()))
    return {"lines": lines, "lines_note": f"Broken horizontal lines: final scores of {said}."}


def _published_lines(published: pd.DataFrame) -> pd.DataFrame:
    budgets = zip(published["env_steps"], published["modality"], strict=True)
    return published.assign(
        label=published["method"], source=[f"Appendix G, {short_count(steps)} env steps, {kind}" for steps, kind in budgets]
    )


def plain_curves(comparison: Comparison, lines: pd.DataFrame | None = None) -> Drawing:
    return curves(comparison, **_lines(lines))


def fig7(comparison: Comparison, lines: pd.DataFrame | None = None) -> Drawing:
    """Learning curves of all arms on the tasks of long horizon."""
    cut = _only(comparison, "fig7", comparison.methods, "runs", LONG_HORIZON)
    return _arms(cut, "fig7", "Learning curves on tasks of long horizon", lines)


def fig10(comparison: Comparison, lines: pd.DataFrame | None = None) -> Drawing:
    """Learning curves of all arms on all tasks."""
    return _arms(comparison, "fig10", "Learning curves on all tasks", lines)


def _arms(comparison: Comparison, name: str, title: str, lines: pd.DataFrame | None) -> Drawing:
    """Learning curves, by default with the published final scores of A3C and D4PG as lines."""
    if lines is None:
        lines = _published_lines(comparison.published[comparison.published["method"].isin(["A3C", "D4PG"])])
    return curves(comparison, name=name, title=title, **_lines(lines))


def _representations(comparison: Comparison, name: str, title: str, tasks: Sequence[str] | None) -> Drawing:
    methods = [
        method
        for method in comparison.methods
        if set(comparison.overrides.get(method, {})) == {"representation"}
        or (base_name(method) == "dreamer" and not comparison.overrides.get(method))
        or "representation" in method
        or method in ("reconstruction", "contrastive", "reward_only")
    ]
    cut = _only(comparison, name, methods, "dreamer and its runs with `--set representation=…` (`run figure-11`)", tasks)
    return curves(cut, name=name, title=title)


def fig8(comparison: Comparison, lines: pd.DataFrame | None = None) -> Drawing:
    """Representation objectives on the tasks of long horizon."""
    return _representations(comparison, "fig8", "Representation objectives, tasks of long horizon", LONG_HORIZON)


def fig11(comparison: Comparison, lines: pd.DataFrame | None = None) -> Drawing:
    """Representation objectives on all tasks."""
    return _representations(comparison, "fig11", "Representation objectives, all tasks", None)


def fig9(comparison: Comparison, lines: pd.DataFrame | None = None) -> Drawing:
    """Discrete control: learning curves on Atari and DMLab levels with guide lines."""
    discrete = [task for task in comparison.tasks if task.startswith(("atari_", "dmlab_"))]
    if not discrete:
        raise UserError(f"figure 'fig9' shows Atari and DMLab tasks; these scores hold {', '.join(comparison.tasks[:4])}")
    if lines is None:
        games = references.atari_scores()
        lines = pd.concat(
            [
                games.assign(label=kind, score=games[kind], source="DQN Zoo's table")[["task", "label", "score", "source"]]
                for kind in ("random", "human")
            ],
            ignore_index=True,
        ).dropna(subset=["score"])
    return curves(
        _only(comparison, "fig9", comparison.methods, "runs", discrete), name="fig9", title="Discrete control", **_lines(lines)
    )


def fig12(comparison: Comparison, lines: pd.DataFrame | None = None) -> Drawing:
    """Learning curves under several action repeats; `combine_repeats` combines the protocols."""
    repeats = {method: int(method.rsplit("=", 1)[1]) for method in comparison.methods if " action_repeat=" in method}
    if not repeats:
        raise UserError(
            "figure 'fig12' needs runs of dmc-repeat-1@1, dmc-5m@1 and dmc-repeat-4@1 (`run figure-12`), or methods "
            f"named like 'dreamer action_repeat=4'; these scores hold {', '.join(comparison.methods)}"
        )
    cut = _only(comparison, "fig12", sorted(repeats), "action repeats")
    return curves(
        cut,
        name="fig12",
        title="Action repeats",
        methods=sorted(repeats, key=lambda method: (method.split(" ")[0], repeats[method])),
        styles={method: REPEATS[repeat] for method, repeat in repeats.items() if repeat in REPEATS},
    )


FIGURES: dict[str, Callable[..., Drawing]] = {
    "fig4": fig4,
    "fig6": fig6,
    "fig7": fig7,
    "fig8": fig8,
    "fig9": fig9,
    "fig10": fig10,
    "fig11": fig11,
    "fig12": fig12,
    "atari55": atari55,
    "aggregates": aggregates,
    "profiles": profiles,
    "improvement": improvement,
    "difference": differences,
    "efficiency": efficiency,
    "curves": plain_curves,
}
FROM_RUNS: dict[str, Callable[..., tuple[Drawing, list[str]]]] = {"joined": joined}
"""Figures that read whole runs of several protocols: (paths, methods=, tasks=, reps=) to a drawing and notes."""
OVER_TASKS = ("aggregates", "profiles", "difference", "efficiency")
"""Figures with the scores of several tasks on one axis."""
WITH_LINES = ("fig7", "fig9", "fig10", "curves")
"""Figures that draw the final scores of `--references` as lines."""


def reference_lines(names: Sequence[str], tasks: Sequence[str]) -> pd.DataFrame | None:
    """Final mean of references for each task: task, label, score, source.

    names  a shipped reference, a score file, or some methods of one: "scores.csv:dqn,rainbow"
    """
    if not names:
        return None
    parts = []
    for name in names:
        if name in references.NAMES:
            parts.append(_published_lines(comparisons.published_for(tasks))[["task", "label", "score", "source"]])
            continue
        path, _, wanted = name.rpartition(":") if ":" in name and not Path(name).exists() else (name, "", "")
        table = tables.read([path])
        if wanted:
            table = tables.chosen(table, wanted.split(","))
        selection = per_run.select(table, short="drop")
        means = selection.scores.groupby(["method", "task"], as_index=False)["score"].mean().rename(columns={"method": "label"})
        parts.append(means.assign(source=f"{short_count(selection.budget_env_steps)} env steps"))
    lines = pd.concat(parts, ignore_index=True)
    return lines[lines["task"].isin(list(tasks))]


def draw(name: str, comparison: Comparison, *, reference_names: Sequence[str] = ()) -> Drawing:
    """One figure by name. Raises ValueError if it cannot be made from these scores, or if it does not take references."""
    if reference_names and name not in WITH_LINES:
        raise UserError(f"figure {name!r} draws no reference lines; --references works with {', '.join(WITH_LINES)}")
    if name in OVER_TASKS:
        normalize.refuse_mixed_scales(comparison.tasks, comparison.normalization)
    if name in WITH_LINES and reference_names:
        return FIGURES[name](comparison, reference_lines(reference_names, comparison.tasks))
    return FIGURES[name](comparison)

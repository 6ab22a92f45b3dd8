"""The report: records in, one page that explains itself out, with the data behind every picture.

    out/index.html      self-contained: styles and figures inside, nothing fetched
    out/summary.json    every number on the page
    out/<figure>.svg .png .csv    (one folder per protocol where there are several)

Rendered completely before the first file is written, and `index.html` is replaced last: there is no half report. The
same records give the same bytes: the page carries the time of its newest record, not of its making.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from analysis import aggregate, material, provenance
from analysis import table as tables
from analysis.figures import bars, intervals
from analysis.figures.curves import curves
from analysis.figures.drawing import Drawing, csv_text, png_bytes, svg_text, write_atomically
from analysis.material import Material
from analysis.pictures import pictures
from analysis.style import number, task_label
from protocols.spec import ScoreRule
from protocols.store import PROTOCOL_FOLDER

KIND, SCHEMA = "dreamer-bench report", 1
BASELINE = "random"
MOST_RUNS_LISTED = 60


@dataclass
class Section:
    """One protocol (as one digest) on the page. `files`: name -> content, beside the page; `summary`: its share of the JSON."""

    anchor: str
    title: str
    purpose: str = ""
    warnings: list[str] = field(default_factory=list)
    cards_title: str = ""
    cards: list[dict[str, str]] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    folder: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    headline: str = ""
    lead: list[str] = field(default_factory=list)

    def add(self, heading: str, *paragraphs: str, **content: Any) -> None:
        anchor = re.sub(r"[^a-z0-9]+", "-", f"{self.anchor}-{heading}".lower()).strip("-")
        self.blocks.append({"heading": heading, "anchor": anchor, "paragraphs": paragraphs, **content})

    def draw(self, drawing: Drawing, heading: str, *paragraphs: str, **content: Any) -> None:
        """A figure on the page, and its SVG, PNG and CSV beside it."""
        path = f"{self.folder}{drawing.name}"
        svg = svg_text(drawing, prefix=f"{self.anchor}-")
        self.files[f"{path}.svg"] = svg.encode()
        self.files[f"{path}.png"] = png_bytes(drawing)
        self.files[f"{path}.csv"] = csv_text(drawing.data).encode()
        self.add(heading, *paragraphs, svg=svg, caption=drawing.caption, csv=f"{path}.csv", png=f"{path}.png", **content)


def build(paths: Sequence[str | Path], out: Path, *, reps: int = aggregate.REPS) -> dict[str, Any]:
    """Writes the report of runs folders and score files and returns its summary (also in out/summary.json).

    Raises ValueError where a path is neither or holds nothing to report, and `table.InvalidData` for records that cannot be used.
    """
    _check_out(out)
    folders, files = material.split_paths(paths)
    runs = material.runs_of(folders)
    from_files = tables.read(files) if files else None
    if not runs and from_files is None:
        raise ValueError(f"{', '.join(map(str, paths))} holds no run yet; start one with `dreamer-bench run quick@1`")
    found = provenance.groups(runs)
    named = {group.protocol for group in found}
    extra = [] if from_files is None else [(name, part) for name, part in from_files.groupby("protocol")]
    several = len(found) + sum(name not in named for name, _ in extra) > 1
    sections = []
    for group in found:
        same = sum(other.protocol == group.protocol for other in found) > 1
        beside = next((part for name, part in extra if name == group.protocol), None)
        sections.append(
            _run_section(group, tables.read(folders, protocol=group.protocol), beside, several=several, same=same, reps=reps)
        )
    for name, part in extra:
        if name not in named:
            sections.append(_file_section(str(name), part, several=several, reps=reps))
    created = max((run.manifest["created"] for run in runs), default="")[:16].replace("T", " ")
    return _write(out, sections, created=f"records until {created} UTC" if created else "from score files", runs=len(runs))


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {str(out)!r} is a file; give a folder for the report")
    if out.is_dir() and any(PROTOCOL_FOLDER.fullmatch(entry.name) for entry in out.iterdir()):
        raise ValueError(f"--out {str(out)!r} is a runs folder; give another folder for the report")


# ---------------------------------------------------------------- sections


def _run_section(
    group: provenance.Group, table: pd.DataFrame, beside: pd.DataFrame | None, *, several: bool, same: bool, reps: int
) -> Section:
    suffix = f" ({group.digest[:8]})" if same else ""
    anchor = re.sub(r"[^a-z0-9]+", "-", f"{group.protocol}{suffix}".lower()).strip("-")
    section = Section(
        anchor=anchor,
        title=f"{group.protocol}{suffix}: {group.data['title']}",
        purpose=group.data["purpose"],
        folder=f"{anchor}/" if several else "",
    )
    shown = _rows_of(table, [cell for cell in group.cells if cell.run.manifest["limit_env_steps"] is None])
    counted = _rows_of(table, group.counted)
    if beside is not None:
        clash = sorted(set(beside["method"]) & set(shown["method"]))
        if clash:
            raise ValueError(
                f"method {clash[0]!r} of {group.protocol} is in the runs folder and in {beside['source'].iloc[0]}; rename one"
            )
        shown, counted = pd.concat([shown, beside]), pd.concat([counted, beside])
    absent = provenance.missing(group)
    section.warnings = _warnings(group, absent)
    if len(counted):
        rule = ScoreRule(**group.data["score_rule"])
        subject = material.assemble(
            counted.reset_index(drop=True),
            title=group.protocol,
            rule=rule,
            at=group.data["env_steps"],
            normalization=group.data["normalization"],
            overrides=provenance.overrides(group.cells),
            reps=reps,
        )
        _results(section, subject, replace(subject, table=shown.reset_index(drop=True)))
    elif len(shown):
        section.headline = f"{group.protocol}: no finished run yet"
    total = len({cell.method for cell in group.cells if cell.run.manifest["limit_env_steps"] is None})
    grid = total * len(group.data["tasks"]) * len(group.data["seeds"])
    tasks = group.data["tasks"]
    named = ": " + ", ".join(map(task_label, tasks)) if len(tasks) <= 4 else ""
    section.lead.insert(
        0,
        f"{total} agent{'s' if total != 1 else ''} on {len(tasks)} task{'s' if len(tasks) != 1 else ''}{named}; "
        f"{len(group.data['seeds'])} seeds each, {group.data['env_steps']:,} env steps a run: "
        f"{grid - len(absent)} of {grid} runs finished.",
    )
    machine = provenance.counted(provenance.hardware(cell.run.manifest) for cell in group.cells)
    section.lead.append(f"Run on {machine}.")
    section.headline = section.headline or f"{group.protocol}: no run of the protocol yet"
    found = pictures([cell.run for cell in group.cells])
    if found:
        section.add(
            "Pictures", "The last recorded evaluation and imagined sequences, of the first seed that has them.", pictures=found
        )
    states = {state: sum(cell.state == state for cell in group.cells) for state in ("done", "running", "resumable", "diverged")}
    section.add(
        "What was run",
        facts=[
            ("Runs", ", ".join(f"{count} {state}" for state, count in states.items() if count) + f", {len(absent)} missing"),
            *provenance.facts(group),
        ],
    )
    if absent:
        section.add("Missing cells", points=provenance.compress(absent))
    section.summary |= {
        "protocol": group.protocol,
        "digest": group.digest,
        "states": states,
        "counted": len(group.counted),
        "grid": grid,
        "missing": absent,
        "not_counted": [
            {"method": cell.method, "task": cell.task, "seed": cell.seed, "why": cell.why}
            for cell in group.cells
            if not cell.counts
        ],
        "foreign_simulator": [
            {"method": cell.method, "task": cell.task, "seed": cell.seed, "found": cell.foreign}
            for cell in group.cells
            if cell.foreign
        ],
        "facts": dict(provenance.facts(group)),
    }
    return section


def _file_section(protocol: str, table: pd.DataFrame, *, several: bool, reps: int) -> Section:
    anchor = re.sub(r"[^a-z0-9]+", "-", protocol.lower()).strip("-") or "score-files"
    section = Section(
        anchor=anchor,
        title=protocol or "Score files",
        folder=f"{anchor}/" if several else "",
        purpose="Scores read from files; how they were made is known only to their sources.",
    )
    subject = material.assemble(table.reset_index(drop=True), title=protocol or "score files", reps=reps)
    _results(section, subject, subject)
    sources = sorted(table["source"].unique())
    section.add(
        "What was read",
        facts=[
            ("Files", ", ".join(Path(source).name for source in sources)),
            ("Score of a run", subject.selection.rule),
            ("Budget", subject.budget),
        ],
    )
    section.lead.insert(
        0,
        f"{len(subject.methods)} methods on {len(subject.tasks)} tasks, "
        f"{len(subject.scores)} runs compared at {subject.budget}.",
    )
    section.summary |= {"protocol": protocol, "files": [Path(source).name for source in sources]}
    return section


def _rows_of(table: pd.DataFrame, cells: Sequence[provenance.Cell]) -> pd.DataFrame:
    wanted = {(cell.method, cell.task, str(cell.seed)) for cell in cells}
    mask = [key in wanted for key in zip(table["method"], table["task"], table["seed"].astype(str), strict=True)]
    return table[mask]


def _warnings(group: provenance.Group, absent: Sequence[Any]) -> list[str]:
    found = []
    for reason, name in (
        (provenance.REASONS["limited"], "cut short with --limit"),
        (provenance.REASONS["diverged"], "diverged"),
        (provenance.REASONS["unfinished"], "unfinished"),
    ):
        cells = [cell for cell in group.cells if cell.why == reason]
        if cells:
            found.append(
                f"{len(cells)} run{'s' if len(cells) != 1 else ''} {name}, never counted in a score: "
                + "; ".join(provenance.compress([(c.method, c.task, c.seed) for c in cells])[:6])
                + "."
            )
    if absent:
        found.append(f"{len(absent)} cells of the grid have no finished run (listed below); the means are over what is there.")
    foreign = [cell for cell in group.cells if cell.foreign]
    if foreign:
        versions = provenance.counted(", ".join(cell.foreign) for cell in foreign)
        found.append(
            f"{len(foreign)} runs were made under another simulator version than the protocol's: {versions}. "
            "Simulator releases move scores; compare them with care."
        )
    if group.known_digest not in (None, group.digest):
        found.append(
            f"These records carry digest {group.digest[:12]} of {group.protocol}, this installation's is {str(group.known_digest)[:12]}: "
            "another definition under the same name."
        )
    return found


# ---------------------------------------------------------------- results


def _results(section: Section, subject: Material, shown: Material) -> None:
    """Cards, figures and tables of one comparison. `shown` may hold more runs than count, for the learning curves."""
    left_out = subject.selection.left_out
    if len(left_out):
        section.warnings.append(
            f"{len(left_out)} runs stop short of {subject.budget} and are left out of the scores: "
            + "; ".join(
                f"{row.method}, {row.task}, seed {row.seed} at {row.env_steps:,}" for row in left_out.head(6).itertuples()
            )
            + "."
        )
    if subject.scores.empty:
        section.headline = f"{subject.title}: no run reaches {subject.budget}"
        return
    common = aggregate.common_tasks(subject.normalized)
    if common.empty:
        section.warnings.append("The methods share no task, so nothing can be averaged over them.")
        section.headline = f"{subject.title}: methods without a common task"
        section.draw(curves(shown), "Learning curves")
        return
    cut = subject.normalized["task"].nunique() - common["task"].nunique()
    if cut:
        section.warnings.append(f"{cut} tasks that not every method has are left out of the aggregates.")
    raw_units = subject.normalization in ("dmc", "none")
    headline = aggregate.common_tasks(subject.scores) if raw_units else common
    means = intervals.estimate_table(aggregate.estimates(headline, metrics=["mean"], reps=subject.reps, single_seed="omit"))
    differences = None
    methods = list(means["method"])
    if BASELINE in methods and len(methods) > 1 and headline.groupby(["method", "task"])["seed"].nunique().min() > 1:
        differences = intervals.differences(subject, BASELINE)
    _cards(section, subject, means, differences, raw_units)
    section.draw(curves(shown), "Learning curves")
    drawing = intervals.aggregates(subject)
    note = aggregate.small_sample_note(common)
    section.draw(drawing, "Aggregate scores", *([note] if note else []), table=_aggregate_table(subject, drawing.data, means))
    if differences is not None:
        section.draw(differences, f"Difference to {BASELINE}", table=_difference_table(subject, differences.data))
    section.draw(
        bars.fig6(subject),
        "Scores per task, beside the published ones" if len(subject.published) else "Scores per task",
        table=_task_table(subject),
    )
    runs = subject.scores[["method", "task", "seed", "score", "env_steps", "points"]]
    section.files[f"{section.folder}runs.csv"] = csv_text(runs).encode()
    if len(runs) <= MOST_RUNS_LISTED:
        section.add(
            "Every run",
            table={
                "caption": f"Score of every counted run: {subject.selection.rule}.",
                "columns": ["method", "task", "seed", "score", "episodes averaged", "until env steps"],
                "rows": [
                    [
                        _name(subject, row.method),
                        {"text": task_label(row.task), "is_text": True},
                        {"text": str(row.seed)},
                        {"text": number(row.score)},
                        {"text": str(row.points)},
                        {"text": f"{row.env_steps:,}"},
                    ]
                    for row in runs.itertuples()
                ],
            },
        )
    section.summary |= {
        "score_rule": subject.selection.rule,
        "budget_env_steps": subject.selection.budget_env_steps,
        "normalization": subject.normalization,
        "means": means.to_dict("records"),
        "aggregates": drawing.data.to_dict("records"),
        "differences": [] if differences is None else differences.data.to_dict("records"),
        "left_out": left_out.to_dict("records"),
        "runs": runs.to_dict("records"),
        "labels": {method: subject.label(method) for method in methods},
    }


def _cards(section: Section, subject: Material, means: pd.DataFrame, differences: Drawing | None, raw_units: bool) -> None:
    gaps = {} if differences is None else {row.of: row for row in differences.data.itertuples()}
    ranked = means.sort_values(["point", "method"], ascending=[False, True])
    for row in ranked.itertuples():
        detail = f"95% {_ends(row)}, n = {row.runs} runs" if not math.isnan(row.low) else f"no interval, n = {row.runs} runs"
        if row.method in gaps:
            gap = gaps[row.method]
            detail += f"; {'+' if gap.point >= 0 else '−'}{number(abs(gap.point))} {_ends(gap)} to {BASELINE}: {_verdict(gap)}"
        section.cards.append(
            {
                "name": subject.label(row.method),
                "color": subject.looks([row.method])[row.method].color,
                "value": number(row.point),
                "detail": detail,
            }
        )
    scale = "episode return" + (", 0 to 1,000" if subject.normalization == "dmc" else "") if raw_units else "normalised score"
    section.cards_title = (
        f"Mean score ({scale}) at {subject.budget}, best first. Score of a run: {subject.selection.rule}. "
        "Intervals: 95%, stratified bootstrap over runs."
    )
    best = next(iter(ranked.itertuples()))
    section.headline = f"{subject.title}: {subject.label(best.method)} scores {number(best.point)}"
    others = [row for row in ranked.itertuples() if row.method != best.method]
    if others:
        baseline = next((row for row in others if row.method == BASELINE), others[0])
        section.headline += f", {subject.label(baseline.method)} {number(baseline.point)}"
    above = [subject.label(name) for name, gap in gaps.items() if gap.low > 0]
    if gaps:
        section.lead.append(
            f"Above {BASELINE} with 95% confidence in the mean score: {', '.join(above) or 'none'} "
            f"({len(above)} of {len(gaps)} methods)."
        )


def _ends(row: Any) -> str:
    return f"[{number(row.low)}, {number(row.high)}]".replace("-", "−")


def _verdict(gap: Any) -> str:
    return "above" if gap.low > 0 else "below" if gap.high < 0 else "not told apart"


def _name(subject: Material, method: str) -> dict[str, str]:
    return {"text": subject.label(method), "color": subject.looks([method])[method].color}


def _value(row: Any) -> dict[str, str]:
    return {"text": number(row.point), "interval": "" if math.isnan(row.low) else _ends(row)}


def _aggregate_table(subject: Material, data: pd.DataFrame, means: pd.DataFrame) -> dict[str, Any]:
    metrics = list(dict.fromkeys(data["metric"]))
    normal = {"dmc": "score / 1,000", "none": "score"}.get(subject.normalization, f"{subject.normalization} normalised")
    rows = []
    for row in means.itertuples():
        mine = {entry.metric: entry for entry in data[data["method"] == row.method].itertuples()}
        rows.append(
            [
                _name(subject, row.method),
                *(_value(mine[metric]) for metric in metrics),
                {"text": str(row.tasks)},
                {"text": str(row.runs)},
                {"text": str(row.seeds_min) if row.seeds_min == row.seeds_max else f"{row.seeds_min}–{row.seeds_max}"},
            ]
        )
    return {
        "caption": f"In units of {normal}; 95% intervals below each number.",
        "columns": ["method", *(intervals.METRIC_TITLES[metric] for metric in metrics), "tasks", "runs", "seeds per task"],
        "rows": rows,
    }


def _difference_table(subject: Material, data: pd.DataFrame) -> dict[str, Any]:
    return {
        "caption": f"Mean score minus that of {BASELINE}; 95% interval of the difference.",
        "columns": ["method", "difference", "verdict", "runs of both"],
        "rows": [
            [_name(subject, row.of), _value(row), {"text": _verdict(row)}, {"text": str(row.runs)}] for row in data.itertuples()
        ],
    }


def _task_table(subject: Material) -> dict[str, Any]:
    data = intervals.task_estimates(subject.scores, subject.reps)
    methods = sorted(data["method"].unique())
    cells = {(row.task, row.method): row for row in data.itertuples()}
    rows = [
        [
            {"text": task_label(task)},
            *(
                {**_value(cells[task, method]), "text": f"{number(cells[task, method].point)} (n={cells[task, method].runs})"}
                if (task, method) in cells
                else {"text": "–"}
                for method in methods
            ),
        ]
        for task in sorted(data["task"].unique())
    ]
    return {
        "caption": "Mean score per task (n seeds), 95% interval below.",
        "columns": ["task", *map(subject.label, methods)],
        "rows": rows,
    }


# ---------------------------------------------------------------- writing


def _write(out: Path, sections: Sequence[Section], *, created: str, runs: int) -> dict[str, Any]:
    headline = (
        sections[0].headline
        if len(sections) == 1
        else f"{len(sections)} comparisons: " + "; ".join(s.headline for s in sections)
    )
    lead = (
        sections[0].lead
        if len(sections) == 1
        else [f"{section.title}: {section.lead[0]}" for section in sections if section.lead]
    )
    templates = resources.files("analysis") / "templates"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined)
    page = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8")).render(
        title=f"dreamer-bench: {', '.join(section.title.split(':')[0] for section in sections)}",
        headline=headline,
        lead=lead,
        created=created,
        sections=[asdict(section) for section in sections],
        css=(templates / "page.css").read_text(encoding="utf-8"),
    )
    files = {name: content for section in sections for name, content in section.files.items()}
    summary = {
        "kind": KIND,
        "schema": SCHEMA,
        "created": created,
        "headline": headline,
        "runs": runs,
        "sections": [{"title": section.title, "warnings": section.warnings, **section.summary} for section in sections],
        "files": sorted([*files, "index.html", "summary.json"]),
    }
    clean = json.loads(json.dumps(summary, default=_plain), parse_constant=lambda _: None)
    for name, content in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    write_atomically(out / "summary.json", (json.dumps(clean, indent=1, allow_nan=False) + "\n").encode())
    write_atomically(out / "index.html", page.encode())
    return clean


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    return value.item() if hasattr(value, "item") else str(value)

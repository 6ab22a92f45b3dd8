"""One section of the report: a protocol (with one digest) or the score files, what was run, and which runs do not count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures import comparison
from analysis.figures.catalog import draw as draw_figure
from analysis.figures.gather import gather
from analysis.figures.style import task_label
from analysis.report import blocks, facts
from analysis.report.page import Section
from analysis.report.pictures import pictures
from analysis.scores import groups
from dreamer_bench_base import UserError, count
from protocols.records.score import rule_of


def run_section(
    group: groups.Group,
    table: pd.DataFrame,
    beside: pd.DataFrame | None,
    folders: Mapping[Path, str],
    *,
    several: bool,
    same: bool,
    reps: int,
) -> Section:
    """The section of one protocol.

    table    the evaluation points of its runs
    beside   published scores to show with them
    folders  folder of a run -> the name of the runs folder that holds it
    """
    suffix = f" ({group.digest[:8]})" if same else ""
    anchor = re.sub(r"[^a-z0-9]+", "-", f"{group.protocol}{suffix}".lower()).strip("-")
    section = Section(
        anchor=anchor,
        title=f"{group.protocol}{suffix}: {group.data['title']}",
        purpose=group.data["purpose"],
        folder=f"{anchor}/" if several else "",
    )
    shown = _rows_of(table, [member for member in group.members if member.run.manifest["limit_env_steps"] is None])
    counted = _rows_of(table, group.counted)
    if beside is not None:
        clash = sorted(set(beside["method"]) & set(shown["method"]))
        if clash:
            raise UserError(
                f"method {clash[0]!r} of {group.protocol} is in the runs folder and in {beside['source'].iloc[0]}; rename one"
            )
        shown, counted = pd.concat([shown, beside]), pd.concat([counted, beside])
    absent = groups.missing(group)
    section.warnings = _warnings(group, absent)
    budget, normalization = group.data["env_steps"], group.data["normalization"]
    if len(counted):
        subject = comparison.assemble(
            counted.reset_index(drop=True),
            title=group.protocol,
            rule=rule_of(group.data["score_rule"]),
            at=budget,
            normalization=normalization,
            overrides=groups.overrides(group.members),
            own_options=groups.own_options(group.members),
            reps=reps,
        )
        blocks.fill(section, subject, replace(subject, table=shown.reset_index(drop=True)))
    elif len(shown):
        under_way = comparison.unscored(
            shown.reset_index(drop=True), title=group.protocol, budget_env_steps=budget, normalization=normalization, reps=reps
        )
        blocks.fill(section, under_way, under_way)
    section.lead.insert(0, _what_was_run(group, absent))
    machine = groups.tally(facts.hardware(member.run.manifest) for member in group.members)
    section.lead.append(f"Run on {machine}.")
    if group.counted and not len(counted):  # episodes of joined tasks have tasks of their own, which the protocol does not list
        runs = count(len(group.counted), "finished run")
        section.headline = f"{group.protocol}: {runs} of joined tasks, which `figure joined` compares"
    section.headline = section.headline or f"{group.protocol}: no run of the protocol yet"
    found = pictures([member.run for member in group.members])
    if found:
        section.add(
            "Pictures", "The last recorded evaluation and imagined sequences of the first seed that has them.", pictures=found
        )
    what = [("Read from", groups.tally(folders[member.run.folder] for member in group.members)), *facts.facts(group)]
    states = {
        state: sum(member.state == state for member in group.members) for state in ("done", "running", "resumable", "diverged")
    }
    section.add(
        "What was run",
        wide=True,
        facts=[
            (
                "Runs",
                ", ".join(f"{members} {state}" for state, members in states.items() if members) + f", {len(absent)} missing",
            ),
            *what,
        ],
    )
    if absent:
        section.add("Missing runs", points=facts.compress(absent))
    section.summary |= {
        "protocol": group.protocol,
        "digest": group.digest,
        "states": states,
        "counted": len(group.counted),
        "grid": len(absent) + sum(member.state in ("done", "diverged") and not member.limited for member in group.members),
        "missing": absent,
        "not_counted": [
            {"method": member.method, "task": member.task, "seed": member.seed, "why": member.why}
            for member in group.members
            if not member.counts
        ],
        "foreign_simulator": [
            {"method": member.method, "task": member.task, "seed": member.seed, "found": member.foreign}
            for member in group.members
            if member.foreign
        ],
        "facts": dict(what),
    }
    return section


def file_section(protocol: str, table: pd.DataFrame, *, several: bool, reps: int) -> Section:
    anchor = re.sub(r"[^a-z0-9]+", "-", protocol.lower()).strip("-") or "score-files"
    section = Section(
        anchor=anchor,
        title=protocol or "Score files",
        folder=f"{anchor}/" if several else "",
        purpose="These scores were read from files, so the report cannot say how they were made.",
    )
    subject = comparison.assemble(table.reset_index(drop=True), title=protocol or "score files", reps=reps)
    blocks.fill(section, subject, subject)
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
        f"{count(len(subject.methods), 'method')} on {count(len(subject.tasks), 'task')}, "
        f"{count(len(subject.scores), 'run')} compared at {subject.budget}.",
    )
    section.summary |= {"protocol": protocol, "files": [Path(source).name for source in sources]}
    return section


def repeat_section(folders: Sequence[Path], protocols: Sequence[str], *, reps: int) -> Section:
    """Figure 12: protocols that differ only in their action repeat, in one figure and never in one mean."""
    section = Section(
        anchor="action-repeats",
        title="Action repeats",
        folder="action-repeats/",
        purpose=f"{', '.join(protocols)} differ only in their action repeat. Their curves are shown side by side "
        "and never averaged.",
        headline="learning curves under several action repeats",
    )
    compared = gather(folders, several_protocols=True, reps=reps)
    section.draw(partial(draw_figure, "fig12", compared), "Learning curves by action repeat")
    section.summary["protocols"] = list(protocols)
    return section


def _what_was_run(group: groups.Group, absent: Sequence[Any]) -> str:
    """The agents, tasks, seeds and runs that exist, and what the protocol requires."""
    whole = [member for member in group.members if not member.limited]
    cut = len(group.members) - len(whole)
    also = f" {cut} cut short with --limit." if cut else ""
    if not whole:
        return f"No complete run yet; {count(cut, 'run')} {'were' if cut != 1 else 'was'} cut short with --limit."
    methods, tasks = ({getattr(member, name) for member in whole} for name in ("method", "task"))
    asked = group.data["tasks"]
    named = ": " + ", ".join(map(task_label, sorted(tasks))) if len(tasks) <= 4 else ""
    of = f" of {len(asked)}" if len(tasks) < len(asked) else ""
    seeds = Counter((member.method, member.task) for member in whole)
    fewest, most = min(seeds.values()), max(seeds.values())
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    protocol = len(group.data["seeds"])
    wanted = "" if fewest == most == protocol else f" (the protocol has {protocol})"
    finished = sum(member.state in ("done", "diverged") for member in whole)
    return (
        f"{_who(methods)} on {len(tasks)}{of} "
        f"task{'s' if len(tasks) != 1 or of else ''}{named}; {each} seed{'s' if most != 1 else ''} each{wanted}, "
        f"{group.data['env_steps']:,} env steps a run: {finished} of {count(len(whole) + _not_begun(group, absent), 'run')} "
        "finished."
        f"{also}"
    )


def _who(methods: Collection[str]) -> str:
    """The agents without overrides, and separately those with options set by hand."""
    plain = sum("+" not in method for method in methods)
    agents = plain or len({method.split("+")[0] for method in methods})
    variants = len(methods) - plain
    words = count(agents, "agent")
    if not variants:
        return words
    named = count(variants, "variant")
    return f"{words} and {named} with options set by hand" if plain else f"{named} of {words}, with options set by hand,"


def _not_begun(group: groups.Group, absent: Sequence[Any]) -> int:
    begun = {(member.method, member.task, member.seed) for member in group.members if not member.limited}
    return sum(tuple(run) not in begun for run in absent)


def _rows_of(table: pd.DataFrame, members: Sequence[groups.Member]) -> pd.DataFrame:
    wanted = {(member.method, member.task, str(member.seed)) for member in members}
    number = table.groupby(["method", "task", "seed"], sort=False).ngroup().to_numpy()
    firsts = table.iloc[np.unique(number, return_index=True)[1]]
    kept = [key in wanted for key in zip(firsts["method"], firsts["task"], firsts["seed"].astype(str), strict=True)]
    return table[np.array(kept, dtype=bool)[number]]


def _warnings(group: groups.Group, absent: Sequence[Any]) -> list[str]:
    found = []
    for reason, name in (
        (groups.REASONS["limited"], "cut short with --limit"),
        (groups.REASONS["diverged"], "diverged"),
        (groups.REASONS["unfinished"], "unfinished"),
    ):
        members = [member for member in group.members if member.why == reason]
        if members:
            found.append(
                f"{count(len(members), 'run')} {name}, never counted in a score: "
                + "; ".join(facts.compress([(c.method, c.task, c.seed) for c in members])[:6])
                + "."
            )
    if absent:
        found.append(
            f"{count(len(absent), 'run')} of the grid not finished (listed below); the means are over the finished runs."
        )
    listed = group.data["seeds"]
    further = [member for member in group.counted if member.seed not in listed]
    if further:
        have = "runs have seeds" if len(further) != 1 else "run has a seed"
        found.append(
            f"{len(further)} counted {have} that the protocol does not list: "
            + "; ".join(facts.compress([(run.method, run.task, run.seed) for run in further])[:6])
            + ". The report counts every finished run in the folders that it was given."
        )
    foreign = [member for member in group.members if member.foreign]
    if foreign:
        versions = groups.tally(", ".join(member.foreign) for member in foreign)
        made = f"{count(len(foreign), 'run')} {'were' if len(foreign) != 1 else 'was'} made"
        found.append(
            f"{made} under another simulator version than the protocol's: {versions}. "
            "New simulator releases change scores; compare them with care."
        )
    if group.known_digest not in (None, group.digest):
        found.append(
            f"These records have the digest {group.digest[:12]} of {group.protocol}; this installation has "
            f"{str(group.known_digest)[:12]}, another definition under the same name."
        )
    return found

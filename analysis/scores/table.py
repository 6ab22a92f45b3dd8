"""The long table of scores: how runs folders and score files become one.

Everything in `analysis` works on pandas DataFrames of two shapes:

    table   one row per evaluation episode or logged point: the columns COLUMNS
    scores  one row per run: method, task, seed, score (+ env_steps, points, carried), from `analysis.scores.per_run.select`

Knows no simulator and no agent, and reads a runs folder only through `protocols.records.store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.scores import from_runs, groups
from analysis.scores.columns import COLUMNS, RUN, refuse_clashes, rule_text, two_protocols
from analysis.scores.tasks import named
from dreamer_bench_base import InvalidData, UserError, suggestion
from protocols import own
from protocols.records.store import MANIFEST
from protocols.spec import Protocol

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "RUN", "InvalidData", "chosen", "find", "protocols_of", "read", "scores_by_task"]


def read(
    paths: Sequence[str | Path],
    *,
    protocol: str | None = None,
    own_tasks: Sequence[str] = (),
    notes: list[str] | None = None,
    runs: Mapping[Path, Sequence[from_runs.ScoredRun]] | None = None,
) -> pd.DataFrame:
    """One long table (COLUMNS) of runs folders and score files, sorted by protocol, method, task, seed, env_steps, episode.

    A folder is a runs folder; runs that never count (cut with --limit, diverged) are left out. A file is recognised by its
    content (`analysis.scores.formats`), also with gzip.
    protocol   keep only records of this protocol (an id, or a user's own file), and score files that name no protocol
    own_tasks  patterns of task names in score files that are the user's own
    notes      gets lines about what was assumed and what was left out
    runs       the result of `find` for these paths, if it is known; the folders are then not read again

    Raises UserError for a path that is neither, InvalidData for holes (NaN, a repeated point) and for one method name under
    two protocols.
    """
    import pandas as pd

    from protocols import catalog

    if not paths:
        raise UserError("no scores given; name runs folders or score files")
    id = None if protocol is None else catalog.id_of(protocol)
    remarks: list[str] = []
    frames, left_out, said_so = [], 0, False
    there: set[str] = set()
    named_by_files: set[str] = set()
    skipped: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = groups.groups(from_runs.find(path) if runs is None else runs[path])
            there |= {group.protocol for group in found}
            frame, more = _counted(groups.chosen(found, protocol), remarks)
            left_out += more
        else:
            frame, said = _read_file(path, own_tasks)
            remarks += said
        if protocol is not None:
            said_so |= id in set(frame["protocol"])
            named_by_files |= set(frame["protocol"]) - {"", id}
            kept = frame[frame["protocol"].isin(["", id])]
            if kept.empty and not path.is_dir():
                skipped.append(_without(path, frame, id))
            frame = kept
        frames.append(frame)
    if protocol is not None and not said_so and id not in there:
        if there and all(map(Path.is_dir, map(Path, paths))):
            raise UserError(f"{', '.join(map(str, paths))} holds no run of {id}; it holds {', '.join(sorted(there))}")
        catalog.find(protocol)  # refuses a name that is neither in the scores nor installed
    table = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    if notes is not None:
        notes += [*remarks, *skipped]
    if table.empty:
        where = ", ".join(map(str, paths))
        of = f"of {protocol} " if protocol else ""
        if left_out:
            raise InvalidData(f"{where}: no run {of}counts: {'; '.join(remarks)}")
        if named_by_files:
            held = ", ".join(sorted(named_by_files))
            raise UserError(f"{where}: the scores are of {held}, none of {protocol}; choose another --protocol")
        raise InvalidData(f"{where}: no evaluation episode {of}is recorded yet; let a run reach its first evaluation")
    refuse_clashes(table)
    return _sorted(_defined(table))


def of_files(
    paths: Sequence[str | Path], *, protocol: str | None = None, own_tasks: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The table of score files, and protocol -> the notes on the files that hold scores of it.

    protocol  keep only scores of this protocol and of none; a file without such scores is left out, with a note

    The notes begin with the name of a file, without its folder on this machine.
    """
    import pandas as pd

    from protocols import catalog

    id = None if protocol is None else catalog.id_of(protocol)
    frames: list[pd.DataFrame] = []
    notes: dict[str, list[str]] = {}
    for path in map(Path, paths):
        frame, said = _read_file(path, own_tasks)
        kept = frame if id is None else frame[frame["protocol"].isin(["", id])]
        if id is not None and kept.empty:
            notes.setdefault(id, []).append(_without(path, frame, id))
            continue
        for name in kept["protocol"].unique():
            notes.setdefault(str(name), []).extend(line.replace(str(path), path.name) for line in said)
        frames.append(kept)
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS)), notes
    table = pd.concat(frames, ignore_index=True)
    refuse_clashes(table)
    return _sorted(_defined(table)), notes


def _without(path: Path, frame: pd.DataFrame, id: str | None) -> str:
    """The note on a file without scores of the protocol."""
    return f"{path.name} left out: it holds scores of {', '.join(sorted(set(frame['protocol'])))}, and none of {id}"


def _read_file(path: Path, own_tasks: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The points of a score file and the notes on it."""
    from analysis.scores import formats
    from analysis.scores.import_options import Options

    return formats.read_file(path, Options(own_tasks=tuple(own_tasks)))


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["protocol", *RUN, "env_steps", "episode", "final"], ignore_index=True)


def of_runs(runs: Sequence[from_runs.ScoredRun]) -> pd.DataFrame:
    """The same for runs that were already found."""
    frame, _ = _counted(groups.groups(runs), [])
    refuse_clashes(frame)
    return _sorted(frame)


def _counted(found: Sequence[groups.Group], notes: list[str]) -> tuple[pd.DataFrame, int]:
    """The rows of the runs that count or can still count, and the number of runs that never will."""
    seen: dict[str, groups.Group] = {}
    for group in found:
        other = seen.setdefault(group.protocol, group)
        if other is not group:
            first, second = (each.members[0].run.folder / MANIFEST for each in (other, group))
            raise two_protocols(second, first, group.protocol)
    members = [member for group in found for member in group.members]
    kept = [member for member in members if member.counts or member.unfinished]
    never = [member for member in members if not (member.counts or member.unfinished)]
    for why in dict.fromkeys(member.why for member in never):
        alike = [member for member in never if member.why == why]
        one = alike[0]
        more = f" and {len(alike) - 1} more" if alike[1:] else ""
        notes.append(f"{one.method}, {one.task}, seed {one.seed}{more} left out: {why}")
    return from_runs.read_runs([member.run for member in kept]), len(members) - len(kept)


def _defined(table: pd.DataFrame) -> pd.DataFrame:
    """The table with budget and score rule of every known protocol: from a run's manifest, else from the catalog."""
    from protocols import catalog

    open_ids = set(table.loc[(table["budget_env_steps"] == 0) & (table["protocol"] != ""), "protocol"])
    for id in sorted(open_ids):
        rows = table["protocol"] == id
        told = table[rows & (table["budget_env_steps"] > 0)]
        known = catalog.entries().get(id)
        if len(told):
            budget, rule = told["budget_env_steps"].iloc[0], told["score_rule"].iloc[0]
        elif known is not None:
            budget, rule = known.env_steps, rule_text(known.score_rule)
        else:
            continue
        table.loc[rows, "budget_env_steps"], table.loc[rows, "score_rule"] = budget, rule
    return table


def find(paths: Iterable[str | Path]) -> dict[Path, list[from_runs.ScoredRun]]:
    """The runs of each runs folder among these paths. Score files are not opened."""
    return {path: from_runs.find(path) for path in map(Path, paths) if path.is_dir()}


def protocols_of(runs: Iterable[from_runs.ScoredRun]) -> dict[str, Protocol]:
    """The protocols of these runs by id, from their manifests."""
    found: dict[str, Protocol] = {}
    for group in groups.groups(runs):
        found.setdefault(group.protocol, own.from_data(group.data))
    return found


def chosen(points: pd.DataFrame, methods: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of these methods and tasks; all if none is named. Raises ValueError with the name nearest to an unknown one."""
    for column, wanted in (("method", tuple(methods)), ("task", named(tasks, set(points["task"])))):
        there = sorted(points[column].unique())
        for name in wanted:
            if name not in there:
                nearest = suggestion(name, there)
                raise UserError(
                    f"{column} {name!r} is not among the scores{nearest + ' They' if nearest else '; they'} hold "
                    f"{', '.join(there[:8])}{' and more' if there[8:] else ''}"
                )
        if wanted:
            points = points[points[column].isin(wanted)]
    return points.reset_index(drop=True)


def scores_by_task(scores: pd.DataFrame, method: str) -> dict[str, list[float]]:
    """Task -> scores of the seeds (sorted by value), tasks sorted: the input of the estimators for one method."""
    rows = scores[scores["method"] == method]
    return {str(task): sorted(group.tolist()) for task, group in rows.groupby("task", sort=True)["score"]}

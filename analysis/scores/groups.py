"""The runs of each protocol, and for each run whether it counts in the means, or why not.

Reads run folders only through `protocols.records.store`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dreamer_bench_base import count
from protocols import catalog
from protocols.records.drift import simulator_drift
from protocols.records.score import REASONS, counts
from protocols.records.store import Run
from protocols.spec import PROSE, canonical_json
from protocols.spec import digest as digest_of


@dataclass(frozen=True, kw_only=True)
class Member:
    """One run, and whether its score counts in the means.

    state   "done", "running", "resumable" or "diverged"
    counts  whether it is a complete run of the protocol
    why     why it does not count; "" if it counts
    foreign  simulator packages with another version than the protocol's: "mujoco 3.5.0 (protocol: 3.17.0)"
    """

    run: Run
    method: str
    task: str
    seed: int
    state: str
    counts: bool
    why: str
    foreign: tuple[str, ...]

    @property
    def limited(self) -> bool:
        """Whether its budget was cut with `--limit`."""
        return self.run.manifest["limit_env_steps"] is not None

    @property
    def unfinished(self) -> bool:
        """Whether the run can still count: it is not finished, and can be compared with others up to its last evaluation."""
        return self.why == REASONS["unfinished"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """All runs with one protocol id and one digest, which may be in one table."""

    protocol: str
    digest: str
    data: Mapping[str, Any]
    members: tuple[Member, ...]

    @property
    def counted(self) -> list[Member]:
        return [member for member in self.members if member.counts]

    @property
    def has_rows(self) -> bool:
        """Whether a run that counts or can still count has an evaluation."""
        return any(member.run.episodes() for member in self.members if member.counts or member.unfinished)

    @property
    def known_digest(self) -> str | None:
        """The digest of the installed protocol with this id; None if none is installed."""
        known = catalog.entries().get(self.protocol)
        return None if known is None else digest_of(known)


def groups(runs: Iterable[Run]) -> list[Group]:
    """Runs by protocol and digest, in order of both."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.manifest["protocol"], run.manifest["digest"]), []).append(run)
    return [
        Group(
            protocol=protocol,
            digest=digest,
            data=members[0].manifest["protocol_data"],
            members=tuple(_member(run) for run in members),
        )
        for (protocol, digest), members in sorted(found.items())
    ]


def chosen(found: Iterable[Group], protocol: str | None) -> list[Group]:
    """The groups of a protocol, given by its id or by a user's own file; all groups if none is given.

    Raises UserError if the file has changed since the runs were made.
    """
    if protocol is None:
        return list(found)
    id = catalog.id_of(protocol)
    kept = [group for group in found if group.protocol == id]
    catalog.refuse_changed_file(protocol, (group.digest for group in kept))
    return kept


def _member(run: Run) -> Member:
    manifest, state = run.manifest, run.state()
    why = counts(run)
    foreign = tuple(
        f"{package} {found or 'unknown'} (protocol: {wanted})" for package, (wanted, found) in simulator_drift(manifest).items()
    )
    return Member(
        run=run,
        method=manifest["label"],
        task=manifest["task"],
        seed=manifest["seed"],
        state=state,
        counts=why is None,
        why="" if why is None else REASONS[why],
        foreign=foreign,
    )


def repeats(found: Sequence[Group]) -> list[Group]:
    """The largest set of groups that differ only in their action repeat, which Figure 12 may show together.

    Groups without a run that counts are left out; if no group has one, those without a run that can still count.
    """
    families: dict[str, list[Group]] = {}
    for group in [group for group in found if group.counted] or [group for group in found if group.has_rows]:
        same = {key: value for key, value in group.data.items() if key not in (*PROSE, "id", "action_repeat")}
        families.setdefault(canonical_json(same), []).append(group)
    return max(families.values(), key=len, default=[])


def missing(group: Group) -> list[tuple[str, str, int]]:
    """(method, task, seed) of the seeds that were asked for and have no finished run, on tasks where the method was started.

    A task on which a method was never started was not wanted, so it is not missing. Records that are older than the field
    `asked` want the protocol's seeds.
    """
    have = {(member.method, member.task, member.seed) for member in group.members if member.state in ("done", "diverged")}
    begun: dict[tuple[str, str], set[int]] = {}
    for member in group.members:
        if not member.limited:
            asked = member.run.manifest.get("asked", group.data)
            begun.setdefault((member.method, member.task), set()).update(asked["seeds"])
    wanted = [(*cell, seed) for cell, seeds in sorted(begun.items()) for seed in sorted(seeds)]
    return [each for each in wanted if each not in have]


def overrides(members: Iterable[Member]) -> dict[str, dict[str, Any]]:
    """Method -> the options that were set by hand."""
    return {member.method: dict(member.run.manifest["overrides"]) for member in members if member.run.manifest["overrides"]}


def own_options(members: Iterable[Member]) -> dict[str, dict[str, Any]]:
    """Method -> all its options, for methods without options set by hand."""
    return {member.method: dict(member.run.manifest["options"]) for member in members if not member.run.manifest["overrides"]}


def tally(values: Iterable[str]) -> str:
    """The distinct values, with their counts if there are several."""
    found = Counter(values)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{value} ({count(number, 'run')})" for value, number in sorted(found.items()))

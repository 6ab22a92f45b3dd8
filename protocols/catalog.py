"""Protocol id -> Protocol: the published versions of this repository, and those of other packages.

Only this file turns a protocol's name into data. Another package adds protocols with an entry point of the group
`dreamer_bench.protocols` that names a `Protocol` value. Its name must differ from the names of this repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from dreamer_bench_base import UserError, entry_points, imported, package_of, registered, suggestion
from protocols import atari, dmc, dmlab, joined, own, planet_six, quick, small, studies
from protocols.spec import Protocol, digest

ENTRY_POINT_GROUP = "dreamer_bench.protocols"

PUBLISHED: tuple[Protocol, ...] = (
    *quick.PROTOCOLS,
    *small.PROTOCOLS,
    *dmc.PROTOCOLS,
    *planet_six.PROTOCOLS,
    *joined.PROTOCOLS,
    *atari.PROTOCOLS,
    *dmlab.PROTOCOLS,
)
"""The protocols with pinned digests and a section on the page about protocols."""

BUILT_IN = PUBLISHED
"""What `find` knows besides protocols of other packages; tests may add to it."""

_ARMS = ("dreamer", "no_value", "planet", "sac", "random")
_ROWS = {
    "planet-6@1": ("planet-icml", *_ARMS),
    "planet-all@1": ("planet-icml", *_ARMS),
    "atari-200m@2": ("dreamer_v2", *_ARMS),
    "dmc-small@1": (*_ARMS[:-1], "dreamer_v2", "world_models", "random"),
}
"""Agents of a protocol's table, if they are not the arms of the shared backbone and random actions."""


def entries() -> dict[str, Protocol]:
    """Every protocol by id, built-ins first in reading order."""
    return registered("protocol id", ENTRY_POINT_GROUP, {protocol.id: protocol for protocol in BUILT_IN}, _read)


def _read(point: metadata.EntryPoint) -> tuple[str, Protocol]:
    imported(point.module, package_of(point))
    protocol = point.load()
    if not isinstance(protocol, Protocol):
        raise UserError(f"entry point {point.value!r} must name a Protocol, not a {type(protocol).__name__}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*@[1-9][0-9]*", protocol.id):
        raise UserError(f"protocol id {protocol.id!r} of entry point {point.value!r} is not of the form name@version")
    return protocol.id, protocol


def module_of(protocol: Protocol) -> str:
    """The module of a protocol; for another package, the one in its entry point."""
    for point in entry_points(ENTRY_POINT_GROUP):
        if point.load() == protocol:
            return point.module
    return "protocols"


def find(id: str) -> Protocol:
    """The protocol with this id, or of a user's own file (`protocols.own`).

    Raises UserError with the nearest id if there is none.
    """
    if own.is_file(id):
        return own.load(Path(id), find)
    known = entries()
    if id in known:
        return known[id]
    if studies.is_study(id):
        rows = ", ".join(sorted({row.protocol for row in studies.find(id).rows}))
        raise UserError(
            f"{id!r} is a study over {rows}, not a protocol; only `run` and `plan` take it, so name one of these protocols"
        )
    if own.is_own(id):
        raise UserError(
            f"{id} comes from a user's own file and is not installed; give the file, or a folder of its runs; "
            "a leaderboard takes only published protocols and those of packages"
        )
    versions = [other for other in known if other.split("@")[0] == id]
    hint = suggestion(id, versions[-1:] or known, cutoff=0.3 if versions else 0.5) or "."
    raise UserError(f"protocol {id!r} is not known{hint} Known: {', '.join(known)}")


def of_record(manifest: Mapping[str, Any]) -> Protocol:
    """The protocol of a run: the installed one, or the one in its manifest if none with that id is installed.

    Raises UserError if the installed one has another digest.
    """
    known = entries().get(manifest["protocol"])
    if known is None:
        return own.from_data(manifest["protocol_data"])
    if manifest["digest"] != digest(known):
        raise UserError(
            f"the run was made under another {known.id} (digest {manifest['digest'][:12]}, here {digest(known)[:12]}); "
            f"use the code of commit {manifest['commit']}"
        )
    return known


def id_of(name: str) -> str:
    """The id of a protocol in records: the id made from a user's own file, or the name itself."""
    return find(name).id if own.is_file(name) else name


def refuse_changed_file(name: str, digests: Iterable[str]) -> None:
    """Raises UserError if the user's own file of this name has changed since the runs were made."""
    if not own.is_file(name):
        return
    protocol = find(name)
    expected = digest(protocol)
    for recorded in digests:
        if recorded != expected:
            raise UserError(
                f"the runs of {protocol.id} were made under another {name} (digest {recorded[:12]}, now {expected[:12]}); "
                f"restore the file, or give --protocol {protocol.id}, which reads only the records"
            )


def rows(protocol: Protocol) -> tuple[str, ...]:
    """The names of the agents of a protocol's table."""
    return _ROWS.get(protocol.id, _ARMS)

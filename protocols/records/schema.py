"""The files of a run, field by field: the types with which the code reads and writes them.

`docs` generates the schema reference from this file. Records of `schema` 1 do not name the packages that made them. Fields
marked NotRequired are new in schema 2, or appear only where they have a meaning. Readers accept both schemas. The file has more
than 300 lines, because all files of a run are on one page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin

from dreamer_bench_json import MOST_NUMBER, mismatch, type_hints

SCHEMA = 2
"""The schema of new records."""

Status = Literal["complete", "diverged"]


class Origin(TypedDict):
    """The package of an agent, a suite or a protocol."""

    module: str
    """Import path that the catalog names."""
    package: str | None
    """The distribution that installed it; None if no installed distribution lists it."""
    version: str | None
    """Version of that distribution."""
    commit: str | None
    """Git commit that pip recorded (direct_url.json), or of the checkout with the files."""
    dirty: bool
    """Whether the files are known to differ from that commit."""
    sha256: str
    """Hash over the paths and hashes of all Python files of the module's package (`code_identity.files_hash`)."""


class Origins(TypedDict):
    """The packages that decide a run. A run is resumed only with the same ones."""

    agent: Origin
    suite: Origin
    protocol: Origin


class Source(TypedDict):
    """The identity of this project's own code, the same from a checkout and from a wheel built from it."""

    package: str
    version: str | None
    sha256: str
    """Hash over the paths and hashes of all Python files of the project."""


class Hardware(TypedDict):
    cpu: str
    cores: int
    """CPU cores that the process may use."""
    memory_bytes: int
    gpu: str | None


class Asked(TypedDict):
    """The tasks and seeds in the same call of `run`, for the same agent and protocol."""

    tasks: list[str]
    seeds: list[int]


class DeviceCheck(TypedDict):
    """Result of the check on a GPU before a run: how much the fast ways of an agent differ from the plain one."""

    largest_difference: dict[str, dict[str, float]]
    """"captured" or "together" -> "update" and "decision" -> largest difference, relative to the tensor's norm."""
    seconds: float


class Manifest(TypedDict):
    """manifest.json, the first file of a run: everything that decides it, and what it was made with."""

    schema: int
    """Number of this schema; `validate` applies the rules whose fields the schema has."""
    protocol: str
    """"name@version"."""
    digest: str
    """SHA-256 of everything in the protocol that decides a number."""
    protocol_data: dict[str, Any]
    """The whole protocol, so that the record can be read without an installed protocol."""
    agent: str
    label: str
    """Name in folders and tables: the agent, "+digest" with overrides, "~N" with a cut budget."""
    overrides: dict[str, Any]
    """Options that were set by hand."""
    options: dict[str, Any]
    """Every option of the agent."""
    task: str
    seed: int
    cohort: list[int]
    """Seeds that trained together as one program."""
    action_repeat: int
    """Simulator steps per decision."""
    limit_env_steps: int | None
    """A cut budget; such a run never counts as one of the protocol."""
    asked: NotRequired[Asked]
    created: str
    """Start of the run, ISO 8601 in UTC."""
    commit: str | None
    """Git commit of this project's checkout; None for an installed wheel."""
    dirty: bool
    """Whether files that can be imported differ from the commit, or from what the wheel installed."""
    source: NotRequired[Source]
    origins: NotRequired[Origins]
    packages: dict[str, str]
    """Name -> version of packages that can change a number."""
    python: str
    platform: str
    hardware: Hardware
    gl_renderer: str | None
    """OpenGL renderer of DeepMind Control frames."""
    device: str
    """Device of the agent: "cpu" or "cuda"."""
    device_check: NotRequired[DeviceCheck]
    """Only on a GPU."""
    command: str


class ReadProtocol(TypedDict):
    """The fields of `protocol_data` on which every reader of a manifest relies."""

    env_steps: int
    num_envs: int
    tasks: list[str]
    seeds: list[int]
    score_rule: NotRequired[dict[str, Any]]
    simulators: NotRequired[dict[str, str]]


class ReadHardware(TypedDict):
    """The fields of `hardware` on which every reader of a manifest relies."""

    cpu: str
    gpu: str | None
    cores: NotRequired[int]
    memory_bytes: NotRequired[int]


class ReadManifest(TypedDict):
    """The fields of a manifest of any schema on which every reader relies."""

    protocol: str
    protocol_data: ReadProtocol
    digest: str
    label: str
    task: str
    seed: int
    limit_env_steps: int | None
    agent: str
    overrides: dict[str, Any]
    options: dict[str, Any]
    packages: dict[str, str]
    hardware: ReadHardware
    cohort: list[int]
    action_repeat: int
    created: str
    commit: str | None
    device: str
    schema: NotRequired[int]
    asked: NotRequired[Asked]
    origins: NotRequired[Origins]
    source: NotRequired[Source]


class ReadResult(TypedDict):
    """The fields of a result on which every reader relies."""

    status: str
    score: float | None
    env_steps: NotRequired[int]
    episodes: int
    device_seconds: NotRequired[float | None]
    sha256: NotRequired[dict[str, str]]


class EpisodeLine(TypedDict):
    """A line of episodes.jsonl: one evaluation episode."""

    env_steps: int
    """Training so far, in simulator steps of this seed."""
    agent_steps: int
    """Training so far, in decisions of this seed."""
    gradient_steps: int
    checkpoint: int
    """Number of the evaluation, from 0."""
    episode: int
    """Number of the episode in the evaluation, from 0."""
    task: NotRequired[str]
    """The task of the episode, in a run on joined tasks."""
    env_seed: int
    score: float | None
    """Sum of raw rewards; None if it was not finite, which `validate` refuses."""
    length: int
    """Decisions until the end."""
    seconds: float
    """Wall time of the round in which it was played."""
    final: bool
    """Whether it belongs to the separate final evaluation."""
    previous: NotRequired[str]
    """Hash of the line before without times (`chain.link`); in the first line, of the run (`chain.origin`)."""


class MetricsLine(TypedDict):
    """A line of metrics.jsonl: progress of training at an evaluation. The line also has the agent's own metrics."""

    env_steps: int
    agent_steps: int
    gradient_steps: int
    seconds: float
    """Training and evaluation time of the whole cohort so far."""
    env_steps_per_second: float
    """Speed of one seed since the line before."""
    train_return: float | None
    """Mean return of the training episodes that ended since the line before; None if none ended."""
    diverged: NotRequired[bool]
    """True in the last line of a run whose loss was not finite."""


class SessionLine(TypedDict):
    """A line of sessions.jsonl: one process that worked on the run."""

    created: str
    commit: str | None
    dirty: bool
    source: NotRequired[Source]
    host: str
    pid: int
    device: str
    gpu: str | None
    device_check: NotRequired[DeviceCheck]
    """What this process found before it worked on the run; only on a GPU."""
    command: str


class Checkpoint(TypedDict):
    """The last checkpoint of a run, with the hash of its `contents.json`, which has the size and hash of every file."""

    name: str
    sha256: str


class Result(TypedDict):
    """result.json, the last file of a run."""

    status: Status
    env_steps: int
    agent_steps: int
    gradient_steps: int
    episodes: int
    """Lines of episodes.jsonl."""
    score: float | None
    """Score by the protocol's score rule. For a diverged run: the mean of its first evaluation if the protocol counts it as an
    untrained agent, else None. For joined tasks: the mean of `task_scores`."""
    task_scores: NotRequired[dict[str, float] | None]
    """The score of every task, in a run on joined tasks."""
    device_seconds: float
    """Wall time divided by the number of seeds in the cohort."""
    wall_seconds: float
    sha256: dict[str, str]
    """File name -> hash, for every file of the run that is kept."""
    chain: NotRequired[str]
    """The hash for the next line of episodes.jsonl; it is equal for two runs with equal episodes."""
    checkpoint: NotRequired[Checkpoint | None]
    """None if the run diverged, because its cohort continues to train."""
    seal: NotRequired[str]
    """Hash of this file's other fields (`store.seal`)."""


def problems(kind: type, value: Any) -> Iterator[str]:
    """How a value from a file differs from one of these types, one line each. Unknown fields are violations, too."""
    if not isinstance(value, dict):
        yield f"expected an object, found {value!r:.40}"
        return
    fields = _fields(kind)
    for name, (optional, hint, plain) in fields.items():
        if name not in value:
            if not optional:
                yield f"{name} is missing"
        elif type(value[name]) not in plain and (fault := mismatch(value[name], hint, name, closed=True)) is not None:
            yield fault
    for name in value:
        if name not in fields and not (kind is MetricsLine and mismatch(value[name], float | None) is None):
            yield f"{str(name)!r:.40} is no field here"


def line_problems(kind: type, lines: Iterable[Any]) -> set[str]:
    """`problems` of many lines. Lines with the same names and classes in the same order have the same ones, as far as those
    show in names and classes alone."""
    lines = list(lines)
    if _all_plain(kind, lines):
        return set()
    found: set[str] = set()
    sound: set[tuple[tuple[str, ...], tuple[type, ...]]] = set()
    fields = _fields(kind)
    for line in lines:
        form = (tuple(line), tuple(map(type, line.values()))) if isinstance(line, dict) else ((), ())
        if form in sound:
            continue
        faults = [*problems(kind, line)]
        found.update(faults)
        if not faults and all(name in fields and own in fields[name][2] for name, own in zip(form[0], form[1])):
            sound.add(form)
    return found


def _all_plain(kind: type, lines: list[Any]) -> bool:
    """Whether all lines have the same fields and every field has values of its classes alone, which the loops of the
    interpreter see many times as fast. If not, lines may still be right."""
    if {*map(type, lines)} != {dict}:
        return False
    names, fields = tuple(lines[0]), _fields(kind)
    if any(map(names.__ne__, map(tuple, lines))):
        return False
    if any(not optional and name not in lines[0] for name, (optional, _, _) in fields.items()):
        return False
    for name in names:
        column = [line[name] for line in lines]
        if name in fields:
            fits = fields[name][2].issuperset(map(type, column))
        else:
            fits = kind is MetricsLine and all(
                value is None or (type(value) in (int, float) and -MOST_NUMBER < value < MOST_NUMBER) for value in column
            )
        if not fits:
            return False
    return True


@cache
def _fields(kind: type) -> dict[str, tuple[bool, Any, frozenset[type]]]:
    """Field -> whether it is optional, its type, and the classes whose values always fit."""
    found = {}
    for name, hint in type_hints(kind).items():
        optional = get_origin(hint) is NotRequired
        own = get_args(hint)[0] if optional else hint
        choices = get_args(own) if get_origin(own) in (Union, UnionType) else (own,)
        found[name] = (optional, own, frozenset({int, float, bool, str, NoneType} & {*choices}))
    return found

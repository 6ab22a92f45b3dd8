"""What the files of a run hold, field by field: the types that the code reads and writes them with.

`docs` generates the schema reference from this file. `schema` 1 is what was written before records named the packages that
made them; fields marked NotRequired came with schema 2 (or appear only where they mean something). A reader takes both.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

SCHEMA = 2
"""What is written now."""

Status = Literal["complete", "diverged"]


class Origin(TypedDict):
    """The package that brought an agent, a suite or a protocol."""

    module: str
    """Import path that the catalog names."""
    package: str | None
    """The distribution that installed it; None where no installed one claims it."""
    version: str | None
    """Version of that distribution."""
    commit: str | None
    """Git commit: where pip noted one (direct_url.json), or of the checkout that the files lie in."""
    dirty: bool
    """Whether the files are known to differ from that commit."""
    sha256: str
    """Hash over the paths and hashes of all Python files of the module's package (`code_identity.files_hash`)."""


class Origins(TypedDict):
    """Which packages decided the run. A run is resumed under the same ones only."""

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
    """Processors that the process may use."""
    memory_bytes: int
    gpu: str | None


class Asked(TypedDict):
    """What was asked for together with a run, of the same agent and protocol."""

    tasks: list[str]
    seeds: list[int]


class DeviceCheck(TypedDict):
    """How far the fast ways of an agent on a GPU lay from the plain one, before anything was recorded."""

    largest_difference: dict[str, dict[str, float]]
    """"captured" or "together" -> "update" and "decision" -> largest difference, as a share of the tensor's size."""
    seconds: float


class Manifest(TypedDict):
    """manifest.json, the first file of a run: everything that decides it, and what it was made with."""

    schema: int
    """Number of this schema; rules of `validate` hold from the schema that has what they need."""
    protocol: str
    """"name@version"."""
    digest: str
    """SHA-256 of everything in the protocol that decides a number."""
    protocol_data: dict[str, Any]
    """The whole protocol, so that a record can be read where the protocol is not installed."""
    agent: str
    label: str
    """Folder and table name: the agent, "+digest" of overrides, "~N" of a cut budget."""
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
    """When the run began, ISO 8601 in UTC."""
    commit: str | None
    """Git commit of this project's checkout; None for an installed wheel."""
    dirty: bool
    """Whether files that can be imported differ from the commit, or from what the wheel installed."""
    source: NotRequired[Source]
    origins: NotRequired[Origins]
    packages: dict[str, str]
    """Name -> version of packages that can move a number."""
    python: str
    platform: str
    hardware: Hardware
    gl_renderer: str | None
    """What drew DeepMind Control frames."""
    device: str
    """What the agent computed on: "cpu" or "cuda"."""
    device_check: NotRequired[DeviceCheck]
    """On a GPU."""
    command: str


class ReadProtocol(TypedDict):
    """What every reader of a manifest takes for granted of `protocol_data`."""

    env_steps: int
    tasks: list[str]
    seeds: list[int]
    score_rule: NotRequired[dict[str, Any]]
    simulators: NotRequired[dict[str, str]]


class ReadManifest(TypedDict):
    """What every reader takes for granted of a manifest, whatever schema it was written with."""

    protocol: str
    protocol_data: ReadProtocol
    digest: str
    label: str
    task: str
    seed: int
    limit_env_steps: int | None
    schema: NotRequired[int]
    agent: NotRequired[str]
    overrides: NotRequired[dict[str, Any]]
    options: NotRequired[dict[str, Any]]
    packages: NotRequired[dict[str, str]]
    hardware: NotRequired[dict[str, Any]]
    created: NotRequired[str]


class ReadResult(TypedDict):
    """What every reader takes for granted of a result."""

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
    """Training so far, in decisions."""
    gradient_steps: int
    checkpoint: int
    """Number of the evaluation, from 0."""
    episode: int
    """Number inside the evaluation, from 0."""
    task: NotRequired[str]
    """Which of its tasks the episode played, of a run on joined ones."""
    env_seed: int
    score: float | None
    """Sum of raw rewards; None where it was not finite, which `validate` refuses."""
    length: int
    """Decisions until the end."""
    seconds: float
    """Wall time of the round that it was played in."""
    final: bool
    """Whether it belongs to the separate final evaluation."""
    previous: NotRequired[str]
    """Hash of the line before, times aside (`chain.link`); the first line names the run (`chain.origin`)."""


class MetricsLine(TypedDict):
    """A line of metrics.jsonl: where training stood at an evaluation. Beside these fields, the agent's own numbers."""

    env_steps: int
    agent_steps: int
    gradient_steps: int
    seconds: float
    """Training and evaluation time so far, of the whole cohort."""
    env_steps_per_second: float
    """Of one seed, since the line before."""
    train_return: float | None
    """Mean return of the training episodes that ended since the line before; None where none did."""
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
    command: str


class Checkpoint(TypedDict):
    """The last checkpoint of a run, by what `contents.json` in it says: the size and hash of every file."""

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
    """By the protocol's score rule. Of a diverged run the mean of its first evaluation where the protocol counts it as an
    untrained agent, else None. Of joined tasks: the mean of `task_scores`."""
    task_scores: NotRequired[dict[str, float] | None]
    """The score of every task, of a run on joined ones."""
    device_seconds: float
    """Wall time divided among the seeds of the cohort."""
    wall_seconds: float
    sha256: dict[str, str]
    """File name -> hash, of every file of the run that is kept."""
    chain: NotRequired[str]
    """What the next line of episodes.jsonl would carry: equal for two runs whose episodes are equal."""
    checkpoint: NotRequired[Checkpoint | None]
    """None where the run diverged: its cohort trains on."""
    seal: NotRequired[str]
    """Hash of this file's other fields (`store.seal`)."""


def problems(kind: type, value: Any) -> Iterator[str]:
    """Where a value from a file is not of one of these types, in one line each; fields that are not in it are refused."""
    if not isinstance(value, dict):
        yield f"expected an object, found {value!r:.40}"
        return
    fields = _fields(kind)
    for name, (optional, hint, plain) in fields.items():
        if name not in value:
            if not optional:
                yield f"{name} is missing"
        elif type(value[name]) not in plain and not _fits(value[name], hint):
            yield f"{name} is {value[name]!r:.40}"
    for name in value:
        if name not in fields and not (kind is MetricsLine and _fits(value[name], float | None)):
            yield f"{str(name)!r:.40} is no field here"


@cache
def _fields(kind: type) -> dict[str, tuple[bool, Any, frozenset[type]]]:
    """Field -> whether it may be left out, its type, and the classes whose values fit whatever they are."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        optional = get_origin(hint) is NotRequired
        own = get_args(hint)[0] if optional else hint
        found[name] = (optional, own, _plain(own))
    return found


def _plain(hint: Any) -> frozenset[type]:
    if get_origin(hint) in (Union, UnionType):
        return frozenset().union(*map(_plain, get_args(hint)))
    return {
        int: frozenset({int}),
        float: frozenset({float}),
        bool: frozenset({bool}),
        str: frozenset({str}),
        NoneType: frozenset({NoneType}),
    }.get(hint, frozenset())


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return value in arguments
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, arguments[1]) for each in value.values())
    if is_typeddict(hint):
        return next(problems(hint, value), None) is None
    if hint is float:
        return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300)
    return isinstance(value, hint) and (hint is not int or not isinstance(value, bool))

"""The files of a run, field by field: the types with which the code reads and writes them.

`docs` generates the schema reference from this file. Records of `schema` 1 do not name the packages that made them. Fields
marked NotRequired are new in schema 2, or appear only where they have a meaning. Readers accept both schemas. The file has more
than 300 lines, because all files of a run are on one page.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from dreamer_bench_json import Count, Positive

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
    cores: Count
    """CPU cores that the process may use."""
    memory_bytes: Count
    gpu: str | None


class Asked(TypedDict):
    """The tasks and seeds in the same call of `run`, for the same agent and protocol."""

    tasks: list[str]
    seeds: list[Count]


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
    seed: Count
    cohort: list[Count]
    """Seeds that trained together as one program."""
    action_repeat: Positive
    """Simulator steps per decision."""
    limit_env_steps: Count | None
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


class ReadScoreRule(TypedDict):
    """The score rule of `protocol_data`."""

    kind: Literal["window", "last", "final"]
    window_env_steps: NotRequired[Count]


class ReadProtocol(TypedDict):
    """The fields of `protocol_data` on which every reader of a manifest relies."""

    id: str
    title: str
    purpose: str
    source: str
    tasks: list[str]
    suite_options: NotRequired[dict[str, Any]]
    task_options: NotRequired[dict[str, dict[str, Any]]]
    action_repeat: Positive
    env_steps: Positive
    time_limit_env_steps: Positive
    num_envs: Positive
    seeds: list[Count]
    evaluate_every_env_steps: Positive
    evaluate_episodes: Positive
    final_episodes: NotRequired[Count]
    score_rule: ReadScoreRule
    normalization: str
    margin: NotRequired[float]
    agent_profile: NotRequired[str]
    task_profiles: NotRequired[dict[str, str]]
    joined: NotRequired[dict[str, list[str]]]
    simulators: dict[str, str]
    diverged: NotRequired[str]


class ReadHardware(TypedDict):
    """The fields of `hardware` on which every reader of a manifest relies."""

    cpu: str
    gpu: str | None
    cores: NotRequired[Count]
    memory_bytes: NotRequired[Count]


class ReadManifest(TypedDict):
    """The fields of a manifest of any schema on which every reader relies."""

    protocol: str
    protocol_data: ReadProtocol
    digest: str
    label: str
    task: str
    seed: Count
    limit_env_steps: Count | None
    agent: str
    overrides: dict[str, Any]
    options: dict[str, Any]
    packages: dict[str, str]
    python: str
    platform: str
    hardware: ReadHardware
    gl_renderer: str | None
    cohort: list[Count]
    action_repeat: Positive
    created: str
    commit: str | None
    dirty: bool
    device: str
    schema: NotRequired[Count]
    asked: NotRequired[Asked]
    origins: NotRequired[Origins]
    source: NotRequired[Source]


class ReadEpisodeLine(TypedDict):
    """The fields of a line of episodes.jsonl on which every reader relies."""

    env_steps: Count
    episode: Count
    score: float | None
    final: bool
    checkpoint: Count
    length: NotRequired[Count]
    task: NotRequired[str]


class ReadMetricsLine(TypedDict):
    """The fields of a line of metrics.jsonl on which every reader relies."""

    env_steps: Count
    seconds: NotRequired[float | None]
    env_steps_per_second: NotRequired[float | None]


class ReadResult(TypedDict):
    """The fields of a result on which every reader relies."""

    status: Status
    score: float | None
    env_steps: Count
    episodes: Count
    device_seconds: NotRequired[float | None]
    sha256: NotRequired[dict[str, str]]


class EpisodeLine(TypedDict):
    """A line of episodes.jsonl: one evaluation episode."""

    env_steps: Count
    """Training so far, in simulator steps of this seed."""
    agent_steps: Count
    """Training so far, in decisions of this seed."""
    gradient_steps: Count
    checkpoint: Count
    """Number of the evaluation, from 0."""
    episode: Count
    """Number of the episode in the evaluation, from 0."""
    task: NotRequired[str]
    """The task of the episode, in a run on joined tasks."""
    env_seed: Count
    score: float | None
    """Sum of raw rewards; None if it was not finite, which `validate` refuses."""
    length: Count
    """Decisions until the end."""
    seconds: float
    """Wall time of the round in which it was played."""
    final: bool
    """Whether it belongs to the separate final evaluation."""
    previous: NotRequired[str]
    """Hash of the line before without times (`chain.link`); in the first line, of the run (`chain.origin`)."""


class MetricsLine(TypedDict):
    """A line of metrics.jsonl: progress of training at an evaluation. The line also has the agent's own metrics."""

    env_steps: Count
    agent_steps: Count
    gradient_steps: Count
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
    env_steps: Count
    agent_steps: Count
    gradient_steps: Count
    episodes: Count
    """Lines of episodes.jsonl."""
    score: float | None
    """Score by the protocol's score rule. For a diverged run: the mean of its first evaluation if the protocol counts it as an
    untrained agent, else None. For joined tasks: the mean of `task_scores`. None if a score that counts was not finite."""
    task_scores: NotRequired[dict[str, float | None] | None]
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

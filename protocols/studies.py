"""The studies of the papers' figures and tables: which agents, with which options, on which tasks.

A study adds no rules. Each of its runs is a run of a published protocol, filed under the agent's name and the digest of its
overrides, so a run that two studies share is trained once. `choices` lists what the paper leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dreamer_bench_base import UserError, unknown
from protocols.atari import ATARI_55
from protocols.dmc import DMC_20
from protocols.spec import Scalar, override_digest


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a figure: an agent with options, under a protocol.

    name       the line's name in the figure
    overrides  fields of the agent's options; {} is the protocol's own agent
    """

    name: str
    agent: str
    protocol: str
    overrides: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The label of the runs of this row."""
        return self.agent + ("+" + override_digest(self.overrides) if self.overrides else "")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One figure as data: every row on every task, with the seeds of the protocol of the row."""

    name: str
    title: str
    source: str
    choices: tuple[str, ...]
    tasks: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def protocol(self) -> str:
        """The protocol of the rows, or all their protocols."""
        return ", ".join(dict.fromkeys(row.protocol for row in self.rows))


def under(rows: Sequence[Row], protocol: str) -> tuple[Row, ...]:
    """The rows of a study on another protocol. Raises UserError if the study itself compares protocols."""
    if len({row.protocol for row in rows}) > 1:
        raise UserError(
            f"the study compares protocols ({', '.join(sorted({row.protocol for row in rows}))}); leave --protocol out"
        )
    return tuple(replace(row, protocol=protocol) for row in rows)


_HORIZON_AGENTS = (
    ("Dreamer", "dreamer", "horizon"),
    ("No value", "no_value", "horizon"),
    ("PlaNet", "planet", "planner_horizon"),
)


def _horizons(lengths: Sequence[int], protocol: str = "dmc-5m@1", own: Mapping[str, int] | None = None) -> tuple[Row, ...]:
    """The three agents of Figure 4 at every horizon; the planner looks as far ahead as the others imagine.

    own  agent -> the horizon of its profile, which needs no override
    """
    return tuple(
        Row(
            name=f"{title}, horizon {length}",
            agent=agent,
            protocol=protocol,
            overrides={} if length == (own or {}).get(agent) else {option: length},
        )
        for title, agent, option in _HORIZON_AGENTS
        for length in lengths
    )


_CURVES = (
    Row(name="Dreamer", agent="dreamer", protocol="dmc-5m@1", overrides={"horizon": 20}),
    Row(name="No value", agent="no_value", protocol="dmc-5m@1", overrides={"horizon": 20}),
    Row(name="PlaNet", agent="planet", protocol="dmc-5m@1", overrides={"planner_horizon": 20}),
)

_REPRESENTATIONS = (
    Row(name="Dreamer + reconstruction", agent="dreamer", protocol="dmc-5m@1"),
    Row(name="Dreamer + contrastive", agent="dreamer", protocol="dmc-5m@1", overrides={"representation": "contrastive"}),
    Row(name="Dreamer + reward only", agent="dreamer", protocol="dmc-5m@1", overrides={"representation": "reward_only"}),
)

_LONG_HORIZON = ("dmc_acrobot_swingup", "dmc_hopper_hop", "dmc_walker_walk", "dmc_quadruped_walk")

FIGURE_4 = Study(
    name="figure-4",
    title="return against the imagination horizon",
    source="Hafner et al. 2020, Figure 4: Dreamer, the actor without a value and PlaNet's online planning; reconstruction, "
    "action repeat 2; ticks at 10, 20, 30 and 40; the first panel is Cartpole Swingup",
    choices=(
        "the horizons 10, 20, 30 and 40 are the ticks of the axis; we could not verify the sweep itself",
        "the panels after the first: Cheetah Run, Quadruped Walk, Walker Walk",
        "PlaNet's planner has the horizon of the others' imagination",
        "the budget and score of dmc-5m@1",
    ),
    tasks=("dmc_cartpole_swingup", "dmc_cheetah_run", "dmc_quadruped_walk", "dmc_walker_walk"),
    rows=_horizons((10, 20, 30, 40)),
)

FIGURE_7 = Study(
    name="figure-7",
    title="learning curves on tasks that need long horizons",
    source="Hafner et al. 2020, Figure 7: Dreamer, no value, PlaNet; its caption names acrobot and hopper "
    "as tasks with long horizons, walker as reactive",
    choices=(
        "the panels after Acrobot Swingup: the hopper's hop, the walker's walk and a quadruped",
        "horizon 20 for all three, as Appendix D says about its curves; we could not verify this for PlaNet's planner",
        "the figure shows 2e6 env_steps: the first part of these runs",
    ),
    tasks=_LONG_HORIZON,
    rows=_CURVES,
)

FIGURE_10 = Study(
    name="figure-10",
    title="learning curves on all 20 tasks",
    source="Hafner et al. 2020, Figure 10 (Appendix D): Dreamer, no value and PlaNet with a horizon of 20",
    choices=("PlaNet's planner has horizon 20, too; we could not verify that for the paper",),
    tasks=DMC_20,
    rows=_CURVES,
)

FIGURE_8 = Study(
    name="figure-8",
    title="what the representation learns from: pixels, contrast or reward",
    source="Hafner et al. 2020, Figure 8: pixel reconstruction, contrastive estimation, reward prediction",
    choices=(
        "the panels: those of our figure-7",
        "the contrastive objective is that of the original code in window mode; the command for the figure is not published",
    ),
    tasks=_LONG_HORIZON,
    rows=_REPRESENTATIONS,
)

FIGURE_11 = Study(
    name="figure-11",
    title="representations on all 20 tasks",
    source="Hafner et al. 2020, Figure 11 (Appendix E): the three objectives, 5 seeds",
    choices=(
        "the contrastive objective is that of the original code in window mode; the command for the figure is not published",
    ),
    tasks=DMC_20,
    rows=_REPRESENTATIONS,
)

FIGURE_12 = Study(
    name="figure-12",
    title="Dreamer under other action repeats",
    source="Hafner et al. 2020, Figure 12 (Appendix F): only the action repeat differs",
    choices=(
        "the repeats 1, 2 and 4; we could not verify the values in the figure",
        "one protocol per repeat, because another repeat is another problem, and its score must never enter the same mean",
        "repeat 2 is dmc-5m@1 itself, whose runs are used here, too",
    ),
    tasks=DMC_20,
    rows=(
        Row(name="action repeat 1", agent="dreamer", protocol="dmc-repeat-1@1"),
        Row(name="action repeat 2", agent="dreamer", protocol="dmc-5m@1"),
        Row(name="action repeat 4", agent="dreamer", protocol="dmc-repeat-4@1"),
    ),
)

DYNAMICS = Study(
    name="dynamics",
    title="which parts of the recurrent state-space model matter",
    source="Hafner et al. 2019 (PlaNet), Figure 4: RSSM, deterministic only, stochastic only; here with Dreamer's behaviour",
    choices=(
        "Dreamer instead of PlaNet acts on the model, at a tenth of its cost",
        "the panels: PlaNet's six tasks at the action repeat 2 and the budget of dmc-1m@1",
    ),
    tasks=(
        "dmc_cartpole_swingup",
        "dmc_cheetah_run",
        "dmc_cup_catch",
        "dmc_finger_spin",
        "dmc_reacher_easy",
        "dmc_walker_walk",
    ),
    rows=(
        Row(name="RSSM", agent="dreamer", protocol="dmc-1m@1"),
        Row(name="deterministic", agent="dreamer", protocol="dmc-1m@1", overrides={"dynamics": "deterministic"}),
        Row(name="stochastic", agent="dreamer", protocol="dmc-1m@1", overrides={"dynamics": "stochastic"}),
    ),
)

_SCHEDULES = {"ramp_env_steps": 10_000_000, "actor_entropy": 3e-4}
"""DreamerV2's first release: the entropy falls from 3e-3, Reinforce's share rises from 0.9, over the first 1e7 frames."""


def _ablation(name: str, **overrides: Scalar) -> Row:
    return Row(name=name, agent="dreamer_v2", protocol="atari-200m@2", overrides={**_SCHEDULES, **overrides})


DREAMER_V2 = Study(
    name="dreamer-v2",
    title="which parts of DreamerV2 matter",
    source="Hafner et al. 2021, Table 2 and Figure 5: each row leaves one part out of the agent with mixed gradients and "
    "schedules; Table 1: that agent, and the one without both",
    choices=(
        "every ablation has the mixed gradients and schedules of the base row, as in the note of the table",
        "no layer norm: the Keras cell, the only other one in the paper's code; the paper does not name it",
        "Gaussian latents: width 32 with the standard deviation of the code's Gaussian; the paper gives no width",
        "no KL balancing: the ordinary KL with all of its gradient to both sides; the formula with 0.5 would give half",
        "no image gradients: the decoder learns from stopped features; the reward and discount heads train the model",
        "the protocol's five seeds; the paper's ablations have two",
    ),
    tasks=ATARI_55,
    rows=(
        Row(name="DreamerV2", agent="dreamer_v2", protocol="atari-200m@2"),
        _ablation("with schedules (base)"),
        _ablation("no layer norm", cell="keras"),
        _ablation("no reward gradients", reward_gradients=False),
        _ablation("Gaussian latents", dynamics="rssm", latent_std="double_sigmoid"),
        _ablation("no KL balancing", kl_balance=0.0),
        _ablation("straight-through only", reinforce=0.0, reinforce_start=0.0),
        _ablation("Reinforce only", reinforce_start=1.0),
        _ablation("no image gradients", representation="reward_only"),
    ),
)

_SMALL_HORIZON = {"dreamer": 10, "no_value": 15, "planet": 15}
"""Horizons of the small profiles."""

SMALL_HORIZONS = Study(
    name="small-horizons",
    title="return against the imagination horizon, in minutes on one CPU core",
    source="the question of Hafner et al. 2020, Figure 4, at the size of small@1",
    choices=(
        "the horizons 5, 10 and 15; the horizon of an agent's small profile needs no runs besides those of small@1",
        "the planner has the horizon of the others' imagination",
        "the two tasks of small@1 whose reward is beyond a short horizon",
    ),
    tasks=("gym:Pendulum-v1", "gym:Acrobot-v1"),
    rows=_horizons((5, 10, 15), "small@1", own=_SMALL_HORIZON),
)

LATENT_NOISE = Study(
    name="latent-noise",
    title="latent noise: separate for each sequence, or shared by a whole batch as in the original code",
    source="the code of Hafner et al. 2020 (danijar/dreamer 56d4d44), whose sampler broadcasts; the text and "
    "google-research/dreamer draw separately",
    choices=("the tasks and the budget of small@1",),
    tasks=("gym:Pendulum-v1", "gym:Acrobot-v1"),
    rows=(
        Row(name="drawn apart", agent="dreamer", protocol="small@1"),
        Row(name="shared by the batch", agent="dreamer", protocol="small@1", overrides={"shared_latent_noise": True}),
    ),
)

ALIASES = {"dmc-repeat@1": "figure-12"}
"""The study of action repeats also has a protocol's name, because each of its rows is a protocol."""

BUILT_IN = (FIGURE_4, FIGURE_7, FIGURE_8, FIGURE_10, FIGURE_11, FIGURE_12, DYNAMICS, DREAMER_V2, SMALL_HORIZONS, LATENT_NOISE)


def entries() -> dict[str, Study]:
    """Every study by name."""
    return {study.name: study for study in BUILT_IN}


def is_study(name: str) -> bool:
    """Whether `find` knows the name. `run` and `plan` ask this before they look for a protocol."""
    return name in ALIASES or name in entries()


def find(name: str) -> Study:
    """The study with this name. Raises ValueError with the nearest name if there is none."""
    known = entries()
    if is_study(name):
        return known[ALIASES.get(name, name)]
    raise unknown("study", name, known)

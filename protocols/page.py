"""Writes the page about all protocols: `python -m protocols.page > docs/protocols.md`."""

from __future__ import annotations

from collections.abc import Mapping

from protocols import studies
from protocols.catalog import PUBLISHED, rows
from protocols.spec import Protocol, Scalar, digest

HEAD = """# Protocols

This page is generated: `python -m protocols.page > docs/protocols.md` writes it from the values in `protocols/`, and a test
compares the two. Do not edit it.

A protocol is frozen data with a version. Its digest is the SHA-256 of everything that decides a number: all fields except
title, purpose, source and choices, as JSON with sorted keys. Every record carries the digest, and
`tests/protocols/digests.json` pins it. A change of meaning needs a new version; a speed-up does not. To publish a version, add
the value, then run `python -m protocols.digests > tests/protocols/digests.json`.

**Counts.** An env step is one step of the simulator (on Atari one frame). env_steps = decisions x action repeat; a reset
counts 0. **Cadence.** The first evaluation is at 0 env_steps and the last at the budget. Evaluation plays in its own
environments with its own seeds, without exploration, and never changes training. **Final evaluations** play their episodes
in `final_environments` environments at a time (below: "10 at a time"); without that field, in as many as a regular evaluation.
The environment seed of an episode follows from its index, so one environment after the other meets the same episodes; the
acting noise is drawn for all environments together, so an agent that draws its actions may play them differently.
Published protocols without the field keep their digests, and a new version may set it. **Simulators.** New releases change
scores. A record made under another version than the protocol's is kept and marked (`dreamer-bench validate`), and
`protocols.records.drift.simulator_drift` tells every reader of records, so that no reader mixes versions silently.
**Other packages** add protocols through the entry point group `dreamer_bench.protocols`, which names a `Protocol` value.
"""

SCORE_RULES = {
    "window": "the mean return of the evaluation episodes in the last {window} env_steps",
    "last": "the mean return of the last evaluation's episodes",
    "final": "the mean return of the {final} final episodes",
}


def page() -> str:
    """The whole page, in Markdown."""
    overview = ["| id | what it is | tasks | env_steps | seeds |", "|---|---|---|---|---|"]
    overview += [
        f"| [`{p.id}`](#{_anchor(p)}) | {p.title} | {len(p.tasks)} | {p.env_steps:,} | {len(p.seeds)} |" for p in PUBLISHED
    ]
    return "\n".join([HEAD, *overview, "", *map(_section, PUBLISHED), STUDIES_HEAD, *map(_study, studies.BUILT_IN)])


STUDIES_HEAD = """## Studies: the figures of the papers

A study adds no rules. Each of its runs is a run of one of the protocols above, filed under the agent's name and the digest of
the options that were set, so a run that two studies share is trained once. `dreamer-bench plan figure-4` says what a study
costs, and `dreamer-bench run figure-4` runs it. `dmc-repeat@1` is another name of `figure-12`, the study of action repeats. Its
rows are three protocols, because a task under another action repeat is another problem and must never enter the same mean.
"""


def score_rule_in_words(protocol: Protocol) -> str:
    """Which episodes make the score of a run."""
    rule = protocol.score_rule
    return SCORE_RULES[rule.kind].format(window=f"{rule.window_env_steps:,}", final=protocol.final_episodes)


def _section(protocol: Protocol) -> str:
    ranges = f"{protocol.score_range[0]:g} to {protocol.score_range[1]:g}" if protocol.score_range else "unbounded"
    environments = "one environment" if protocol.num_envs == 1 else f"{protocol.num_envs} environments"
    facts = {
        "source": protocol.source,
        "tasks": _tasks(protocol),
        **({"joined": _joined(protocol)} if protocol.joined else {}),
        "look and options": _suite_options(protocol),
        "action repeat": _repeats(protocol),
        "budget": f"{protocol.env_steps:,} env_steps a run in {environments}; an episode is cut after {_time_limits(protocol)}",
        "seeds": ", ".join(map(str, protocol.seeds)),
        "cadence": f"every {protocol.evaluate_every_env_steps:,} env_steps, {_episodes(protocol.evaluate_episodes)}"
        + (f"; {_episodes(protocol.final_episodes)} at the end" if protocol.final_episodes else "")
        + (f", {protocol.final_environments} at a time" if protocol.final_environments else ""),
        "score": f"{score_rule_in_words(protocol)}; returns {ranges}",
        "normalised": {
            "dmc": "score / 1,000",
            "atari-human": "by the random and the human score",
            "atari-gamer": "by the random and the human score of DreamerV2's table",
            "small-control": "by the random score and the optimum",
            "none": "no",
        }[protocol.normalization]
        + f"; `verify` margin {protocol.margin:g}",
        "agents": f"{', '.join(rows(protocol))} where installed ({_profiles(protocol)})",
        "simulators": _options(protocol.simulators),
        "digest": f"`{digest(protocol)}`",
    }
    table = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())]
    return "\n".join(
        [
            f"## {protocol.id}",
            "",
            protocol.purpose,
            "",
            *table,
            "",
            "Our choices:",
            *(f"- {line}" for line in protocol.choices),
            "",
        ]
    )


def _study(study: studies.Study) -> str:
    rows = [
        f"| {row.name} | `{row.agent}` | {_options(row.overrides) or '-'} | {row.protocol} | `{row.label}` |"
        for row in study.rows
    ]
    return "\n".join(
        [
            f"### {study.name}: {study.title}",
            "",
            f"{study.source}. {len(study.tasks)} tasks: {', '.join(f'`{task}`' for task in study.tasks)}.",
            "",
            "| row | agent | options set | protocol | filed under |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Our choices:",
            *(f"- {line}" for line in study.choices),
            "",
        ]
    )


def _tasks(protocol: Protocol) -> str:
    return f"{len(protocol.tasks)}: " + ", ".join(f"`{task}`" for task in protocol.tasks)


def _joined(protocol: Protocol) -> str:
    return "; ".join(f"`{task}` plays {', '.join(f'`{part}`' for part in parts)}" for task, parts in protocol.joined.items())


def _repeats(protocol: Protocol) -> str:
    repeats = {task: protocol.action_repeat_of(task) for task in protocol.tasks}
    if len(set(repeats.values())) == 1:
        return str(next(iter(repeats.values())))
    return ", ".join(f"`{task}` {repeat}" for task, repeat in repeats.items())


def _suite_options(protocol: Protocol) -> str:
    """The shared options, and those of single tasks; action repeats have a row of their own."""
    lines = [_options(protocol.suite_options) or "the suite's own"]
    for task, options in protocol.task_options.items():
        own = {key: value for key, value in options.items() if key not in ("action_repeat", "time_limit_env_steps")}
        lines += [f"on `{task}` {_options(own)}"] if own else []
    return "; ".join(lines)


def _time_limits(protocol: Protocol) -> str:
    limits = {task: protocol.options_of(task)["time_limit_env_steps"] for task in protocol.tasks}
    usual = protocol.time_limit_env_steps
    others = [f"`{task}` {limit:,}" for task, limit in limits.items() if limit not in (usual, None)]
    return f"{usual:,}" + (f" ({', '.join(others)})" if others else "")


def _profiles(protocol: Protocol) -> str:
    groups = protocol.by_profile()
    if len(groups) == 1:
        return f"profile `{next(iter(groups))}`"
    return "; ".join(f"profile `{profile}` on {', '.join(f'`{task}`' for task in tasks)}" for profile, tasks in groups.items())


def _options(options: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items())


def _episodes(count: int) -> str:
    return "1 episode" if count == 1 else f"{count} episodes"


def _anchor(protocol: Protocol) -> str:
    return protocol.id.replace("@", "")


if __name__ == "__main__":
    print(page(), end="")

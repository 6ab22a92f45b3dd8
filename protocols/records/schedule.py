"""Whether the gradient steps of a record follow the schedule that its options name.

Agents that learn at intervals have four options (agents/api.py): `prefill_env_steps`, `update_every_env_steps`, `updates` and
`pretrain_updates`. After its first update, such an agent makes `updates` every `update_every_env_steps`. The first update also
waits for a completed episode, so we check only a bound for it. The updates of other agents are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from dreamer_bench_json import Count, mismatch
from protocols.records.schema import EpisodeLine, Manifest, Result
from protocols.spec import Protocol

FIELDS = ("prefill_env_steps", "update_every_env_steps", "updates", "pretrain_updates")
BATCH_LENGTH = "batch_length"


def faults(
    manifest: Manifest, protocol: Protocol, lines: Sequence[EpisodeLine], result: Result | None
) -> Iterator[tuple[str, str]]:
    """(rule, what) for each interval between two evaluations with more or fewer updates than were due."""
    options: Mapping[str, Any] = manifest["options"]
    if not all(type(options.get(name)) is int for name in FIELDS):
        return
    for name in (*FIELDS, BATCH_LENGTH):
        if (fault := mismatch(options.get(name, 0), Count, f"option {name}")) is not None:
            yield "schedule", fault
            return
    prefill, every, updates, pretrain = (int(options[name]) for name in FIELDS)
    if every < 1:
        return
    marks = dict.fromkeys([(0, 0), *((line["env_steps"], line["gradient_steps"]) for line in lines)])
    if result is not None:
        marks[result["env_steps"], result["gradient_steps"]] = None
    for (before, made_before), (after, made_after) in pairwise(marks):
        due, slack = updates * (after - before) / every, 2 * updates + (pretrain if made_before == 0 else 0)
        made = made_after - made_before
        begun = made_before > 0 or before >= latest_start(prefill, options, protocol, manifest["action_repeat"])
        if made > due + slack or (begun and made < due - slack):
            yield (
                "schedule",
                f"{made:,} updates between {before:,} and {after:,} env_steps, where {updates} every {every:,} are due",
            )
            return


def latest_start(prefill: int, options: Mapping[str, Any], protocol: Protocol, action_repeat: int) -> int:
    """Latest env_steps of the first update: the prefill, a whole episode in every environment, and the rows of one batch in
    each."""
    rows = int(options.get(BATCH_LENGTH, 0)) * action_repeat
    return prefill + protocol.num_envs * (protocol.time_limit_env_steps + rows + action_repeat)

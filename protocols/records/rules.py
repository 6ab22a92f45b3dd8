"""The rules of the submission checker by name, and the form of a violation."""

from __future__ import annotations

from dataclasses import dataclass

RULES = {
    "record": "every file of a record can be read and has the required fields",
    "protocol": "protocol, task and seed are published, and the recorded protocol is the published one; "
    "a user's own protocol is the one in the manifest",
    "place": "the folder of a run agrees with its manifest",
    "budget": "the run had the whole budget",
    "complete": "the run has ended, and there is a run for every seed of every task of the protocol; "
    "of an agent with options set by hand, outside a leaderboard, for those that were asked for",
    "cadence": "evaluations are where the protocol puts them, with its number of episodes and without gaps",
    "counts": "env_steps are agent_steps times the action repeat, and counts never decrease",
    "episode_seed": "every evaluation episode was played with its own seed",
    "score": "returns are numbers in the range of the task, episodes are within the limit, and the score follows from them",
    "distinct": "no two seeds have the same episodes",
    "simulators": "the simulators have the versions of the protocol",
    "commit": "every process that worked on the run had the unchanged code of a commit, or of a wheel built from one",
    "origin": "the packages of agent, suite and protocol are recorded with version and hash of their files",
    "options": "the agent's options are those of the protocol's profile, except for the overrides in its label",
    "schedule": "gradient steps follow the agent's schedule",
    "times": "dates are possible, times are positive and increase",
    "diverged": "a run whose loss was not finite has all evaluations up to that point, and the line that says so",
    "hash": "no file has changed since the run ended, and every evaluation line follows from the one before",
}
"""Rule -> what it demands. The names are stable and machine-readable."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One reason why a runs folder is not a valid submission.

    rule  a key of RULES
    run   the run's folder relative to the runs folder, or protocol/label for a violation of the whole table
    what  what was expected and what was found, in one line
    """

    rule: str
    run: str
    what: str


Broken = tuple[str, str]
"""(rule, what)"""

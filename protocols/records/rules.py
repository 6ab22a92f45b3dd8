"""The rules of the submission checker by name, and what a broken one looks like."""

from __future__ import annotations

from dataclasses import dataclass

RULES = {
    "record": "every file of a record can be read and has the fields it should have",
    "protocol": "the protocol, the task and the seed are published, and the recorded protocol is the published one; "
    "a user's own protocol is what its manifest keeps",
    "place": "the folder a run lies in says the same as its manifest",
    "budget": "the run was given the whole budget",
    "complete": "the run has ended, and every seed of every task of the protocol is there",
    "cadence": "evaluations stand where the protocol puts them, with as many episodes, without holes",
    "counts": "env_steps are agent_steps times the action repeat, and counts never go back",
    "episode_seed": "every evaluation episode was played with the seed that is its own",
    "score": "returns are numbers in the range of the task, episodes no longer than the limit, the score follows from them",
    "distinct": "no two seeds hold the same episodes",
    "simulators": "the simulators have the versions of the protocol",
    "commit": "the code was a commit without changes, or a wheel of one as it came, in every process that worked on the run",
    "origin": "the packages that brought agent, suite and protocol are named with version and hash of their files",
    "options": "the agent's options are those of the protocol's profile, but for the overrides that its label names",
    "schedule": "gradient steps come when the agent's schedule says so",
    "times": "dates can be, times are positive and go forward",
    "diverged": "a run whose loss was not finite has everything that came before, and the line that says so",
    "hash": "every file of the run is what it was when the run ended, and every evaluation line follows from the one before",
}
"""What each rule demands; the names are stable and machine-readable."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing that keeps a runs folder from being a submission.

    rule  a key of RULES
    run   the run's folder relative to the runs folder, or protocol/label where the table as a whole is meant
    what  what was expected and what was found, in one line
    """

    rule: str
    run: str
    what: str


Finding = tuple[str, str]
"""(rule, what)"""

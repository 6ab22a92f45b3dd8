"""Task name -> environment: the built-in suites, and those of other packages.

Only this file turns a task's name into code. It imports the module of a suite when one of its tasks is needed, and the
simulator only when an environment is made. Another package adds a suite with an entry point of the group
`dreamer_bench.suites`: the name of the entry point is the suite's name, its value a module that fulfils `SuiteModule`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol, cast

import gymnasium

from dreamer_bench_base import UserError, imported, package_of, registered, suggestion, unknown

ENTRY_POINT_GROUP = "dreamer_bench.suites"


class SuiteModule(Protocol):
    """What the module of a suite provides. Importing it must not import the simulator.

    TASKS    names of its tasks; each starts with the suite's name and "_" (or ":" if the suite takes any name)
    ALIASES  other spellings -> names of TASKS
    OPEN     True if any name after "suite:" is a task; optional
    gl_renderer  () -> the OpenGL renderer of its frames; raises UserError without one; optional
    Options  frozen dataclass of plain values, with at least `action_repeat` and `time_limit_env_steps`
    """

    TASKS: Sequence[str]
    ALIASES: Mapping[str, str]
    Options: type

    def unavailable(self, task: str) -> str | None:
        """Why the task cannot be made on this machine and what to install, in one line; None if it can."""

    def make(self, task: str, options: Any) -> gymnasium.Env:
        """The environment of one of TASKS (in an OPEN suite, also of any name after "suite:")."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One suite by name. `module` is the import path of a `SuiteModule`."""

    name: str
    module: str
    origin: str = "built in"

    def load(self) -> SuiteModule:
        return cast(SuiteModule, imported(self.module, self.origin))


BUILT_IN = (
    Suite(name="dmc", module="suites.dmc"),
    Suite(name="atari", module="suites.atari"),
    Suite(name="dmlab", module="suites.dmlab"),
    Suite(name="gym", module="suites.gym"),
    Suite(name="joined", module="suites.joined"),
    Suite(name="probe", module="suites.probes"),
)


def suites() -> dict[str, Suite]:
    """Every suite by name, built-ins first. Imports none of them."""

    def read(point: metadata.EntryPoint) -> tuple[str, Suite]:
        return point.name, Suite(name=point.name, module=point.value, origin=package_of(point))

    return registered("suite name", ENTRY_POINT_GROUP, {suite.name: suite for suite in BUILT_IN}, read)


def names(suite: str | None = None) -> list[str]:
    """The names of all tasks of one suite, or of all suites. A suite that takes any name lists examples."""
    known = suites()
    if suite is not None and suite not in known:
        raise unknown("suite", suite, known)
    chosen = known.values() if suite is None else [known[suite]]
    return [task for entry in chosen for task in entry.load().TASKS]


def resolve(name: str) -> str:
    """The name under which records of a task are filed, also from an alias ("walker_walk", "dmc_ball_in_cup_catch").

    Raises UserError, in one line, for an unknown name.
    """
    known = suites()
    suite = _suite_of(name, known)
    if suite is not None:
        module = suite.load()
        if name in module.TASKS or (name.startswith(f"{suite.name}:") and getattr(module, "OPEN", False)):
            return name
        if name in module.ALIASES:
            return module.ALIASES[name]
    for built_in in BUILT_IN:
        aliases = built_in.load().ALIASES
        if name in aliases:
            return aliases[name]
    pool = list(suite.load().TASKS) if suite is not None else names()
    hint = suggestion(name, pool, cutoff=0.5) or f"; the suites are {', '.join(known)}."
    raise UserError(f"task {name!r} is not known{hint} `dreamer-bench list tasks` shows all")


def unavailable(name: str) -> str | None:
    """Why a task cannot be made here (its simulator is not installed) and what to do, in one line; None if it can."""
    task = resolve(name)
    return _module_of(task).unavailable(task)


def suite_of(name: str) -> Suite:
    """The suite of a task."""
    task = resolve(name)
    suite = _suite_of(task, suites())
    assert suite is not None, task
    return suite


def options_type(name: str) -> type:
    """The frozen dataclass of options that `make` takes for this task."""
    return _module_of(resolve(name)).Options


def make(name: str, **options: Any) -> gymnasium.Env:
    """The environment of a task, a `gymnasium.Env` that passes `suites.conformance.check_suite`.

    options  fields of the suite's Options, among them action_repeat (simulator steps per decision) and
             time_limit_env_steps (episode limit in simulator steps, a truncation; None: the suite's own).
    Raises ValueError, in one line, for an unknown task or option and if the simulator is missing.
    """
    task = resolve(name)
    module = _module_of(task)
    fields = [field.name for field in dataclasses.fields(module.Options)]
    for option in options:
        if option not in fields:
            hint = suggestion(option, fields) or ";"
            raise UserError(f"task {task!r} has no option {option!r}{hint} It has {', '.join(fields)}")
    chosen = module.Options(**options)
    reason = getattr(chosen, "unavailable", module.unavailable)(task)
    if reason is not None:
        raise UserError(f"task {task!r} cannot be made: {reason}")
    return module.make(task, chosen)


def _suite_of(name: str, known: Mapping[str, Suite]) -> Suite | None:
    """The suite whose name begins this task name; the longest one if there are several."""
    fitting = [suite for suite in known.values() if name.startswith((f"{suite.name}_", f"{suite.name}:"))]
    return max(fitting, key=lambda suite: len(suite.name), default=None)


def _module_of(task: str) -> SuiteModule:
    suite = _suite_of(task, suites())
    if suite is None:
        raise UserError(f"task {task!r} does not start with the name of its suite; suites: {', '.join(suites())}")
    return suite.load()


def gl_renderer() -> str | None:
    """The OpenGL renderer of this machine, for records, from the first suite that knows it; None without one."""
    for suite in BUILT_IN:
        ask = getattr(suite.load(), "gl_renderer", None)
        if ask is not None:
            try:
                return str(ask())
            except UserError:
                return None
    return None

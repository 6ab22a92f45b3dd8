"""The commands `list` (what can be run) and `options` (what can be set)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tyro

WIDE_COLUMNS = 120
"""`list protocols` shows digests on a terminal with at least this many columns."""


@dataclass(frozen=True, kw_only=True)
class ListCommand:
    """List agents, tasks, protocols and studies."""

    what: tyro.conf.Positional[Literal["agents", "tasks", "protocols", "studies", "ablations", "all"]] = "all"
    """What to list; `ablations` is the old name of `studies`."""

    def run(self) -> int:
        from rich.table import Table

        from protocols.running.terminal import console_for_tables
        from protocols.spec import digest

        console = console_for_tables()
        tables: list[Table] = []

        def table(title: str, *columns: str) -> Table:
            tables.append(Table(*columns, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False))
            return tables[-1]

        if self.what in ("agents", "all"):
            from agents import catalog as agent_catalog

            rows = table("agents", "name", "what it is", "from")
            for agent in agent_catalog.entries().values():
                rows.add_row(agent.name, agent.described(), agent.origin)
        if self.what in ("protocols", "all"):
            from protocols import catalog as protocol_catalog

            wide = console.width >= WIDE_COLUMNS  # a narrow terminal would break digests and numbers over several lines
            rows = table("protocols", "id", "tasks", "env_steps", "seeds", "what it is", *(["digest"] if wide else []))
            for column in rows.columns[:4]:
                column.no_wrap = True
            for protocol in protocol_catalog.entries().values():
                rows.add_row(
                    protocol.id,
                    str(len(protocol.tasks)),
                    f"{protocol.env_steps:,}",
                    str(len(protocol.seeds)),
                    protocol.title,
                    *([digest(protocol)[:12]] if wide else []),
                )
        if self.what in ("studies", "ablations", "all"):
            from protocols import studies

            rows = table("studies", "name", "what it is", "protocol", "rows x tasks")
            for study in studies.entries().values():
                rows.add_row(study.name, study.title, study.protocol, str(len(study.rows) * len(study.tasks)))
        if self.what in ("tasks", "all"):
            from rich.markup import escape

            from suites import catalog as suite_catalog

            rows = table("tasks", "name", "available")
            for name in suite_catalog.names():
                rows.add_row(name, escape(suite_catalog.unavailable(name) or "yes"))  # "[box2d]" is no markup
        for index, each in enumerate(tables):
            if index:
                console.print()
            console.print(each)
        return 0


@dataclass(frozen=True, kw_only=True)
class OptionsCommand:
    """List the options of an agent or a suite, with value, range and meaning. Set those of agents with `run --set`."""

    name: tyro.conf.Positional[str]
    """Name of an agent (see `list agents`) or of a suite, for example dmc."""
    profile: str = "paper"
    """Profile of the agent whose values to show: paper, quick, discrete, ..."""

    def run(self) -> int:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        from agents import catalog as agents
        from dreamer_bench_options import describe
        from suites import catalog as suites

        known = suites.suites()
        options = known[self.name].load().Options() if self.name in known else agents.find(self.name).options(self.profile)
        rows = Table("option", "value", "must be", "meaning", box=None, pad_edge=False)
        described = describe(options)
        for option in described:
            rows.add_row(*map(escape, (option.name, str(option.value), option.expects, option.meaning)))
        console = Console()
        console.print(rows)
        if any(".md \N{SECTION SIGN}" in option.meaning for option in described):
            console.print("\nPAGE.md \N{SECTION SIGN}N is section N of docs/algorithms/PAGE.md.", markup=False)
        return 0

"""Separates an exception of the agent from a claim that does not hold; says which claim was checked and which line raised."""

from __future__ import annotations

from traceback import walk_tb
from types import TracebackType

from agents.catalog import AgentEntry


class AgentError(RuntimeError):
    """An exception during the check of a claim; it is no verdict about the claim. Its cause has the traceback."""


class Watched:
    """Adds to an exception the claim that was being checked and the place where it was raised."""

    def __init__(self, entry: AgentEntry) -> None:
        self.entry, self.claim = entry, "its options and spaces"

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, Exception):
            return
        frames = [(frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line) for frame, line in walk_tb(trace)]
        own = [(path, line) for name, path, line in frames if _of_agent(name, self.entry.recipe)]
        path, line = own[-1] if own else frames[-1][1:]
        where = f"raised in {path}, line {line}" + ("" if own else ", on what the agent did or returned")
        raise AgentError(
            f"exception of the agent, not a claim that does not hold: {type(error).__name__} ({where}; its traceback is above) "
            f"while this was checked: {self.claim}"
        ) from error


def _of_agent(module: str, recipe: str) -> bool:
    if recipe.startswith("agents."):
        return module.startswith("agents.") and not module.startswith("agents.conformance")
    return module.partition(".")[0] == recipe.partition(".")[0]

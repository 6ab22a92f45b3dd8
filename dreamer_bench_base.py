"""What all four packages need: the error for users, the exit codes, nearest names, the registry.

Imports none of the packages, only the standard library.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from types import TracebackType
from typing import Any, TypeVar

Entry = TypeVar("Entry")
EXIT_BAD_INPUT = 2
EXIT_BUG = 5
EXIT_INTERRUPTED = 130

EXTRAS = {
    "torch": "train,dmc",
    "gymnasium": "train,dmc",
    "cma": "train,dmc",
    "dm_control": "dmc",
    "mujoco": "dmc",
    "ale_py": "atari",
    "ray": "cluster",
}
"""Package -> the extra of this project that installs it."""


class UserError(ValueError):
    """Bad input. The message says in one line what was expected, what came and what to do. The command exits with `exit_code`.

    Only this exception becomes one line; every other one is a bug and keeps its traceback.
    """

    exit_code = EXIT_BAD_INPUT


class InvalidData(UserError):
    """Data that cannot be used; the line names place and fix."""

    exit_code = 4


class Exits:
    """`with Exits():` around a command turns an exception into its exit code.

    UserError: its line and its `exit_code`. OSError of the disk, too little memory, or a missing package of an extra: one line
    and 2. Ctrl-C: 130. Pipe closed by the reader: 0. Everything else is a bug: its traceback and 5.
    """

    def __enter__(self) -> Exits:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None or isinstance(error, SystemExit):
            return
        if isinstance(error, UserError):
            self._leave(f"error: {' '.join(str(error).split())}", error.exit_code)  # one line for any input
        if isinstance(error, KeyboardInterrupt):
            self._leave("interrupted", EXIT_INTERRUPTED)
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0)
        if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
            self._leave(f"error: this needs {error.name}; install it: pip install 'dreamer-bench[{extra}]'", EXIT_BAD_INPUT)
        if isinstance(error, OSError):
            self._leave(f"error: {os_error_line(error)}", EXIT_BAD_INPUT)
        if isinstance(error, MemoryError):
            what = f" ({' '.join(str(error).split())})" if str(error) else ""
            self._leave(f"error: the memory is not enough{what}; close other programs, or raise the limit", EXIT_BAD_INPUT)
        traceback.print_exception(kind, error, trace)
        raise SystemExit(EXIT_BUG)

    def _leave(self, line: str, code: int) -> None:
        """Prints the line, with the numbers of characters that would move a cursor or reverse text."""
        line = "".join(sign if sign.isprintable() else sign.encode("unicode_escape", "replace").decode() for sign in line)
        with contextlib.suppress(OSError):  # a closed terminal must not change the exit code
            print(line, file=sys.stderr)
        raise SystemExit(code)


def open_closed_streams() -> None:
    """Opens a null device for standard input, output or error if the process has none (`>&-`, some supervisors).

    Otherwise the next opened file, perhaps a record, would get the free number and with it the output of libraries.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:  # another lower number was free
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # so that worker processes have it, too
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="replace", closefd=False))


def os_error_line(error: OSError) -> str:
    """An error of the disk in one line: the file, and the system's message."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.ENOMEM:
        return f"the memory is not enough ({reason}); close other programs, or raise the limit"
    if error.filename is None:
        return f"the system refused a read or a write ({reason}); free some space or write elsewhere"
    return f"{error.filename} cannot be used ({reason}); check the path, or name another"


def suggestion(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """ "; did you mean 'x'?" if the name is similar to a known one, else an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def count(number_of: int, noun: str) -> str:
    """ "1 run", "0 runs", "1,200 runs": every count of things in a text or on a page."""
    return f"{number_of:,} {noun}{'s' if number_of != 1 else ''}"


def registered(
    kind: str, group: str, built_in: Mapping[str, Entry], read: Callable[[metadata.EntryPoint], tuple[str, Entry]]
) -> dict[str, Entry]:
    """The entries of a catalog by name: the built-ins in order, then those of other packages from a group of entry points.

    read  entry point -> its name and entry
    """
    known = dict(built_in)
    for point in entry_points(group):
        name, entry = read(point)
        if name in known:
            raise UserError(f"{kind} {name!r} of entry point {point.value!r} is taken; give it another name")
        known[name] = entry
    return known


def entry_points(group: str) -> tuple[metadata.EntryPoint, ...]:
    """The entry points of a group; looked up again (30 ms) if the search path or a folder in it has changed."""
    changed = tuple(os.stat(folder).st_mtime_ns if os.path.exists(folder) else 0 for folder in sys.path)
    return _entry_points(metadata.entry_points, group, tuple(sys.path), changed)


@lru_cache(maxsize=16)
def _entry_points(look_up: Callable[..., Any], group: str, path: Any, changed: Any) -> tuple[metadata.EntryPoint, ...]:
    return tuple(look_up(group=group))


def package_of(point: metadata.EntryPoint) -> str:
    """The name of the package of an entry point."""
    return point.dist.name if point.dist else "an unknown package"


def imported(module: str, package: str) -> Any:
    """The module that a package registers. Raises UserError where there is none, as after half an uninstallation; an error
    inside the module is that package's own and keeps its traceback.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UserError(
            f"the installed package {package} registers the module {module!r}, which cannot be found; "
            f"install the package again, or remove it: pip uninstall {package}"
        ) from None


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a catalog, with the nearest name and all names."""
    names = list(known)
    return UserError(f"{kind} {name!r} is not known{suggestion(name, names, cutoff=0.5) or '.'} Known: {', '.join(names)}")

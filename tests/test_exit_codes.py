"""An exception becomes an exit code in one place: bad input and the disk are a line, a bug keeps its traceback."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

import dreamer_bench
from dreamer_bench_base import Exits, InvalidData, UserError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("expected a whole number,\n not 'x'; give one"), 2, "error: expected a whole number, not 'x'; give one"),
        (InvalidData("f.csv:2: no score; export again"), 4, "error: f.csv:2: no score; export again"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out.csv"),
            2,
            "error: out.csv cannot be used (No space left on device)",
        ),
        (OSError(errno.EIO, "Input/output error"), 2, "error: the system refused a read or a write (Input/output error)"),
        (
            ModuleNotFoundError("no torch", name="torch.nn"),
            2,
            "error: this needs torch.nn; install it: pip install 'dreamer-bench[",
        ),
        (MemoryError("Unable to allocate 8 GiB"), 2, "error: the memory is not enough (Unable to allocate 8 GiB); close"),
        (
            OSError(errno.ENOMEM, "Cannot allocate memory", "/tmp/x"),
            2,
            "error: the memory is not enough (Cannot allocate",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_a_user_can_mend_is_one_line_with_its_code(error, code, line, capsys):
    with pytest.raises(SystemExit) as stop, Exits():
        raise error
    told = capsys.readouterr().err
    assert stop.value.code == code
    assert told.startswith(line)
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("operands could not be broadcast"),
        ZeroDivisionError(),
        KeyError("status"),
        ModuleNotFoundError(name="nowhere"),
    ],
)
def test_a_bug_keeps_its_traceback_and_exits_with_5_whatever_its_class(error, capsys):
    with pytest.raises(SystemExit) as stop, Exits():
        raise error
    assert stop.value.code == 5
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert type(error).__name__ in told


def test_an_exit_code_of_its_own_passes_through():
    with pytest.raises(SystemExit) as stop, Exits():
        raise SystemExit(1)
    assert stop.value.code == 1


FIXTURES = Path(__file__).parents[1] / "examples" / "ci" / "fixtures"


def code_of(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["dreamer-bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        dreamer_bench.main()
    return int(stop.value.code or 0)


def test_commands_exit_with_0_for_yes_1_for_no_and_2_for_wrong_use(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    reference = ("--reference", FIXTURES / "reference.csv", "--protocol", "dmc-1m@1")
    (reproduced,), (below,) = FIXTURES.glob("0-reproduced.csv"), FIXTURES.glob("1-*below*.csv")
    assert code_of(monkeypatch, "verify", reproduced, *reference) == 0
    assert code_of(monkeypatch, "verify", below, *reference) == 1
    capsys.readouterr()
    assert code_of(monkeypatch, "verify", below, "--reference", "nowhere.csv") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_command_with_a_bug_exits_with_5_and_shows_where(monkeypatch, tmp_path, capsys):
    def broken(*arguments: object, **options: object) -> None:
        raise ValueError("operands could not be broadcast together")  # what numpy raises for a bug

    monkeypatch.setattr("protocols.running.status.standings", broken)
    assert code_of(monkeypatch, "status", tmp_path) == 5
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "in broken" in told

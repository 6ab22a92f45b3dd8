"""Work spread over processes: the same results in the same order, the same errors, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from make_records import make_run
from probe_runs import PROBE

import dreamer_bench_processes
from analysis.scores import from_runs
from dreamer_bench_base import InvalidData, UserError
from dreamer_bench_processes import in_order
from protocols.records import chain, validate
from protocols.records.store import EPISODES

SCORES = {0: [1.0, 2.0], 400: [3.0, 5.0], 800: [10.0, 20.0]}


def test_results_come_in_order_from_as_many_processes_as_asked_for():
    found = list(in_order(lambda number: (number**2, os.getpid()), range(10), least=1, processes=3))
    assert [square for square, _ in found] == [number**2 for number in range(10)]
    assert len({process for _, process in found} - {os.getpid()}) == 3


def test_a_slow_thing_does_not_keep_the_others_waiting():
    def work(number: int) -> int:
        time.sleep(1.0 if number == 0 else 0.01)
        return os.getpid()

    slow, *others = in_order(work, range(12), least=1, processes=2)
    assert slow not in others


def test_few_things_stay_in_this_process():
    assert set(in_order(lambda _: os.getpid(), range(5), least=6, processes=3)) == {os.getpid()}


def test_an_error_comes_when_its_turn_does_and_ends_the_others():
    def refuse_five(number: int) -> int:
        if number >= 5:
            raise InvalidData(f"{number} is damaged")
        return number

    results = in_order(refuse_five, range(20), least=1, processes=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(InvalidData, match=r"^5 is damaged$"):
        next(results)
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_is_an_error_not_a_wait():
    results = in_order(lambda number: os._exit(7) if number == 3 else number, range(6), least=1, processes=2)
    with pytest.raises(RuntimeError, match="code 7"):
        list(results)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("end", [os._exit, sys.exit])
def test_a_process_that_ends_without_its_answer_is_an_error_even_with_code_0(end):
    results = in_order(lambda number: end(0) if number == 3 else number, range(6), least=1, processes=2)
    with pytest.raises(RuntimeError, match="code 0"):
        list(results)
    assert multiprocessing.active_children() == []


def test_a_process_killed_in_the_middle_of_an_answer_is_an_error_about_it():
    def work(number: int) -> bytes:
        if number == 1:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
            return bytes(50_000_000)  # more than the pipe takes before the timer ends
        return b""

    results = in_order(work, range(2), least=1, processes=2)
    next(results)
    time.sleep(1.0)
    with pytest.raises(RuntimeError, match="code -9; was the memory short"):
        next(results)


def test_a_death_is_told_after_the_errors_of_earlier_things():
    def work(number: int) -> int:
        if number == 1:
            os._exit(7)
        time.sleep(0.5)
        raise InvalidData("0 is damaged")

    with pytest.raises(InvalidData, match="0 is damaged"):
        list(in_order(work, range(2), least=1, processes=2))


def test_want_of_memory_in_a_process_is_raised_here():
    def work(number: int) -> int:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        list(in_order(work, range(4), least=1, processes=2))


def test_processes_share_no_memory_and_no_lock():
    """Both need a /dev/shm that can be written, which containers often lack."""
    code = (
        "import sys, dreamer_bench_processes as p; print(list(p.in_order(abs, range(3), least=1, processes=2)), *sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("[0, 1, 2]")
    assert "multiprocessing.synchronize" not in said.split()


def test_a_folder_reads_the_same_in_three_processes_as_in_one(tmp_path, monkeypatch):
    for task in ("probe_count", "probe_terminal"):
        for seed in range(3):
            make_run(tmp_path, PROBE, agent="a", task=task, seed=seed, scores={**SCORES, 1200: [float(seed)]})
    damaged = tmp_path / PROBE.id / "a" / "probe_terminal" / "seed-1" / EPISODES
    damaged.write_text(damaged.read_text().replace("10.0", "10.5"))

    def read() -> tuple[list[validate.Violation], list[object], str]:
        kept: list[object] = []
        violations = validate.check(tmp_path, sound=lambda run: run.manifest, take=kept.append)
        with pytest.raises(UserError) as error:
            from_runs.find(tmp_path)
        return violations, kept, str(error.value)

    alone = read()
    monkeypatch.setattr(dreamer_bench_processes, "LEAST", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert read() == alone
    assert "seed-1" in alone[2]
    damaged.write_text(damaged.read_text().replace("10.5", "10.0"))
    several = from_runs.find(tmp_path)
    monkeypatch.undo()
    one = from_runs.find(tmp_path)
    assert [(run.folder, run.manifest, run.result()) for run in several] == [
        (run.folder, run.manifest, run.result()) for run in one
    ]
    assert from_runs.read_runs(several).equals(from_runs.read_runs(one))


ODD = [{"b": 1.5, "a": "x", "seconds": 2.0, "n": None}, {}, {"a": True, "score": -0.0, "in": {"x": 1}}]
ALIKE = [
    {"z": number, "%s": 1e300 / 7**number, "text": 'é "%d" \u2028 },{' * number, "no": None, "yes": number < 2, "seconds": 1.0}
    for number in range(4)
]


@pytest.mark.parametrize("lines", [ODD, ALIKE, [{**line, "z": line["z"] or 0.5} for line in ALIKE], [{}, {}]])
def test_links_spelled_field_by_field_are_those_spelled_one_by_one(lines):
    """Fields of one class in all lines, and lines that differ in their fields or classes."""
    lines = [dict(line) for line in lines]
    _, broken = chain.end(dict.fromkeys(chain.DECIDING, 0), lines)
    assert broken == 1
    previous = chain.origin(dict.fromkeys(chain.DECIDING, 0))
    for line in lines:
        line["previous"] = previous
        previous = chain.link(line)
    assert chain.end(dict.fromkeys(chain.DECIDING, 0), lines) == (previous, None)

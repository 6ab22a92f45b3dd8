"""A program on a GPU checks itself before anything is recorded; what it found is in the record."""

from __future__ import annotations

import pytest
import tally_agent
from probe_runs import register, request

from dreamer_bench_base import UserError
from protocols.records.fields import problems
from protocols.records.schema import Manifest, SessionLine
from protocols.records.store import find_runs
from protocols.running import launch
from protocols.running.launch import run_cohort
from protocols.running.stop import Stop

FOUND = {"largest_difference": {"captured": {"update": 0.0, "decision": 1e-7}}, "seconds": 0.5}
AGAIN = {**FOUND, "seconds": 0.7}


@pytest.fixture
def on_a_gpu(monkeypatch):
    """A cohort that believes to be on a GPU, with an agent whose check does what it is told."""
    register()
    monkeypatch.setattr(launch, "describe_device", lambda device: "a GPU")

    def checking(check):
        monkeypatch.setattr(tally_agent.Tally, "self_check", check, raising=False)

    return checking


def test_the_result_is_in_the_manifest(on_a_gpu, tmp_path):
    on_a_gpu(lambda self: FOUND)
    run_cohort(request(tmp_path, device="cuda"))
    manifests = [run.manifest for run in find_runs(tmp_path)]
    assert [manifest["device_check"] for manifest in manifests] == [FOUND, FOUND]
    assert not list(problems(Manifest, dict(manifests[0])))


def test_every_process_that_resumes_the_run_checks_again_and_says_what_it_found(on_a_gpu, tmp_path):
    found = iter([FOUND, AGAIN])
    on_a_gpu(lambda self: next(found))
    stop = Stop(signum=15)  # asked to stop before its first step
    assert run_cohort(request(tmp_path, device="cuda"), stop=stop).status == "interrupted"
    run_cohort(request(tmp_path, device="cuda"))
    for run in find_runs(tmp_path):
        assert run.manifest["device_check"] == FOUND
        assert [session["device_check"] for session in run.sessions()] == [FOUND, AGAIN]
        assert not [fault for session in run.sessions() for fault in problems(SessionLine, dict(session))]


def test_a_difference_ends_the_run_before_anything_is_recorded(on_a_gpu, tmp_path):
    def differs(self):
        raise UserError("the update captured as a graph differs")

    on_a_gpu(differs)
    with pytest.raises(UserError, match="differs"):
        run_cohort(request(tmp_path, device="cuda"))
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_on_a_cpu_nothing_is_asked_and_the_manifest_says_nothing(on_a_gpu, tmp_path):
    on_a_gpu(lambda self: pytest.fail("asked"))
    run_cohort(request(tmp_path))
    for run in find_runs(tmp_path):
        assert all("device_check" not in record for record in (run.manifest, *run.sessions()))

"""The recipes of docs/cluster.md, as far as they can be looked at without such a cluster: they parse, and name what exists."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import tyro

from protocols.costs.measurements import SCHEMA, read_measured
from protocols.running.commands import COMMANDS

PAGE = (Path(__file__).resolve().parents[3] / "docs/cluster.md").read_text()


def block(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


def test_the_slurm_script_parses():
    assert subprocess.run(["bash", "-n"], input=block("bash"), text=True, capture_output=True).stderr == ""


def test_the_kubernetes_manifest_is_a_ray_job_whose_pods_share_the_runs_folder():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra `cluster`")
    job = yaml.safe_load(block("yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    head, workers = job["spec"]["rayClusterSpec"]["headGroupSpec"], job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    for group in (head, *workers):
        pod = group["template"]["spec"]
        (volume,), (container,) = pod["volumes"], pod["containers"]
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/runs"}]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert "--runs /runs" in job["spec"]["entrypoint"]


def test_every_run_command_of_the_page_is_one_the_command_line_takes():
    lines = re.findall(r"dreamer-bench (run [^#\n&]*)", PAGE.replace("\\\n", ""))
    assert len(lines) >= 4
    for line in lines:
        tyro.cli(COMMANDS["run"], args=shlex.split(line)[1:])


def test_the_file_of_measurements_is_one_that_plan_reads(tmp_path):
    (tmp_path / "measured.json").write_text(block("json"))
    measured = read_measured(tmp_path / "measured.json")
    assert (SCHEMA, measured.agents[0].agent, measured.environments[0].task) == (1, "dreamer", "dmc_walker_walk")

"""The harness itself, on a run of a second: it trains the mutated copy, skips what is finished, and keeps to one commit."""

import pytest

from dreamer_bench_base import UserError
from tests.mutants import study
from tests.mutants.mutations import find

PROTOCOL = """
base = "small@1"
env_steps = 48
time_limit_env_steps = 24
evaluate_every_env_steps = 24
evaluate_episodes = 2
final_episodes = 2
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.toml").write_text(PROTOCOL)
    for _ in range(2):  # the second time everything is finished
        code = study.train(
            folder / "work",
            find("repeat_counted_twice"),
            protocol=str(folder / "tiny.toml"),
            agent="random",
            tasks=["gym:Acrobot-v1"],
            seeds=[7, 8],
        )
        assert code == 0
    return folder / "work"


def test_the_copy_is_what_runs(work):
    """Acrobot has a repeat of 4: 48 env_steps are 12 decisions, and 3 where the repeat is counted twice."""
    points = study.gather(work)
    assert set(points["method"]) == {"repeat_counted_twice"}
    assert set(points["seed"]) == {"7", "8"}
    first = next((work / "runs").rglob("episodes.jsonl")).read_text()
    assert '"agent_steps":3,' in first.replace(" ", "")
    assert '"agent_steps":12,' not in first.replace(" ", "")


def test_what_is_finished_is_not_trained_again(work):
    sessions = [path.read_text().splitlines() for path in (work / "runs").rglob("sessions.jsonl")]
    assert [len(lines) for lines in sessions] == [1, 1]


def test_a_work_folder_keeps_to_its_commit(work):
    kept = (work / "commit").read_text()
    (work / "commit").write_text("0" * 40)
    with pytest.raises(UserError, match="was begun at 0000"):
        study.begin(work)
    (work / "commit").write_text(kept)

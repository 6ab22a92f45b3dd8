"""The report on fabricated runs: what counts, what is only marked, and that the page stands alone."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.figures import efficiency
from analysis.figures.style import short_count, task_label
from analysis.report import blocks, build
from dreamer_bench_base import InvalidData
from protocols import catalog
from protocols.spec import Protocol
from tests.analysis.browser import ACCESSIBLE, browser
from tests.make_records import make_run

QUICK = catalog.find("quick@1")
REPS = 500
APPENDIX_G_DREAMER = {"dmc_cartpole_balance": 979.56, "dmc_walker_stand": 977.99}
"""Printed in the paper; whichever task quick@1 has."""


def scores_until(protocol: Protocol, end: float, *, shift: float = 0.0, stop: int | None = None) -> dict[int, list[float]]:
    times = range(0, (stop or protocol.env_steps) + 1, protocol.evaluate_every_env_steps)
    return {
        time: [100 + (end - 100) * time / protocol.env_steps + shift + k for k in range(protocol.evaluate_episodes)]
        for time in times
    }


def make_grid(
    root: Path, protocol: Protocol = QUICK, ends: dict[str, float] | None = None, tasks: tuple[str, ...] = ()
) -> None:
    """Three runs per agent and task whose final scores are end - 10, end, end + 10."""
    for agent, end in (ends or {"dreamer": 700.0, "random": 300.0}).items():
        for task in tasks or protocol.tasks:
            for seed, shift in enumerate((-10.0, 0.0, 10.0)):
                make_run(
                    root,
                    protocol,
                    agent=agent,
                    task=task,
                    seed=seed,
                    scores=scores_until(protocol, end, shift=shift),
                    final=[end + shift] * protocol.final_episodes,
                )


@pytest.fixture(scope="module")
def quick_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("records") / "runs"
    make_grid(root)
    return root


@pytest.fixture(scope="module")
def built(quick_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("out") / "report"
    return out, build.build([quick_runs], out, reps=REPS)


def test_the_summary_holds_means_and_differences_worked_out_by_hand(built):
    _, summary = built
    section = summary["sections"][0]
    assert {row["method"]: row["point"] for row in section["means"]} == {
        "dreamer": pytest.approx(700),
        "random": pytest.approx(300),
    }
    (gap,) = section["differences"]
    assert gap["point"] == pytest.approx(400)
    # seeds at -10, 0 and +10 on either side: variances 100, so an error of sqrt(200 / 3), and t(0.975, 4) = 2.7764
    assert (gap["low"], gap["high"]) == pytest.approx((400 - 22.67, 400 + 22.67), abs=0.01)


def test_the_page_says_at_its_top_what_was_run_and_what_came_out(built):
    out, _ = built
    page = (out / "index.html").read_text()
    top = re.sub(r"<[^>]+>", " ", page[page.index("<header>") : page.index("</header>")])
    for words in (
        "quick@1",
        "dreamer scores 700.0",
        "random 300.0",
        task_label(QUICK.tasks[0]),
        "3 seeds",
        f"{QUICK.env_steps:,} env steps",
        "6 of 6 runs",
    ):
        assert words in top, words


def test_the_page_fetches_nothing_and_its_ids_are_unique(built):
    out, _ = built
    page = (out / "index.html").read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""", page)
    assert "@import" not in page
    assert "<script" not in page
    assert not re.search(r"url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_figure_comes_as_svg_png_and_csv_and_every_linked_file_is_there(built):
    out, summary = built
    page = (out / "index.html").read_text()
    for name in ("curves", "aggregates", "difference", "fig6", "efficiency", "profiles", "improvement"):
        for suffix in (".svg", ".png", ".csv"):
            assert (out / f"{name}{suffix}").stat().st_size > 0
    links = {link for link in re.findall(r'href="([^"#][^"]*)"', page) if not link.startswith("data:")}
    assert {link for link in links if not (out / link).is_file()} == set()
    assert sorted(summary["files"]) == sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def test_every_seed_is_in_the_curves_and_their_mean_is_the_mean(built):
    import pandas as pd

    data = pd.read_csv(built[0] / "curves.csv")
    last = data[(data["env_steps"] == QUICK.env_steps) & (data["method"] == "dreamer")]
    seeds = last[last["kind"] == "seed"]["score"].tolist()
    assert len(seeds) == 3
    assert last[last["kind"] == "mean"]["score"].item() == pytest.approx(sum(seeds) / 3)


def test_published_bars_stand_apart_with_source_and_budget(built):
    import pandas as pd

    out, _ = built
    data = pd.read_csv(out / "fig6.csv")
    published = data[data["origin"] == "published"].set_index("method")
    assert published.loc["Dreamer", "score"] == pytest.approx(APPENDIX_G_DREAMER[QUICK.tasks[0]])
    assert published.loc["Dreamer", "env_steps"] == 5_000_000
    assert published["source"].notna().all()
    assert "another protocol" in (out / "index.html").read_text()


def test_the_same_records_give_the_same_bytes(quick_runs, built, tmp_path):
    out, _ = built
    build.build([quick_runs], tmp_path / "again", reps=REPS)
    for path in out.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("cores", [1, 3])
def test_pictures_drawn_in_several_processes_are_those_drawn_in_one(cores, quick_runs, built, tmp_path, monkeypatch):
    monkeypatch.setattr(efficiency, "MANY_ROWS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    build.build([quick_runs], tmp_path / "again", reps=REPS)
    for name in sorted(path.name for path in (tmp_path / "again").iterdir()):
        assert (tmp_path / "again" / name).read_bytes() == (built[0] / name).read_bytes(), name


def test_of_more_methods_than_can_be_told_apart_the_best_are_drawn_and_all_are_in_the_tables(
    quick_runs, built, tmp_path, monkeypatch
):
    means = {row["method"]: row["point"] for row in built[1]["sections"][0]["means"]}
    best = sorted(means, key=lambda method: -means[method])[:1]
    assert len(means) > len(best)
    monkeypatch.setattr(blocks, "MOST_DRAWN", 1)
    summary = build.build([quick_runs], tmp_path / "few", reps=REPS)
    assert summary["sections"][0]["means"] == built[1]["sections"][0]["means"]
    assert any("1 method with the highest means" in warning for warning in summary["sections"][0]["warnings"])
    for name, shown in (("curves", best), ("aggregates", sorted(means))):
        assert sorted(set(pd.read_csv(tmp_path / "few" / f"{name}.csv")["method"])) == shown


def test_cut_diverged_and_unfinished_runs_are_marked_and_never_counted(tmp_path):
    root, task = tmp_path / "runs", QUICK.tasks[0]
    make_grid(root)
    make_run(
        root, QUICK, agent="dreamer", task=task, seed=0, scores={0: [1.0], 2_000: [1.0]}, final=[1.0], limit_env_steps=2_000
    )
    make_run(
        root,
        QUICK,
        agent="sac",
        task=task,
        seed=0,
        scores=scores_until(QUICK, 500, stop=QUICK.evaluate_every_env_steps),
        status="diverged",
    )
    make_run(
        root,
        QUICK,
        agent="sac",
        task=task,
        seed=1,
        scores=scores_until(QUICK, 500, stop=QUICK.evaluate_every_env_steps),
        status=None,
    )
    make_run(
        root,
        QUICK,
        agent="sac",
        task=task,
        seed=2,
        scores=scores_until(QUICK, 500),
        final=[500.0] * 5,
        packages={"mujoco": "3.5.0", "dm_control": "1.0.50"},
    )
    summary = build.build([root], tmp_path / "report", reps=REPS)
    section = summary["sections"][0]
    assert {row["method"]: row["point"] for row in section["means"]} == {
        "dreamer": pytest.approx(700),
        "random": pytest.approx(300),
        "sac": pytest.approx(500),
    }
    assert {(row["method"], row["seed"]) for row in section["not_counted"]} == {("dreamer~2000", 0), ("sac", 0), ("sac", 1)}
    assert section["missing"] == [["sac", task, 1]]
    page = (tmp_path / "report" / "index.html").read_text()
    for words in (
        "cut short with --limit",
        "diverged",
        "unfinished",
        "another simulator version",
        "mujoco 3.5.0 (protocol: 3.17.0)",
    ):
        assert words in page, words


def test_two_protocols_are_two_sections_and_never_mixed(tmp_path):
    root, other = tmp_path / "runs", catalog.find("dmc-1m@1")
    make_grid(root)
    make_grid(root, other, {"dreamer": 900.0, "random": 50.0}, tasks=other.tasks[:2])
    summary = build.build([root], tmp_path / "report", reps=REPS)
    means = {
        section["protocol"]: {row["method"]: round(row["point"]) for row in section["means"]} for section in summary["sections"]
    }
    assert means["quick@1"] == {"dreamer": 700, "random": 300}
    assert means["dmc-1m@1"]["random"] == 52  # window of 10 evaluations: 50, rising by 50 / 100 of -50 towards the end
    assert (tmp_path / "report" / "quick-1" / "curves.svg").exists()
    assert (tmp_path / "report" / "dmc-1m-1" / "curves.svg").exists()


def test_options_set_by_hand_do_not_enter_the_protocols_table(tmp_path):
    root = tmp_path / "runs"
    make_grid(root)
    for seed in range(3):
        make_run(
            root,
            QUICK,
            agent="dreamer",
            task=QUICK.tasks[0],
            seed=seed,
            scores=scores_until(QUICK, 900),
            final=[900.0] * 5,
            overrides={"horizon": 20},
        )
    (section,) = build.build([root], tmp_path / "report", reps=REPS)["sections"]
    assert sorted(row["method"] for row in section["means"]) == ["dreamer", "random"]
    assert {row["method"] for row in section["variants"]} > {"dreamer"}
    assert "dreamer horizon=20" in (tmp_path / "report" / "index.html").read_text()


def test_a_strip_and_a_video_of_a_run_stand_inside_the_page(tmp_path):
    from PIL import Image

    root = tmp_path / "runs"
    make_grid(root)
    folder = root / "quick@1" / "dreamer" / QUICK.tasks[0] / "seed-0"
    (folder / "imagine").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "imagine" / "episode_0.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "last_evaluation.webp")
    build.build([root], tmp_path / "report", reps=REPS)
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count('src="data:image/png;base64,') == 1
    assert page.count('src="data:image/webp;base64,') == 1


def test_runs_under_way_show_their_curves_and_no_score(tmp_path):
    root, task = tmp_path / "runs", QUICK.tasks[0]
    make_run(
        root,
        QUICK,
        agent="dreamer",
        task=task,
        seed=0,
        scores=scores_until(QUICK, 500, stop=QUICK.evaluate_every_env_steps),
        status=None,
    )
    make_run(root, QUICK, agent="random", task=task, seed=0, scores={}, status=None)
    (section,) = build.build([root], tmp_path / "report", reps=REPS)["sections"]
    assert "means" not in section
    assert (tmp_path / "report" / "curves.svg").exists()
    assert (
        f"no run has reached {short_count(QUICK.env_steps)} env steps yet" in (tmp_path / "report" / "index.html").read_text()
    )


def test_runs_without_any_evaluation_are_reported_as_such(tmp_path):
    root = tmp_path / "runs"
    make_run(root, QUICK, agent="dreamer", task=QUICK.tasks[0], seed=0, scores={}, status=None)
    (section,) = build.build([root], tmp_path / "report", reps=REPS)["sections"]
    assert section["states"]["resumable"] == 1
    assert "no run of the protocol yet" in (tmp_path / "report" / "index.html").read_text()


def test_runs_with_a_cut_budget_alone_are_reported_as_such(tmp_path):
    root, cut = tmp_path / "runs", QUICK.evaluate_every_env_steps
    scores = {0: [1.0], cut: [2.0]}
    make_run(root, QUICK, agent="dreamer", task=QUICK.tasks[0], seed=0, scores=scores, final=[2.0], limit_env_steps=cut)
    (section,) = build.build([root], tmp_path / "report", reps=REPS)["sections"]
    assert "1 run cut short with --limit, never counted" in section["warnings"][0]
    assert "means" not in section


def a_file(folder: Path) -> list[Path]:
    (folder / "notes.txt").write_text("not scores\n")
    return [folder / "notes.txt"]


def no_runs(folder: Path) -> list[Path]:
    (folder / "empty").mkdir()
    return [folder / "empty"]


@pytest.mark.parametrize("bad", [lambda folder: [folder / "absent"], a_file, no_runs])
def test_bad_input_is_one_line_and_leaves_nothing_behind(bad: Callable[[Path], list[Path]], tmp_path):
    with pytest.raises(ValueError, match=r"absent|notes|empty") as raised:
        build.build(bad(tmp_path), tmp_path / "report", reps=REPS)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "report").exists()


def test_a_damaged_record_leaves_the_old_report_as_it_was(quick_runs, tmp_path):
    root = tmp_path / "runs"
    shutil.copytree(quick_runs, root)
    build.build([root], tmp_path / "report", reps=REPS)
    before = {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    episodes = root / "quick@1" / "dreamer" / QUICK.tasks[0] / "seed-0" / "episodes.jsonl"
    episodes.write_text("{ broken\n" + episodes.read_text())
    with pytest.raises((ValueError, InvalidData), match="damaged"):
        build.build([root], tmp_path / "report", reps=REPS)
    assert {path.name: path.read_bytes() for path in (tmp_path / "report").iterdir()} == before


def test_the_report_is_never_written_into_a_runs_folder(quick_runs):
    with pytest.raises(ValueError, match="runs folder"):
        build.build([quick_runs], quick_runs, reps=REPS)


def test_summary_is_plain_json(built):
    out, summary = built
    assert json.loads((out / "summary.json").read_text()) == summary


@pytest.mark.parametrize("width", [1280, 500])
def test_the_page_opens_in_a_browser_without_complaint_and_fits_the_screen(width, built, tmp_path):
    with browser(tmp_path) as page:
        page.resize(width, 900)
        page.open(built[0] / "index.html")
        assert page.script(ACCESSIBLE) == []
        assert page.script("return document.documentElement.scrollWidth <= window.innerWidth")
        seen = page.script("return [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)")
        assert len(seen) == 7
        assert min(seen) > 200
        assert page.complaints() == []


def test_no_table_of_five_agents_is_cut_on_a_wide_screen(tmp_path):
    """The tables per task grow with the agents; on a telephone they scroll."""
    root = tmp_path / "runs"
    agents = ("dreamer", "no_value", "planet", "random", "sac")
    make_grid(root, catalog.find("quick@2"), {name: 500.0 + 10 * number for number, name in enumerate(agents)})
    build.build([root], tmp_path / "out", reps=REPS)
    with browser(tmp_path) as page:
        page.resize(1400, 900)
        page.open(tmp_path / "out" / "index.html")
        tables = "[...document.querySelectorAll('div.scroll')]"
        assert page.script(f"return {tables}.length") >= 3
        assert page.script(f"return {tables}.filter(t => t.scrollWidth > t.clientWidth).map(t => t.ariaLabel)") == []

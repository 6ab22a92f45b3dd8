"""Every figure by name: the numbers in its CSV against ones worked out otherwise, and the files it leaves."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from analysis.figures import catalog, curves, drawing, intervals
from analysis.figures.commands import FigureCommand, FigureName
from analysis.figures.comparison import Comparison
from analysis.figures.gather import gather
from analysis.figures.style import KNOWN, SPARE_COLORS, base_name, reference_styles, style_of, styles_of
from analysis.scores import references, table
from protocols import catalog as protocols
from tests.make_records import make_run

REPS = 200
DMC_5M = protocols.find("dmc-5m@1")
PAPER_MEANS = {"Dreamer": 813.77, "D4PG": 786.33, "PlaNet": 341.12, "A3C": 243.70}
"""Over the 18 tasks that all four have (../shared/reference/README.md)."""


def score_file(path: Path, methods: dict[str, float], tasks: tuple[str, ...], *, seeds: int = 3) -> Path:
    """Curves that rise from 0 to `end + seed` at 1M env steps."""
    lines = ["method,task,seed,env_step,score"]
    for method, end in methods.items():
        for index, task in enumerate(tasks):
            for seed in range(seeds):
                lines += [f"{method},{task},{seed},{step},{(end + seed + 10 * index) * step / 1_000_000}"
                          for step in range(0, 1_000_001, 100_000)]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def two_methods(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    path = score_file(
        tmp_path_factory.mktemp("scores") / "ours.csv", {"dreamer": 600, "planet": 300}, ("walker_walk", "cheetah_run")
    )
    return gather([path], reps=REPS)


def test_the_command_line_offers_every_figure_and_no_other():
    assert set(get_args(FigureName)) == set(catalog.FIGURES) | set(catalog.FROM_RUNS)


def test_figure_6_prints_the_means_over_the_same_tasks(tmp_path):
    tasks = tuple(task.removeprefix("dmc_") for task in DMC_5M.tasks)
    drawn = catalog.draw("fig6", gather([score_file(tmp_path / "ours.csv", {"dreamer": 600}, tasks, seeds=2)], reps=REPS))
    published = drawn.data[drawn.data["origin"] == "published"]
    common = published[published["panel"] == "mean_common"].set_index("method")
    own = published[published["panel"] == "mean_own"].set_index("method")
    for method, mean in PAPER_MEANS.items():
        assert common.loc[method, "score"] == pytest.approx(mean, abs=0.005)
        assert f"{method} {mean:.2f}" in drawn.caption
    assert dict(own["tasks"]) == {"A3C": 18, "D4PG": 18, "PlaNet": 20, "Dreamer": 20}
    assert own.loc["Dreamer", "score"] == pytest.approx(823.39, abs=0.005)
    assert own.loc["PlaNet", "score"] == pytest.approx(332.97, abs=0.005)
    crosses = [text.get_text() for axes in drawn.figure.axes for text in axes.texts].count("×")
    assert crosses == 4  # A3C and D4PG on two quadruped tasks: not reported is no score of 0
    ours = drawn.data[(drawn.data["origin"] == "recorded") & (drawn.data["panel"] == "mean_common")]
    order = sorted(DMC_5M.tasks)
    kept = [10 * tasks.index(task.removeprefix("dmc_")) for task in order if "quadruped" not in task]
    assert ours["score"].item() == pytest.approx(600.5 + sum(kept) / 18)


def test_every_seed_of_figure_6_is_a_dot_at_its_own_score_apart_from_the_others(two_methods):
    """Seeds 0 to 2 of a method end at end + seed, 10 more on the second task of the file; no dot is moved up or down."""
    figure = catalog.draw("fig6", two_methods).figure
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    for title, shift in (("Walker Walk", 0), ("Cheetah Run", 10)):
        dots = [tuple(dot) for part in panels[title].collections for dot in part.get_offsets()
                if type(part).__name__ == "PathCollection"]  # fmt: skip
        assert sorted(y for _, y in dots) == pytest.approx([shift + end + seed for end in (300, 600) for seed in range(3)])
        assert len({x for x, _ in dots}) == 6


def test_the_numbers_on_the_bars_of_two_tasks_do_not_touch(tmp_path):
    ours = {"dreamer": 500, "no_value": 501, "planet": 502, "random": 499, "sac": 498}
    figure = catalog.draw(
        "fig6", gather([score_file(tmp_path / "s.csv", ours, ("walker_walk", "cheetah_run"))], reps=REPS)
    ).figure
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()[0].isdigit()]
        assert len(boxes) == 9
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_figures_have_the_theme_of_seaborn_and_leave_matplotlibs_settings_alone():
    import matplotlib as mpl
    import seaborn as sns

    before = dict(mpl.rcParams)
    with drawing.drawing_style("any"):
        theme = sns.axes_style("whitegrid")
        assert mpl.rcParams["text.color"] == theme["text.color"] != before["text.color"]
        assert mpl.rcParams["axes.grid"]
    assert dict(mpl.rcParams) == before


def test_the_common_tasks_are_those_that_all_four_report():
    cells = references.appendix_g()
    have = cells.groupby("task")["method"].nunique()
    common = cells[cells["task"].isin(have[have == 4].index)]
    assert common["task"].nunique() == 18
    for method, mean in PAPER_MEANS.items():
        assert common[common["method"] == method]["score"].mean() == pytest.approx(mean, abs=0.005)


def test_figure_7_is_figure_10_on_the_tasks_of_long_horizon(tmp_path):
    comparison = gather([score_file(tmp_path / "ours.csv", {"dreamer": 600}, ("walker_walk", "walker_run"))], reps=REPS)
    all_tasks = catalog.draw("fig10", comparison).data
    long_horizon = catalog.draw("fig7", comparison).data
    pd.testing.assert_frame_equal(long_horizon, all_tasks[all_tasks["task"] == "dmc_walker_walk"].reset_index(drop=True))


def test_all_games_of_atari_fit_on_a_page():
    figure, every = curves.panels(55)
    width, height = figure.get_size_inches()
    assert len(every) == 55
    assert height / width < 297 / 210  # A4


def test_tasks_are_named_here_as_everywhere(tmp_path):
    path = score_file(tmp_path / "ours.csv", {"dreamer": 600}, ("ball_in_cup-catch", "walker_run"))
    assert gather([path], tasks=("cup_catch",), reps=REPS).tasks == ["dmc_cup_catch"]
    with pytest.raises(ValueError, match="'dmc_walker_walk' is not among the scores; did you mean 'dmc_walker_run'"):
        gather([path], tasks=("walker-walk",), reps=REPS)


def test_figure_4_reads_the_horizon_from_what_a_run_overrode(tmp_path):
    root, task = tmp_path / "runs", "dmc_walker_walk"
    times = {step: [0.0] for step in range(0, DMC_5M.env_steps + 1, 1_000_000)} | {4_950_000: [0.0]}
    ends = {("dreamer", "horizon", 10): 500.0, ("dreamer", "horizon", 20): 700.0, ("planet", "planner_horizon", 20): 300.0}
    for (agent, option, horizon), end in ends.items():
        for seed in (0, 1):
            make_run(root, DMC_5M, agent=agent, task=task, seed=seed, overrides={option: horizon}, final=[0.0],
                     scores=times | {DMC_5M.env_steps: [end + seed], 4_950_000: [end + seed]})  # fmt: skip
    make_run(
        root, DMC_5M, agent="dreamer", task=task, seed=0, overrides={"horizon": 5, "free_nats": 1.0}, final=[0.0], scores=times
    )
    drawn = catalog.draw("fig4", gather([root], reps=REPS))
    found = {(row.agent, row.horizon): row.point for row in drawn.data.itertuples()}
    assert found == {("dreamer", 10): 500.5, ("dreamer", 20): 700.5, ("planet", 20): 300.5}


def test_figure_4_takes_the_agent_as_its_protocol_runs_it_for_a_point_of_its_line(tmp_path):
    root, task = tmp_path / "runs", "dmc_walker_walk"
    for overrides, end in (({}, 500.0), ({"horizon": 20}, 700.0)):
        for agent in ("dreamer", "sac") if not overrides else ("dreamer",):
            make_run(root, DMC_5M, agent=agent, task=task, seed=0, overrides=overrides, final=[0.0],
                     options={"horizon": 15} if agent == "dreamer" else {},
                     scores={0: [0.0], 4_950_000: [end], DMC_5M.env_steps: [end]})  # fmt: skip
    drawn = catalog.draw("fig4", gather([root], reps=REPS))
    assert {(row.agent, row.horizon): row.point for row in drawn.data.itertuples()} == {
        ("dreamer", 15): 500,
        ("dreamer", 20): 700,
    }


def test_figure_8_keeps_the_representations_apart_and_figure_12_the_repeats(tmp_path):
    root, task = tmp_path / "runs", "dmc_walker_walk"
    times = {0: [0.0], DMC_5M.env_steps: [500.0]}
    for seed in (0, 1):
        for changed in ({}, {"representation": "contrastive"}, {"representation": "reward_only"}, {"horizon": 5}):
            make_run(root, DMC_5M, agent="dreamer", task=task, seed=seed, overrides=changed, scores=times, final=[1.0])
        repeat = protocols.find("dmc-repeat-4@1")
        make_run(root, repeat, agent="dreamer", task=task, seed=seed, scores=times, final=[1.0])
    comparison = gather([root], protocol="dmc-5m@1", reps=REPS)
    shown = {comparison.label(method) for method in catalog.draw("fig8", comparison).data["method"]}
    assert shown == {"dreamer", "dreamer representation=contrastive", "dreamer representation=reward_only"}
    repeats = catalog.draw("fig12", gather([root], several_protocols=True, methods=[], reps=REPS))
    assert {"dreamer action_repeat=2", "dreamer action_repeat=4"} <= set(repeats.data["method"])
    with pytest.raises(ValueError, match="never share a figure"):
        gather([root], reps=REPS)


def test_figure_9_shows_games_with_guide_lines(tmp_path):
    path = score_file(tmp_path / "ours.csv", {"dreamer": 20}, ("pong", "boxing"), seeds=2)
    drawn = catalog.draw("fig9", gather([path], reps=REPS))
    assert "random" in drawn.caption
    labels = {text.get_text() for legend in drawn.figure.legends for text in legend.get_texts()}
    assert labels == {"dreamer", "random", "human"}


@pytest.mark.parametrize("name", ["aggregates", "profiles", "improvement", "efficiency", "curves", "fig6", "fig7", "fig10"])
def test_figures_of_two_methods_say_n_and_budget_and_hold_both(name, two_methods):
    drawn = catalog.draw(name, two_methods)
    assert "n = 3 seeds per task" in drawn.caption
    text = drawn.data.to_csv(index=False)
    assert "dreamer" in text
    assert "planet" in text
    assert "1M env steps" in drawn.caption


def test_the_curve_of_a_seed_and_of_the_mean_are_what_was_recorded(two_methods):
    data = catalog.draw("curves", two_methods).data
    row = data[(data["method"] == "dreamer") & (data["task"] == "dmc_walker_walk") & (data["env_steps"] == 500_000)]
    assert row[row["kind"] == "seed"]["score"].tolist() == [300.0, 300.5, 301.0]
    assert row[row["kind"] == "mean"]["score"].item() == pytest.approx(300.5)


def test_the_mean_stops_where_its_first_seed_stops(tmp_path):
    path = score_file(tmp_path / "ours.csv", {"dreamer": 600}, ("walker_walk",))
    kept = [line for line in path.read_text().splitlines() if not re.match(r"dreamer,walker_walk,2,([89]|10)00000,", line)]
    path.write_text("\n".join(kept) + "\n")
    data = catalog.draw("curves", gather([path], at=700_000, reps=REPS)).data
    assert data[data["kind"] == "mean"]["env_steps"].max() == 700_000
    assert data[data["kind"] == "seed"]["env_steps"].max() == 1_000_000


def test_device_hours_stand_beside_env_steps_where_records_say_them(tmp_path):
    quick = protocols.find("quick@1")
    for seed in range(2):
        scores = {step: [seed + step / 100] for step in range(0, quick.env_steps + 1, quick.evaluate_every_env_steps)}
        make_run(tmp_path / "runs", quick, agent="dreamer", task=quick.tasks[0], seed=seed, scores=scores, final=[200.0] * 5)
    drawn = catalog.draw("efficiency", gather([tmp_path / "runs"], reps=REPS))
    assert set(drawn.data["axis"]) == {"env_steps", "device_hours"}
    hours = drawn.data[drawn.data["axis"] == "device_hours"]["x"]
    assert hours.max() == pytest.approx(quick.env_steps / 100 / 3600)  # the records say 100 env steps a second


def test_the_command_writes_vector_text_a_picture_and_the_data(tmp_path, capsys):
    path = score_file(tmp_path / "ours.csv", {"dreamer": 600, "planet": 300}, ("walker_walk",))
    command = FigureCommand(name="aggregates", scores=(path,), out=tmp_path / "figures", reps=REPS)
    assert command.run() == 0
    svg = (tmp_path / "figures" / "aggregates.svg").read_text()
    assert re.search(r"<text[^>]*>Optimality gap</text>", svg)  # text, not outlines
    assert (tmp_path / "figures" / "aggregates.png").read_bytes().startswith(b"\x89PNG")
    assert set(pd.read_csv(tmp_path / "figures" / "aggregates.csv")["metric"]) == {"iqm", "median", "mean", "optimality-gap"}
    assert "n = 3 seeds per task" in capsys.readouterr().out
    first = {file.name: file.read_bytes() for file in (tmp_path / "figures").iterdir()}
    command.run()
    assert {file.name: file.read_bytes() for file in (tmp_path / "figures").iterdir()} == first


@pytest.mark.parametrize(
    ("name", "says"), [("fig4", "horizon"), ("fig8", "representation"), ("fig9", "Atari"), ("fig12", "repeat")]
)
def test_a_figure_that_these_scores_cannot_make_says_what_it_needs(name, says, tmp_path):
    path = score_file(tmp_path / "ours.csv", {"sac": 600}, ("walker_walk",))
    command = FigureCommand(name=name, scores=(path,), out=tmp_path / "figures", reps=REPS)
    with pytest.raises(ValueError, match=says) as raised:
        command.run()
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "figures").exists()


def test_a_wrong_method_or_a_useless_reference_is_one_line(tmp_path):
    path = score_file(tmp_path / "ours.csv", {"dreamer": 600}, ("walker_walk",))
    with pytest.raises(ValueError, match="did you mean 'dreamer'"):
        gather([path], methods=["dreamr"])
    with pytest.raises(ValueError, match="--references works with"):
        catalog.draw("profiles", gather([path], reps=REPS), reference_names=["dreamer-2020-appendix-g"])


def test_no_name_is_cut_in_a_ranking(tmp_path):
    long = "SAC on the features of the model and " + "W" * 40
    path = score_file(tmp_path / "ours.csv", {long: 600, "dreamer": 500}, ("walker_walk",))
    text = drawing.svg_text(intervals.ranking(gather([path], reps=REPS), [long, "dreamer"]))
    letters = "".join(re.sub("<[^>]*>", "", line) for line in re.findall(r"<(?:text|tspan)[^>]*>[^<]+<", text))
    assert re.sub(r"[\s<]", "", long) in re.sub(r"[\s<]", "", letters)


# ---------------------------------------------------------------- styles


def test_a_method_looks_the_same_beside_whatever_else_is_drawn():
    alone = styles_of(["dreamer"])["dreamer"]
    assert styles_of(["planet", "dreamer", "somebody_else"])["dreamer"] == alone
    assert style_of("Dreamer").color == style_of("dreamer").color  # the published row has its agent's colour
    assert base_name("dreamer+1a2b3c4d~20000") == "dreamer"


def test_the_methods_of_the_shipped_board_have_colours_of_their_own():
    cards = (Path(__file__).parents[3] / "results/leaderboard").glob("*/card.json")
    names = [json.loads(card.read_text())["name"] for card in cards]
    assert len({style.color for style in styles_of(names).values()}) == len(names) >= 6
    assert style_of("Random actions") == style_of("random")


def test_ten_unknown_methods_have_ten_colours_in_whatever_order():
    names = [f"method {number}" for number in range(len(SPARE_COLORS))]
    forward, backward = styles_of(names), styles_of(names[::-1])
    assert len({style.color for style in forward.values()}) == len(names)
    assert forward == backward


def test_no_two_known_methods_share_colour_and_marker():
    seen = [(chosen.color, chosen.marker) for chosen in KNOWN.values()]
    assert len(set(seen)) == len(seen)


def test_reference_lines_of_one_figure_are_told_apart_by_colour_and_by_dash():
    names = ["A3C", "D4PG", "PlaNet", "Dreamer", "random", "human"]
    styles = reference_styles(names)
    assert list(styles) == names
    assert len({style.color for style in styles.values()}) == len({style.line for style in styles.values()}) == len(names)
    many = reference_styles(f"method {number}" for number in range(len(SPARE_COLORS)))
    assert len({style.color for style in many.values()}) == len(SPARE_COLORS)


def test_the_arms_stay_apart_for_the_colour_blind():
    """Machado et al. 2009, severity 1, in linear RGB; colours 20 apart in CIE Lab are told apart without looking twice."""
    import numpy as np

    matrices = {
        "none": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }
    arms = ("dreamer", "no_value", "planet", "sac", "world_models", "dreamer_v2", "random")

    def lab(color: str, matrix: list[list[float]]) -> np.ndarray:
        value = np.array([int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)])
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        linear = np.clip(np.array(matrix) @ linear, 0, 1)
        to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        ratio = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
        root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
        return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])

    for matrix in matrices.values():
        seen = [lab(KNOWN[arm].color, matrix) for arm in arms]
        gaps = [float(np.linalg.norm(one - other)) for index, one in enumerate(seen) for other in seen[:index]]
        assert min(gaps) > 20
        assert len(gaps) == 21  # every pair of the seven


def test_ids_of_two_figures_in_one_page_never_meet(two_methods):
    found = [
        set(re.findall(r'\bid="([^"]+)"', drawing.svg_text(catalog.draw(name, two_methods)))) for name in ("curves", "fig10")
    ]
    assert found[0]
    assert not found[0] & found[1]


def test_the_figure_of_55_games_shows_every_game_and_the_four_aggregates(tmp_path):
    """Scores of twice the human's in every game: 2 in every panel of gamer-normalised numbers."""
    table = references.table_k1()
    lines = ["method,task,seed,env_step,score"]
    for row in table.itertuples():
        for seed, shift in ((0, -1.0), (1, 1.0)):
            lines.append(f"ours,{row.task},{seed},200000000,{row.random + 2 * (row.human - row.random) + shift}")
    (tmp_path / "ours.csv").write_text("\n".join(lines) + "\n")
    drawn = catalog.draw("atari55", gather([tmp_path / "ours.csv"], reps=REPS))
    ours = drawn.data[drawn.data["method"] == "ours"].set_index("panel")["value"]
    assert ours[table["task"]].tolist() == pytest.approx([2.0] * 55)
    assert (ours["gamer median"], ours["gamer mean"]) == pytest.approx((2.0, 2.0))
    published = drawn.data[drawn.data["method"] == "DreamerV2 (published)"].set_index("panel")["value"]
    assert published["gamer mean"] == pytest.approx(11.326, abs=0.0005)
    assert published["atari_pong"] == pytest.approx((20 + 20.7) / 35.3, abs=0.05)
    assert drawn.data[drawn.data["origin"] == "recorded"]["seeds"].dropna().unique().tolist() == [2]


def test_a_method_without_some_games_has_no_aggregate_over_all(tmp_path):
    lines = ["method,task,seed,env_step,score"]
    lines += [f"whole,atari_{game},{seed},200,5" for game in ("pong", "breakout") for seed in (0, 1)]
    lines += [f"part,atari_pong,{seed},200,5" for seed in (0, 1)]
    (tmp_path / "ours.csv").write_text("\n".join(lines) + "\n")
    drawn = catalog.draw("atari55", gather([tmp_path / "ours.csv"], reps=REPS))
    assert set(drawn.data[drawn.data["panel"] == "gamer mean"]["method"]) == {
        "whole", "DreamerV2 (published)", "IQN (published)", "Rainbow (published)",
    }  # fmt: skip
    assert "over the same 2 games; without part" in drawn.caption


def test_a_folder_of_submissions_and_studies_stands_for_the_runs_in_it(tmp_path):
    quick = protocols.find("quick@1")
    for place, agent in (("leaderboard/one", "dreamer"), ("leaderboard/two", "planet"), ("studies/three", "sac")):
        make_run(tmp_path / place / "runs", quick, agent=agent, task=quick.tasks[0], seed=0, scores={0: [1.0]}, final=[2.0])
    assert gather([tmp_path], reps=REPS).methods == ["dreamer", "planet", "sac"]
    assert gather([tmp_path / "leaderboard"], reps=REPS).methods == ["dreamer", "planet"]
    assert gather([tmp_path / "leaderboard/one/runs"], reps=REPS).methods == ["dreamer"]


def test_the_figure_of_55_games_is_drawn_from_records_of_its_protocol(tmp_path):
    """A run's score is the mean over the last 1e6 frames, a game's the mean over seeds: Pong at the gamer's own 14.6."""
    atari = protocols.find("atari-200m@2")
    times = {0: [0.0], **{step: [0.0] for step in range(10_000_000, atari.env_steps, 10_000_000)}}
    for seed, score in enumerate((10.6, 18.6)):
        make_run(tmp_path, atari, agent="dreamer_v2", task="atari_pong", seed=seed, final=[0.0],
                 scores=times | {atari.env_steps - 100_000: [score - 1], atari.env_steps: [score + 1]})  # fmt: skip
    drawn = catalog.draw("atari55", gather([tmp_path], reps=REPS))
    ours = drawn.data[drawn.data["method"] == "dreamer_v2"].set_index("panel")
    assert ours.loc["atari_pong", "score"] == pytest.approx(14.6)
    assert ours["value"].to_dict() == pytest.approx(
        {"atari_pong": 1.0, "gamer median": 1.0, "gamer mean": 1.0}
        | dict.fromkeys(("record mean", "clipped record mean"), 35.3 / 41.7)
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sac", "method 'sac' is not among the scores; they hold dreamer"),
        ("dreamr", "did you mean 'dreamer'? They hold dreamer"),
    ],
)
def test_an_unknown_method_is_answered_with_the_known_ones(name, says):
    points = pd.DataFrame({"method": ["dreamer"], "task": ["dmc_walker_walk"]})
    with pytest.raises(ValueError, match=re.escape(says)):
        table.chosen(points, methods=(name,))

"""The figures as grids: published protocols, their tasks, and cells that are shared instead of run twice."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agents import catalog as agents
from protocols import catalog, studies

ALL = pytest.mark.parametrize("study", studies.BUILT_IN, ids=lambda study: study.name)


@ALL
def test_every_row_is_a_run_of_a_published_protocol(study):
    for row in study.rows:
        assert set(study.tasks) <= set(catalog.find(row.protocol).tasks)


@ALL
def test_rows_are_filed_apart(study):
    assert len({(row.protocol, row.label) for row in study.rows}) == len(study.rows)
    assert study.choices


def test_figure_four_has_three_arms_at_four_lengths():
    figure = studies.find("figure-4")
    assert len(figure.rows) == 12
    dreamers = [row.overrides["horizon"] for row in figure.rows if row.agent == "dreamer"]
    assert all(after - before == 10 for before, after in pairwise(dreamers))
    assert [row.overrides["planner_horizon"] for row in figure.rows if row.agent == "planet"] == dreamers


def test_the_action_repeat_study_never_puts_two_repeats_under_one_protocol():
    rows = studies.find("dmc-repeat@1").rows
    assert [catalog.find(row.protocol).action_repeat for row in rows] == [1, 2, 4]
    assert len({row.protocol for row in rows}) == 3


def test_a_figure_on_selected_tasks_shares_its_cells_with_the_one_on_all():
    def cells(name):
        grid = studies.find(name)
        return {(row.protocol, row.label, task) for row in grid.rows for task in grid.tasks}

    assert cells("figure-7") < cells("figure-10")
    assert cells("figure-8") < cells("figure-11")


def test_an_unknown_grid_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'figure-4'"):
        studies.find("figure4")


def test_a_study_is_not_taken_for_a_protocol():
    with pytest.raises(ValueError, match="study over dmc-5m@1, dmc-repeat-1@1, dmc-repeat-4@1"):
        catalog.find("dmc-repeat@1")


@ALL
def test_what_a_row_sets_is_an_option_of_its_agent(study):
    from dataclasses import replace

    from agents import catalog as agents

    every = [(row, profile) for row in study.rows for profile in catalog.find(row.protocol).by_profile(study.tasks)]
    for row, profile in every:
        options = agents.find(row.agent).options(profile)
        changed = replace(options, **row.overrides)
        assert all(isinstance(value, type(getattr(options, name))) for name, value in row.overrides.items())
        assert (changed == options) == (not row.overrides), "setting what is set already would file the same runs apart"


def test_every_row_of_the_small_horizons_looks_as_far_as_its_name_says():
    """An agent's own length is its profile's, which stands in its recipe and not in the study."""
    options = {"dreamer": "horizon", "no_value": "horizon", "planet": "planner_horizon"}
    for row in studies.SMALL_HORIZONS.rows:
        own = getattr(agents.find(row.agent).options("small"), options[row.agent])
        assert f"{row.overrides.get(options[row.agent], own)}" == row.name.rsplit(" ", 1)[-1]

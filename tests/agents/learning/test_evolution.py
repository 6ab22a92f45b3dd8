"""The search of one seed: the package's algorithm on the project's random numbers, kept and continued to the bit."""

import io
import os

import cma
import numpy as np
import pytest
import torch

from agents.learning.evolution import MIRRORED_BELOW, EvolutionSettings, Strategy
from agents.learning.noise import SEARCH, entropy


def valley(points):
    """A return of 0 at 1, 2, 3, …, with steps of unequal steepness."""
    places = np.arange(1.0, points.shape[1] + 1)
    return -(np.square(points - places) * places).sum(1)


def run(strategy, generations, returns=valley):
    asked = []
    for _ in range(generations):
        points = strategy.ask()
        asked.append(points)
        strategy.tell(points, returns(points))
    return asked


def test_it_finds_the_optimum_of_a_valley():
    strategy = Strategy(0, 5, EvolutionSettings(population=16, sigma=1.0))
    run(strategy, 150)
    np.testing.assert_allclose(strategy.mean, [1, 2, 3, 4, 5], atol=1e-3)


def test_it_is_the_packages_own_search_on_draws_of_the_projects_stream():
    """The same generations, driven here by hand with nothing but the package and NumPy."""
    draws = iter([np.random.default_rng(entropy(7, SEARCH, number, 0)).standard_normal((12, 6)) for number in range(8)])
    theirs = cma.CMAEvolutionStrategy(
        np.zeros(6), 0.1, {"popsize": 12, "randn": lambda *shape: next(draws), "seed": np.nan, "verbose": -9, "verb_log": 0}
    )
    for asked in run(Strategy(7, 6, EvolutionSettings(population=12)), 8):
        points = theirs.ask()
        np.testing.assert_array_equal(asked, points)
        theirs.tell(points, list(-valley(np.stack(points))))


def test_it_touches_no_global_seed_writes_no_file_and_prints_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    run(Strategy(0, 4, EvolutionSettings(population=8)), 30)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr() == ("", "")


def test_seeds_search_apart_and_the_same_seed_alike():
    first, again, other = (run(Strategy(seed, 4, EvolutionSettings(population=8)), 2)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize(
    ("size", "population", "diagonal", "returns"),
    [
        (6, 12, False, valley),
        (80, 6, False, valley),  # few candidates for many weights: axes are renewed every few generations only
        (6, 12, True, valley),
        (6, 12, False, lambda points: np.zeros(len(points))),
        (6, MIRRORED_BELOW, False, valley),
    ],
    ids=["full", "lazy", "diagonal", "flat", "smallest"],
)
def test_its_state_continues_to_the_bit_through_a_file_that_holds_no_pickle(size, population, diagonal, returns):
    settings = EvolutionSettings(population=population, diagonal=diagonal)
    for stop in (0, 1, 13):
        straight, before, after = (Strategy(3, size, settings) for _ in range(3))
        run(straight, stop, returns)
        run(before, stop, returns)
        file = io.BytesIO()
        torch.save(before.state(), file)
        file.seek(0)
        after.restore(torch.load(file, weights_only=True))
        for expected, found in zip(run(straight, 12, returns), run(after, 12, returns)):
            np.testing.assert_array_equal(found, expected)


def test_another_searchs_state_is_refused():
    kept = Strategy(0, 4, EvolutionSettings()).state()
    with pytest.raises(ValueError, match="use the options and the task it was saved with"):
        Strategy(0, 5, EvolutionSettings()).restore(kept)
    with pytest.raises(ValueError, match="use the options and the task it was saved with"):
        Strategy(0, 4, EvolutionSettings(diagonal=True)).restore(kept)

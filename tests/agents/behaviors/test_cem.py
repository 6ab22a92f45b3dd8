"""The cross-entropy planner: refits by hand, and searches whose best plan is known."""

import math

import pytest
import torch

from agents.behaviors.api import NoiseSpec, Sizes
from agents.behaviors.cem import (
    CategoricalSearch,
    CEMPlanner,
    GaussianSearch,
    PlannerSettings,
    kept,
    predicted_return,
    refit_categorical,
    refit_gaussian,
    search_categorical,
    search_gaussian,
)
from agents.behaviors.exploration import EpsilonGreedy, GaussianNoise
from agents.models.rssm import rollout_by_steps


def test_the_best_candidates_are_kept_per_environment():
    candidates = torch.arange(8.0).reshape(2, 4, 1, 1)
    returns = torch.tensor([[0.0, 3.0, 1.0, 2.0], [9.0, 0.0, 0.0, 8.0]])
    chosen = kept(candidates, returns, 2).flatten(1)
    assert [sorted(row) for row in chosen.tolist()] == [[1.0, 3.0], [4.0, 7.0]]


def test_refit_uses_the_population_variance_and_its_floor():
    mean, std = refit_gaussian(torch.tensor([0.2, 0.6, 1.0]).reshape(1, 3, 1, 1))
    assert math.isclose(mean.item(), 0.6, rel_tol=1e-6)
    # ((-0.4)² + 0 + 0.4²) / 3, not / 2
    assert math.isclose(std.item(), math.sqrt(0.32 / 3 + 1e-6), rel_tol=1e-6)
    _, settled = refit_gaussian(torch.full((1, 3, 1, 1), 0.5))
    assert math.isclose(settled.item(), 1e-3, rel_tol=1e-6)


def test_one_round_equals_a_slow_loop():
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(1, 2, 6, 3, 2, generator=generator)
    weights = torch.randn(3, 2, generator=generator)
    plan = search_gaussian(lambda number, actions: (actions * weights).sum((-1, -2)), normal, 2)
    for environment in range(2):
        clipped = [normal[0, environment, k].clamp(-1, 1) for k in range(6)]
        best = sorted(clipped, key=lambda action: -(action * weights).sum().item())[:2]
        torch.testing.assert_close(plan[environment], (best[0] + best[1]) / 2)


def test_search_finds_the_maximum_of_a_known_function_for_every_environment():
    best = torch.tensor([[[0.5, -0.25]], [[-0.9, 2.0]]])  # [E=2, H=1, A=2]; 2 lies outside: the border is best

    def score(number, actions):
        return -(actions - best[:, None]).square().sum((-1, -2))

    normal = torch.randn(10, 2, 300, 1, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(search_gaussian(score, normal, 30), best.clamp(-1, 1), atol=0.02, rtol=0.0)


def test_every_call_starts_anew():
    """No warm start: a search leaves nothing behind that a later one could use."""
    normal = torch.randn(3, 1, 20, 2, 1, generator=torch.Generator().manual_seed(2))

    def score(number, actions):
        return actions.sum((-1, -2))

    torch.testing.assert_close(search_gaussian(score, normal, 4), search_gaussian(score, normal, 4), rtol=0.0, atol=0.0)


def test_categorical_refit_is_the_frequency_with_a_floor():
    chosen = torch.eye(3)[[0, 0, 1, 0]].reshape(1, 4, 1, 3)
    expected = 0.99 * torch.tensor([0.75, 0.25, 0.0]) + 0.01 / 3
    torch.testing.assert_close(refit_categorical(chosen), expected.reshape(1, 1, 3))


def test_categorical_search_finds_the_best_of_all_plans():
    """Independent answer: every one of the 3^4 plans is scored."""
    table = torch.randn(4, 3, generator=torch.Generator().manual_seed(3))

    def score(number, actions):  # the second action counts only after a first action of class 1
        return (actions * table).sum((-1, -2)) + 3.0 * actions[..., 0, 1] * actions[..., 1, 2]

    plans = torch.cartesian_prod(*[torch.arange(3)] * 4)
    best = plans[score(0, torch.nn.functional.one_hot(plans, 3).float()[None])[0].argmax()]
    uniform = torch.rand(8, 1, 200, 4, 3, generator=torch.Generator().manual_seed(4))
    assert search_categorical(score, uniform, 20)[0].argmax(-1).tolist() == best.tolist()


class Sum:
    """A world that adds up actions and noise; arriving at x pays x, and the episode goes on with probability 0.5."""

    def step(self, state, action, noise):
        return {"stoch": state["stoch"] + action + 0.1 * noise}

    def features(self, state):
        return state["stoch"]

    def rollout(self, state, actions, noise):
        return rollout_by_steps(self, state, actions, noise)

    def reward(self, features):
        return features.sum(-1)

    def discount(self, features):
        return torch.full_like(features[..., 0], 0.5)


@pytest.mark.parametrize("discounted", [False, True])
def test_predicted_return_equals_a_loop_over_environments_and_candidates(discounted):
    generator = torch.Generator().manual_seed(5)
    start = {"stoch": torch.randn(2, 3, generator=generator)}
    actions, noise = torch.randn(2, 4, 5, 3, generator=generator), torch.randn(5, 2 * 4, 3, generator=generator)
    result = predicted_return(Sum(), start, actions, noise, discounted)
    for environment in range(2):
        for candidate in range(4):
            place, total = start["stoch"][environment], 0.0
            for number in range(5):
                place = place + actions[environment, candidate, number] + 0.1 * noise[number, environment * 4 + candidate]
                total += (0.5**number if discounted else 1.0) * place.sum().item()
            assert result[environment, candidate].item() == pytest.approx(total, rel=1e-4, abs=1e-4)


class Holder:
    world_model = Sum()


def planner(search, exploration, **settings):
    sizes = Sizes(features=2, action=2, discrete=False, latent=NoiseSpec("normal", (2,)))
    behavior = CEMPlanner(settings=PlannerSettings(**settings), search=search, exploration=exploration)
    generator = torch.Generator().manual_seed(6)

    def act(explore, gradient_steps=0.0, num_envs=3):
        noise = {
            name: (torch.randn if spec.kind == "normal" else torch.rand)(spec.shape, generator=generator)
            for name, spec in behavior.act_noise(sizes, num_envs, explore=explore).items()
        }
        state = {"stoch": torch.zeros(num_envs, 2)}
        return behavior.act(Holder(), state, noise, torch.tensor(gradient_steps), explore=explore)

    return act


def test_planner_defaults_are_the_published_ones():
    assert PlannerSettings() == PlannerSettings(horizon=12, iterations=10, candidates=1000, elites=100, discounted=False)


def test_planner_executes_the_first_action_and_explores_inside_the_borders():
    act = planner(GaussianSearch(), GaussianNoise(std=0.3), horizon=3, iterations=6, candidates=200, elites=20)
    torch.testing.assert_close(act(False), torch.ones(3, 2), atol=0.05, rtol=0.0)  # more is always better in this world
    explored = act(True, num_envs=200)
    assert explored.abs().max() <= 1.0
    assert (explored < 0.9).float().mean() > 0.2  # |N(0, 0.3)| pushes a third of them below 0.9


def test_candidates_of_all_environments_are_one_batch():
    """Each round rolls the model once. (All seeds': tests/agents/learning/test_ways_of_running.py.)"""
    widths = []

    class Watched(Sum):
        def rollout(self, state, actions, noise):
            widths.append(tuple(actions.shape))
            return super().rollout(state, actions, noise)

    behavior = CEMPlanner(
        settings=PlannerSettings(horizon=3, iterations=2, candidates=8, elites=2),
        search=GaussianSearch(),
        exploration=GaussianNoise(),
    )
    holder, generator = Holder(), torch.Generator().manual_seed(8)
    holder.world_model = Watched()
    noise = {
        "candidates": torch.randn(2, 5, 8, 3, 2, generator=generator),
        "latent": torch.randn(2, 3, 40, 2, generator=generator),
    }
    behavior.act(holder, {"stoch": torch.randn(5, 2, generator=generator)}, noise, torch.tensor(0.0), explore=False)
    assert widths == [(3, 40, 2)] * 2


def test_categorical_planner_gives_one_hot_actions_and_wanders_by_epsilon():
    act = planner(CategoricalSearch(), EpsilonGreedy(), horizon=2, iterations=1, candidates=8, elites=2)
    actions = act(True, num_envs=50)
    assert actions.sum(-1).eq(1).all()
    assert set(actions.unique().tolist()) <= {0.0, 1.0}


def test_epsilon_falls_linearly_from_04_to_01():
    rule = EpsilonGreedy()
    values = [rule.probability(torch.tensor(step)).item() for step in (0.0, 100_000.0, 200_000.0, 1e6)]
    assert values == pytest.approx([0.4, 0.25, 0.1, 0.1])


def test_epsilon_is_the_share_of_random_choices():
    greedy, generator = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(20_000, 1), torch.Generator().manual_seed(7)
    noise = {"explore": torch.rand(20_000, generator=generator), "choice": torch.rand(20_000, 4, generator=generator)}
    actions = EpsilonGreedy().explore(greedy, noise, torch.tensor(0.0))
    # one of four random choices is the greedy one by chance
    torch.testing.assert_close(actions.mean(0), torch.tensor([0.7, 0.1, 0.1, 0.1]), atol=0.01, rtol=0.0)

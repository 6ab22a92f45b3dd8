"""The cross-entropy planner: refits by hand, and searches whose best plan is known."""

import math

import torch

from agents.behaviors.cem import kept, refit_categorical, refit_gaussian, search_categorical, search_gaussian


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

"""The entropy of an actor: against quadrature and torch.distributions, and its place in the losses of both imagination arms."""

from dataclasses import replace

import pytest
import torch
from probe_training import TINY_WIDTHS, built
from torch import distributions as td

from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.models.distributions import TanhNormal
from agents.recipes import dreamer, no_value
from suites import catalog

LENGTH, SEQUENCES, HORIZON = 4, 3, 5
TINY = {
    **TINY_WIDTHS,
    "batch_sequences": SEQUENCES,
    "batch_length": LENGTH,
    "horizon": HORIZON,
}


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.3), (0.0, 1.0), (1.5, 0.8)])
def test_the_draws_estimate_the_entropy_that_quadrature_finds(mean, std):
    action = torch.linspace(-1, 1, 400_001, dtype=torch.float64)[1:-1]
    log_density = td.Normal(mean, std).log_prob(torch.atanh(action)) - torch.log1p(-action.square())
    expected = -torch.trapezoid(log_density.exp() * log_density, action)
    policy = TanhNormal(min_std=0.0, init_std=std)
    raw = torch.tensor([5.0 * torch.atanh(torch.tensor(mean / 5.0)), 0.0], dtype=torch.float64)
    evenly = td.Normal(0.0, 1.0).icdf((torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000)[:, None]
    assert policy.entropy(raw.expand(20_000, 2), evenly).mean().item() == pytest.approx(expected.item(), abs=1e-3)


def test_the_entropy_of_choices_is_torchs():
    raw = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(CategoricalPolicy().entropy(raw, torch.empty(0)), td.Categorical(logits=raw).entropy())


def test_where_tanh_is_flat_the_entropy_still_pulls_back():
    """d(-log p)/d mean = -2 tanh(u), while the action itself moves by 1 - tanh² u only."""
    mean = torch.tensor(4.0, requires_grad=True)
    raw = torch.stack([5.0 * torch.atanh(mean / 5.0), torch.tensor(-3.0)])[None]
    still = torch.zeros(1, 1)
    (pull,) = torch.autograd.grad(TanhNormal(init_std=1.0).entropy(raw, still).sum(), mean, retain_graph=True)
    (move,) = torch.autograd.grad(TanhNormal(init_std=1.0).sample(raw, still).sum(), mean)
    assert pull.item() == pytest.approx(-2.0 * torch.tanh(torch.tensor(4.0)).item(), rel=1e-4)
    assert 0 < move.item() < 2e-3


@pytest.mark.parametrize("arm", ["dreamer", "no_value"])
@pytest.mark.parametrize("discrete", [False, True])
def test_the_loss_holds_the_weighted_entropy_of_the_states_whose_returns_count(arm, discrete):
    """Once more as a loop: Dreamer's weights are products of the discounts before a state, no_value has none."""
    agent = built(arm, lambda: catalog.make("probe_action", pixels=False, discrete=discrete), (0,), 1, **TINY)
    parts, plain = agent.learner.lift.modules[0], agent.behavior
    generator = torch.Generator().manual_seed(0)
    batch = {
        "vector": torch.randn(LENGTH, SEQUENCES, 2, generator=generator),
        "is_first": torch.zeros(LENGTH, SEQUENCES),
        "is_terminal": torch.zeros(LENGTH, SEQUENCES),
        "action": torch.rand(LENGTH, SEQUENCES, agent.action_width, generator=generator),
    }
    with torch.no_grad():
        observed = parts.world_model.observe(batch, torch.randn(LENGTH, SEQUENCES, 3, generator=generator))
    noise = {
        name: (torch.randn if spec.kind == "normal" else torch.rand)(spec.shape, generator=generator)
        for name, spec in plain.loss_noise(agent.sizes, LENGTH, SEQUENCES).items()
    }
    without = plain.losses(parts, observed, batch, noise, torch.zeros(()))[0]["actor"]
    found = replace(plain, entropy=0.7).losses(parts, observed, batch, noise, torch.zeros(()))[0]["actor"] - without

    model, policy = parts.world_model, plain.policy
    state, terms, weight = model.starts(observed.posterior, batch["is_terminal"]), [], 1.0
    for k in range(HORIZON):
        raw = parts.actor(model.features(state).detach())
        if k > 0:
            terms.append(weight * policy.entropy(raw, noise["policy"][k]))
            weight *= 0.95 if arm == "dreamer" else 1.0
        state = model.step(state, policy.sample(raw, noise["policy"][k]), noise["latent"][k])
    expected = -0.7 * torch.stack(terms).mean()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    weights = list(parts.actor.parameters())
    for got, wanted in zip(
        torch.autograd.grad(found, weights, retain_graph=True),
        torch.autograd.grad(-0.7 * sum(term.mean() for term in terms) / len(terms), weights),
    ):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("arm", ["dreamer", "no_value"])
@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_a_weight_without_meaning_is_refused(arm, weight):
    with pytest.raises(ValueError, match="actor_entropy"):
        built(arm, lambda: catalog.make("probe_action", pixels=False), (0,), 1, **TINY, actor_entropy=weight)


def test_the_papers_profiles_have_no_entropy_and_both_quick_actors_the_same():
    assert dreamer.PAPER.actor_entropy == no_value.PROFILES["paper"].actor_entropy == 0.0
    assert dreamer.PROFILES["discrete"].actor_entropy == no_value.PROFILES["discrete"].actor_entropy == 0.0
    assert dreamer.PROFILES["quick"].actor_entropy == no_value.PROFILES["quick"].actor_entropy > 0.0

"""The actor without a value through a real world model, against a loop written from the definition."""

import pytest
import torch
from probe_training import TINY_WIDTHS, built

from agents.behaviors.actor_only import ActorOnly
from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.models.distributions import TanhNormal
from suites import catalog

LENGTH, SEQUENCES, HORIZON = 4, 3, 3
TINY = {
    **TINY_WIDTHS,
    "batch_sequences": SEQUENCES,
    "batch_length": LENGTH,
    "horizon": HORIZON,
}


@pytest.mark.parametrize("undiscounted", [False, True])
@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_loss_and_gradient_equal_a_loop_over_imagined_steps(undiscounted, discrete, ends):
    def make():
        return catalog.make("probe_action", pixels=False, discrete=discrete)

    agent = built("no_value", make, (0,), 1, **TINY, predict_discount=ends)
    parts, width = agent.learner.lift.modules[0], agent.action_width
    policy = CategoricalPolicy() if discrete else TanhNormal()
    behavior = ActorOnly(policy=policy, horizon=HORIZON, undiscounted=undiscounted, hidden=6)
    generator = torch.Generator().manual_seed(0)
    batch = {
        "vector": torch.randn(LENGTH, SEQUENCES, 2, generator=generator),
        "is_first": torch.zeros(LENGTH, SEQUENCES),
        "is_terminal": torch.zeros(LENGTH, SEQUENCES),
        "action": torch.rand(LENGTH, SEQUENCES, width, generator=generator),
    }
    with torch.no_grad():
        observed = parts.world_model.observe(batch, torch.randn(LENGTH, SEQUENCES, 3, generator=generator))
    noise = {
        name: (torch.randn if spec.kind == "normal" else torch.rand)(spec.shape, generator=generator)
        for name, spec in behavior.loss_noise(agent.sizes, LENGTH, SEQUENCES).items()
    }
    losses, _ = behavior.losses(parts, observed, batch, noise, torch.zeros(()))
    assert list(losses) == ["actor"]

    model, rows = parts.world_model, LENGTH - 1 if ends else LENGTH
    state = {key: leaf[:rows].reshape(rows * SEQUENCES, *leaf.shape[2:]) for key, leaf in observed.posterior.items()}
    rewards, discounts = [], []
    for k in range(HORIZON):
        action = policy.sample(parts.actor(model.features(state).detach()), noise["policy"][k])
        state = model.step(state, action, noise["latent"][k])
        rewards.append(model.reward(model.features(state)))
        discounts.append(model.discount(model.features(state)))
    total = torch.zeros(())
    for start in range(HORIZON):
        weight = torch.ones(rows * SEQUENCES)
        for k in range(start, HORIZON):
            total = total + (weight * rewards[k]).mean()
            weight = weight if undiscounted else weight * discounts[k]
    torch.testing.assert_close(losses["actor"], -total / HORIZON)
    weights = list(parts.actor.parameters())
    for found, expected in zip(
        torch.autograd.grad(losses["actor"], weights, retain_graph=True), torch.autograd.grad(-total / HORIZON, weights)
    ):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_discrete_evaluation_is_greedy_and_training_wanders_by_epsilon():
    policy, generator = CategoricalPolicy(), torch.Generator().manual_seed(1)
    raw = torch.tensor([[0.0, 9.0, 0.0]]).repeat(6000, 1)
    assert policy.evaluate(raw, {}).argmax(-1).unique().tolist() == [1]
    noise = {name: torch.rand(spec.shape, generator=generator) for name, spec in policy.explore_noise(3, 6000).items()}
    strayed = (policy.explore(raw, noise, torch.tensor(0.0)).argmax(-1) != 1).float().mean().item()
    assert strayed == pytest.approx(0.4 * 2 / 3, abs=0.03)  # ε = 0.4, and one random choice of three is the greedy one

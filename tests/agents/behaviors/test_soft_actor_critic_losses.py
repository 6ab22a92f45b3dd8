"""SAC's losses against torch.distributions, sums by hand and finite differences."""

import math

import pytest
import torch
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from agents.behaviors.soft_losses import (
    actor_loss,
    actor_loss_discrete,
    critic_loss,
    gaussian_statistics,
    soft_target,
    soft_target_discrete,
    squashed_sample,
    temperature_loss,
)


def test_squashed_sample_has_the_density_of_a_transformed_normal():
    generator = torch.Generator().manual_seed(0)
    statistics, normal = torch.randn(7, 6, generator=generator), torch.randn(7, 3, generator=generator)
    action, log_density = squashed_sample(statistics, normal)
    mean, log_std = gaussian_statistics(statistics)
    reference = TransformedDistribution(Normal(mean.double(), log_std.double().exp()), [TanhTransform()])
    u = mean.double() + log_std.double().exp() * normal.double()
    torch.testing.assert_close(action.double(), u.tanh(), atol=1e-6, rtol=1e-5)
    inside = action.abs().amax(-1) < 0.999  # nearer to 1 the inverse tanh of the reference loses its digits
    assert inside.sum() >= 3
    torch.testing.assert_close(log_density.double()[inside], reference.log_prob(u.tanh()).sum(-1)[inside], atol=1e-3, rtol=1e-3)


def test_density_stays_finite_where_tanh_is_one():
    statistics = torch.tensor([[40.0, 0.0]], requires_grad=True)
    action, log_density = squashed_sample(statistics, torch.zeros(1, 1))
    assert action.item() == 1.0
    log_density.sum().backward()
    assert math.isfinite(log_density.item())
    assert torch.isfinite(statistics.grad).all()


def test_log_std_spans_its_range():
    _, log_std = gaussian_statistics(torch.tensor([[0.0, 0.0, 0.0, -50.0, 0.0, 50.0]]))
    torch.testing.assert_close(log_std, torch.tensor([[-5.0, -1.5, 2.0]]))


def test_continuous_target_by_hand():
    # 1 + 0.9 · (min(5, 4) - 0.5·2) = 3.7; the second transition ended: its reward alone.
    target = soft_target(
        torch.tensor([1.0, 2.0]),
        torch.tensor([0.9, 0.0]),
        torch.tensor([5.0, 9.0]),
        torch.tensor([4.0, 9.0]),
        torch.tensor([2.0, 2.0]),
        torch.tensor(0.5),
    )
    torch.testing.assert_close(target, torch.tensor([3.7, 2.0]))


def test_discrete_target_is_the_expectation_of_the_continuous_one():
    generator = torch.Generator().manual_seed(1)
    logits, first, second = torch.randn(3, 4, 3, generator=generator)
    reward, discount, alpha = torch.randn(4, generator=generator), torch.tensor([0.9, 0.9, 0.0, 0.9]), torch.tensor(0.3)
    expected = torch.zeros(4)
    for n in range(4):
        probabilities = torch.softmax(logits[n], 0).tolist()
        inner = sum(p * (min(first[n, a].item(), second[n, a].item()) - 0.3 * math.log(p)) for a, p in enumerate(probabilities))
        expected[n] = reward[n].item() + discount[n].item() * inner
    torch.testing.assert_close(soft_target_discrete(reward, discount, first, second, logits, alpha), expected)


def test_discrete_policy_that_minimises_the_loss_is_the_boltzmann_policy():
    """Closed form: Σ π (α log π - Q) is least at π = softmax(Q / α), where it is -α logsumexp(Q / α)."""
    q, alpha = torch.tensor([[1.0, 0.5, -0.2]]), torch.tensor(0.4)
    logits = (q / alpha).clone().requires_grad_()
    loss = actor_loss_discrete(q, q + 1.0, logits, alpha, torch.ones(1))
    torch.testing.assert_close(loss, -alpha * torch.logsumexp(q / alpha, -1).sum())
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-6, rtol=0.0)


def test_critics_learn_and_the_target_does_not():
    first, second = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 5.0], requires_grad=True)
    reward = torch.tensor([0.0, 4.0], requires_grad=True)
    target = soft_target(reward, torch.zeros(2), first, second, torch.zeros(2), torch.tensor(1.0))
    loss = critic_loss(first, second, target, torch.ones(2))
    assert loss.item() == pytest.approx(((1 + 9) + (4 + 1)) / 2)
    loss.backward()
    assert reward.grad is None
    torch.testing.assert_close(first.grad, torch.tensor([1.0, -2.0]))


def test_continuous_actor_loss_by_hand_and_transitions_without_weight_do_not_count():
    weight = torch.tensor([1.0, 0.0])
    loss = actor_loss(torch.tensor([5.0, 99.0]), torch.tensor([4.0, 99.0]), torch.tensor([2.0, 1.0]), torch.tensor(0.5), weight)
    assert loss.item() == pytest.approx(0.5 * 2 - 4)


@pytest.mark.parametrize(("entropy", "direction"), [(-3.0, -1.0), (1.0, 1.0)])
def test_temperature_rises_only_while_the_policy_is_too_certain(entropy, direction):
    log_alpha = torch.tensor(math.log(0.1), requires_grad=True)
    temperature_loss(log_alpha, torch.full((4,), entropy), -1.0, torch.ones(4)).backward()
    # d/dlog α of α (H - target) = α (H - target); gradient descent moves against it.
    assert log_alpha.grad.item() == pytest.approx(0.1 * (entropy + 1.0))
    assert math.copysign(1.0, log_alpha.grad.item()) == direction

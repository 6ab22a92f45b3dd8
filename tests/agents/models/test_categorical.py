"""Categorical variables: draws, straight-through gradient, entropy and KL against torch.distributions."""

import torch
from torch.distributions import Categorical, kl_divergence

from agents.models.categorical import categorical_kl, draw_onehot, entropy, straight_through


def test_draws_have_the_frequencies_of_the_softmax():
    logits = torch.tensor([0.1, 0.6, 0.3]).log()
    uniform = torch.rand(40_000, 3, generator=torch.Generator().manual_seed(0))
    draws = draw_onehot(logits, uniform)
    assert draws.sum(-1).eq(1).all()
    torch.testing.assert_close(draws.mean(0), torch.tensor([0.1, 0.6, 0.3]), atol=0.01, rtol=0.0)


def test_extreme_noise_still_gives_one_class():
    assert draw_onehot(torch.zeros(2, 3), torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])).sum(-1).tolist() == [1.0, 1.0]


def test_straight_through_has_the_value_of_the_draw_and_the_gradient_of_the_probabilities():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 4, generator=generator).requires_grad_()
    weight, uniform = torch.randn(4, generator=generator), torch.rand(5, 4, generator=generator)
    sample = straight_through(logits, uniform)
    torch.testing.assert_close(sample.detach(), draw_onehot(logits, uniform))
    (sample * weight).sum().backward()
    # d/dlogit_i of Σ_j w_j p_j  =  p_i (w_i - Σ_j w_j p_j)
    p = logits.detach().softmax(-1)
    torch.testing.assert_close(logits.grad, p * (weight - (p * weight).sum(-1, keepdim=True)))


def test_entropy_and_kl_equal_those_of_torch():
    first, second = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(entropy(first), Categorical(logits=first).entropy())
    expected = kl_divergence(Categorical(logits=first), Categorical(logits=second))
    torch.testing.assert_close(categorical_kl(first, second), expected)

"""The returns of the actor that has no value network."""

import torch

from agents.behaviors.actor_only import rewards_to_go

REWARD = torch.tensor([[1.0], [2.0], [3.0], [4.0]])


def test_discounted_returns_match_the_published_example():
    # Numbers worked out in docs/algorithms/ablations.md §2: γ = 0.99, H = 4.
    expected = torch.tensor([[9.801496], [8.8904], [6.96], [4.0]])
    returns = rewards_to_go(REWARD, torch.full_like(REWARD, 0.99))
    torch.testing.assert_close(returns, expected)
    torch.testing.assert_close(returns.mean(), torch.tensor(7.412974))


def test_plain_sums_match_the_published_example():
    torch.testing.assert_close(rewards_to_go(REWARD, torch.ones_like(REWARD)), torch.tensor([[10.0], [9.0], [7.0], [4.0]]))


def test_an_imagined_end_cuts_what_follows():
    discount = torch.tensor([[0.5], [0.0], [0.5], [0.5]])
    torch.testing.assert_close(rewards_to_go(REWARD, discount), torch.tensor([[2.0], [2.0], [5.0], [4.0]]))


def test_gradient_of_a_reward_is_its_discounted_number_of_readers():
    reward = REWARD.clone().requires_grad_()
    rewards_to_go(reward, torch.full_like(REWARD, 0.5)).sum().backward()
    # r[t] is counted by G[0..t] with 0.5^0, 0.5^1, ...: 1, 1.5, 1.75, 1.875.
    torch.testing.assert_close(reward.grad, torch.tensor([[1.0], [1.5], [1.75], [1.875]]))

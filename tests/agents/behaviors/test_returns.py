"""λ-returns and discount weights against values worked out by hand (docs/algorithms/dreamer.md §7)."""

import torch

from agents.behaviors.returns import cumulative_discount, lambda_return

REWARD = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)
VALUE = 10 * REWARD
DISCOUNT = torch.full((4, 1), 0.99, dtype=torch.float64)


def test_lambda_one_sums_rewards_and_bootstraps_once():
    reward, discount = torch.ones(3, 1), torch.full((3, 1), 0.5)
    value = torch.tensor([[9.0], [9.0], [4.0]])  # only the last may matter
    expected = torch.tensor([[2.5], [3.0]])  # 1 + .5·(1 + .5·4),  1 + .5·4
    torch.testing.assert_close(lambda_return(reward, discount, value, 1.0), expected)


def test_lambda_return_is_the_published_codes_on_the_fixture():
    expected = torch.tensor([[42.94905715], [43.5503], [42.6]], dtype=torch.float64)
    torch.testing.assert_close(lambda_return(REWARD, DISCOUNT, VALUE, 0.95), expected, atol=1e-8, rtol=0)


def test_weights_and_actor_loss_on_the_fixture():
    weight = cumulative_discount(DISCOUNT)
    torch.testing.assert_close(weight, torch.tensor([[1.0], [0.99], [0.9801]], dtype=torch.float64))
    loss = -(weight * lambda_return(REWARD, DISCOUNT, VALUE, 0.95)).mean()
    assert abs(loss.item() + 42.605371383) < 1e-8


def test_lambda_return_is_the_mixture_of_n_step_returns():
    """Eq. 5 and 6 of the paper, summed term by term."""
    torch.manual_seed(0)
    reward, value, lambda_, gamma = torch.rand(6, 2).double(), torch.rand(6, 2).double(), 0.8, 0.9
    last = len(reward) - 1
    expected = []
    for t in range(last):

        def n_step(n, t=t):
            end = min(t + n, last)
            return sum(gamma ** (k - t) * reward[k] for k in range(t, end)) + gamma ** (end - t) * value[end]

        longest = last - t
        mixture = sum((1 - lambda_) * lambda_ ** (n - 1) * n_step(n) for n in range(1, longest))
        expected.append(mixture + lambda_ ** (longest - 1) * n_step(longest))
    found = lambda_return(reward, torch.full((6, 2), gamma).double(), value, lambda_)
    torch.testing.assert_close(found, torch.stack(expected))


def test_termination_cuts_the_return_and_the_weights():
    discount = torch.tensor([[0.99], [0.0], [0.99], [0.99]], dtype=torch.float64)
    returns = lambda_return(REWARD, discount, VALUE, 0.95)
    assert returns[1].item() == 2.0  # nothing after the end
    assert cumulative_discount(discount)[2].item() == 0.0  # states after it do not count

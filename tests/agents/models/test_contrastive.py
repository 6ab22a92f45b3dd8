"""The contrastive objective in both directions against the definition as a loop."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from agents.models.contrastive import SEQUENCE_SHIFTS, TIME_SHIFTS, contrast_images, contrast_states

LENGTH, BATCH = 6, 3
SHIFTS = ((-1, 0), (-2, -1, 0, 1))


def drawn():
    generator = torch.Generator().manual_seed(0)
    features, mean, raw = torch.randn(3, LENGTH, BATCH, 5, generator=generator)
    return features, mean, raw.exp() + 0.1


def density(features, mean, std):
    return Independent(Normal(mean, std), 1).log_prob(features).item()


def test_window_is_that_of_the_original():
    assert (SEQUENCE_SHIFTS[0], SEQUENCE_SHIFTS[-1], TIME_SHIFTS[0], TIME_SHIFTS[-1]) == (-5, 4, -15, 14)
    assert len(SEQUENCE_SHIFTS) * len(TIME_SHIFTS) == 300


@pytest.mark.parametrize("vary", ["states", "images"])
def test_objective_equals_a_slow_loop(vary):
    features, mean, std = drawn()
    expected = torch.zeros(LENGTH, BATCH)
    for t in range(LENGTH):
        for b in range(BATCH):
            terms = []
            for dt in SHIFTS[1]:
                for db in SHIFTS[0]:
                    other = ((t - dt) % LENGTH, (b - db) % BATCH)
                    state, image = (other, (t, b)) if vary == "states" else ((t, b), other)
                    terms.append(density(features[state], mean[image], std[image]))
            own = density(features[t, b], mean[t, b], std[t, b])
            expected[t, b] = own - math.log(sum(math.exp(term - own) for term in terms)) - own
    contrast = contrast_states if vary == "states" else contrast_images
    torch.testing.assert_close(contrast(features, mean, std, *SHIFTS), expected, atol=1e-4, rtol=1e-4)


def test_an_uninformative_image_scores_minus_log_of_the_window():
    features = torch.ones(LENGTH, BATCH, 5)
    value = contrast_states(features, torch.zeros_like(features), torch.ones_like(features), *SHIFTS)
    torch.testing.assert_close(value, torch.full((LENGTH, BATCH), -math.log(8.0)))


def test_the_two_directions_differ_and_both_train_features_and_images():
    features, mean, std = (tensor.requires_grad_() for tensor in drawn())
    values = [contrast(features, mean, std, *SHIFTS).mean() for contrast in (contrast_states, contrast_images)]
    assert abs(values[0].item() - values[1].item()) > 1e-3
    for value in values:
        gradients = torch.autograd.grad(value, (features, mean, std), retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients)

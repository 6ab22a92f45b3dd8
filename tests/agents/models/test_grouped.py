"""The functions for all seeds at once against their twins written for one seed, in float64: lifted, alone, and in pieces."""

import pytest
import torch
from torch._C import _functorch
from torch.func import functional_call, vmap
from torch.nn.functional import conv2d, elu, relu

from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.models import grouped, images, networks, rssm
from agents.models.categorical_latent import Categorical
from agents.models.distributions import TanhNormal
from agents.models.dynamics_variants import MeanOnly
from agents.models.images import ImageDecoder, ImageEncoder
from agents.models.latents import Gaussian
from agents.models.networks import MLP, initialize
from agents.models.objectives import image_loss
from agents.models.rssm import RSSM, rollout_by_steps
from agents.models.world_model import WorldModel

SEEDS, ROWS, HORIZON, ACTION = 3, 7, 4, 2
LATENTS = {"gaussian": Gaussian(3), "mean only": MeanOnly(3), "categorical": Categorical(2, 3)}


pytestmark = pytest.mark.usefixtures("float64_everywhere")


def weights(module, seed):
    """Drawn, biases too: a bias of zero hides its place."""
    generator = torch.Generator().manual_seed(seed)
    initialize(module, generator)
    return {name: p.detach() + 0.3 * torch.randn(p.shape, generator=generator) for name, p in module.named_parameters()}


def lifted(module, function, *inputs):
    stacked = {name: torch.stack([weights(module, s)[name] for s in range(SEEDS)]) for name, _ in module.named_parameters()}
    return vmap(lambda values, *rows: functional_call(Calling(module, function), values, rows))(
        {f"module.{name}": value for name, value in stacked.items()}, *inputs
    )


class Calling(torch.nn.Module):
    def __init__(self, module, function):
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs):
        return self.function(self.module, *inputs)


def alone(module, function, *inputs):
    found = []
    for s in range(SEEDS):
        module.load_state_dict(weights(module, s))
        found.append(function(module, *(tensor[s] for tensor in inputs)))
    return torch.stack(found)


def draw(*shape, seed=9):
    return torch.randn(SEEDS, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["whole", "in pieces"])
def pieces(request, monkeypatch):
    if request.param == "in pieces":
        monkeypatch.setattr(grouped, "MOST_AT_ONCE", 1)
        monkeypatch.setattr(grouped, "FEWEST_ROWS", 3)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("activation", [elu, relu])
def test_a_stack_of_layers_without_gradient_is_the_one_with(activation):
    stack, x = MLP(5, 2, layers=3, hidden=6, activation=activation), 3.0 * draw(ROWS, 2, 5)
    with torch.enable_grad():
        expected = alone(stack, MLP.forward, x).detach()
    with torch.no_grad():
        for way in (alone, lifted):
            torch.testing.assert_close(way(stack, MLP.forward, x), expected, rtol=0, atol=1e-13)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("activation", [elu, relu])
def test_a_rollout_is_its_steps(latent, activation):
    latent = LATENTS[latent]
    dynamics = RSSM(action=ACTION, embed=1, latent=latent, deter=5, hidden=6, activation=activation)
    noise = latent.noise.over(HORIZON, ROWS)
    inputs = (draw(ROWS, latent.size), draw(ROWS, 5), draw(HORIZON, ROWS, ACTION), draw(*noise.shape).abs() % 1.0)

    def rolled(way):
        return lambda dynamics, stoch, deter, *more: way(dynamics, {"stoch": stoch, "deter": deter}, *more)

    with torch.no_grad():
        expected = alone(dynamics, rolled(rollout_by_steps), *inputs)
        assert expected.std() > 0.1
        for way in (alone, lifted):
            torch.testing.assert_close(way(dynamics, rolled(RSSM.rollout), *inputs), expected, rtol=0, atol=1e-13)


def test_where_the_seeds_share_an_input_it_is_given_to_each():
    x = draw(ROWS, 5)[0]
    stack = MLP(5, 2, layers=1, hidden=6)
    with torch.no_grad():
        found = lifted(stack, lambda stack, _: stack(x), draw(1))
        expected = alone(stack, lambda stack, _: stack(x), draw(1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_extreme_activations_are_those_of_torch():
    x = torch.tensor([-torch.inf, -800.0, -1e-9, 0.0, 1e-9, 800.0, torch.inf, torch.nan])
    torch.testing.assert_close(grouped.elu_(x.clone(), torch.empty_like(x)), elu(x), rtol=0, atol=1e-15, equal_nan=True)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_lower_precision_takes_the_slow_way(precision, monkeypatch):
    called = []
    monkeypatch.setattr(networks, "layers", lambda *inputs: called.append(1) or grouped.layers(*inputs))
    monkeypatch.setattr(rssm, "prior_rollout", lambda *inputs: called.append(1) or grouped.prior_rollout(*inputs))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        MLP(5, 2, layers=1, hidden=6)(torch.zeros(2, 5))
        RSSM(action=1, embed=1, latent=Gaussian(2), deter=2, hidden=2).rollout(
            {"deter": torch.zeros(1, 2), "stoch": torch.zeros(1, 2)}, torch.zeros(1, 1, 1), torch.zeros(1, 1, 2)
        )
    assert len(called) == (0 if precision == torch.bfloat16 else 2)


def differentiated(module, function, inputs, parameters):
    """Results, and derivatives of a weighted sum of them in every input and parameter, lifted over the seeds."""
    stacked = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    rows = [tensor.clone().requires_grad_() for tensor in inputs]
    results = vmap(lambda values, *rows: functional_call(Calling(module, function), values, rows))(stacked, *rows)
    generator = torch.Generator().manual_seed(3)
    total = sum((result * torch.randn(result.shape, generator=generator)).sum() for result in results)
    return results, torch.autograd.grad(total, [*rows, *stacked.values()], allow_unused=True, materialize_grads=True)


def both_ways(monkeypatch, module, function, *inputs, constants):
    stacked = {
        f"module.{name}": torch.stack([weights(module, s)[name] for s in range(SEEDS)]) for name, _ in module.named_parameters()
    }
    found = differentiated(module, function, inputs, stacked)
    for place in (rssm, networks):
        monkeypatch.setattr(place, "usable", lambda tensor: False)
    expected = differentiated(module, function, inputs, stacked)
    assert sum(not derivative.any() for derivative in expected[1]) == constants
    for group, twins in zip(found, expected):
        for one, other in zip(group, twins, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("activation", [elu, relu])
def test_the_posterior_of_a_sequence_and_its_derivative_are_the_slow_ones_across_episodes(activation, monkeypatch):
    dynamics = RSSM(action=ACTION, embed=4, latent=Gaussian(3), deter=5, hidden=6, activation=activation)
    is_first = torch.zeros(HORIZON, ROWS)
    is_first[0], is_first[2, :3] = 1.0, 1.0

    def observe(dynamics, embed, action, noise):
        posterior, prior = dynamics.observe(embed, action, is_first, noise.detach())
        return *(posterior[name] for name in ("deter", "stoch", "mean", "std")), prior["mean"], prior["std"]

    both_ways(
        monkeypatch, dynamics, observe,
        draw(HORIZON, ROWS, 4), draw(HORIZON, ROWS, ACTION, seed=1), draw(HORIZON, ROWS, 3, seed=2), constants=1,
    )  # fmt: skip


class DynamicsAndActor(torch.nn.Module):
    def __init__(self, policy, activation):
        super().__init__()
        self.dynamics = RSSM(action=ACTION, embed=1, latent=Gaussian(3), deter=5, hidden=6, activation=activation)
        self.actor = MLP(8, policy.raw_size(ACTION), layers=2, hidden=7)


@pytest.mark.parametrize("policy", [TanhNormal(), CategoricalPolicy()], ids=["continuous", "discrete"])
@pytest.mark.parametrize("activation", [elu, relu])
def test_a_dream_and_its_derivative_are_the_slow_ones(policy, activation, monkeypatch):
    def imagine(parts, deter, stoch, latent_noise, policy_noise):
        model = WorldModel.__new__(WorldModel)
        torch.nn.Module.__init__(model)
        model.dynamics = parts.dynamics
        start = {"deter": deter, "stoch": stoch}
        return model.dream(start, parts.actor, policy.sample, latent_noise.detach(), policy_noise.detach())

    uniform = draw(HORIZON, ROWS, ACTION, seed=1).abs() % 1.0
    both_ways(
        monkeypatch, DynamicsAndActor(policy, activation), imagine,
        draw(ROWS, 5), draw(ROWS, 3, seed=4), draw(HORIZON, ROWS, 3, seed=2), uniform, constants=2 + 4,
    )  # fmt: skip


@pytest.mark.parametrize("part", ["encoder", "decoder", "loss"])
def test_images_of_all_seeds_are_those_of_each_seed_alone(part, monkeypatch):
    """Each is computed with its own weights, by convolutions of one seed, and all derivatives come from its own images."""
    images_seen = torch.randint(0, 256, (SEEDS, 2, 3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    encoder, decoder = ImageEncoder(3, depth=2), ImageDecoder(9, 3, depth=2)
    features = draw(2, 3, 9).requires_grad_()
    module, function, inputs = {
        "encoder": (encoder, lambda module, image: module(image), (images_seen,)),
        "decoder": (decoder, lambda module, features: module(features), (features,)),
        "loss": (decoder, lambda module, features, image: image_loss(module(features), image), (features, images_seen)),
    }[part]
    stacked = {name: torch.stack([weights(module, s)[name] for s in range(SEEDS)]) for name, _ in module.named_parameters()}
    leaves = [*(value.requires_grad_() for value in stacked.values()), *(x for x in inputs if x.requires_grad)]
    shapes = []

    def convolve(x, *rest, **more):
        shapes.append((_functorch.is_batchedtensor(x), len(x)))
        return conv2d(x, *rest, **more)

    monkeypatch.setattr(images, "conv2d", convolve)
    found = vmap(lambda values, *rows: functional_call(Calling(module, function), values, rows))(
        {f"module.{name}": value for name, value in stacked.items()}, *inputs
    )
    assert set(shapes) == {(False, 2 * 3)}  # of one seed each, not grouped
    assert len(shapes) % SEEDS == 0
    together = torch.autograd.grad(found.square().sum(), leaves)
    for s in range(SEEDS):
        module.load_state_dict(weights(module, s))
        rows = [tensor[s].detach() for tensor in inputs]
        own = [*module.parameters(), *(row.requires_grad_() for row in rows if row.is_floating_point())]
        result = function(module, *rows)
        torch.testing.assert_close(found[s], result)
        torch.testing.assert_close([part[s] for part in together], list(torch.autograd.grad(result.square().sum(), own)))

"""The backbone: sizes, initial values, layers against torch's own, losses by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn
from torch.nn import functional as F

from agents.behaviors.api import Sizes
from agents.models.images import ImageDecoder, ImageEncoder, image_blocks, images_from_blocks
from agents.models.latents import Gaussian
from agents.models.networks import GRU, initialize
from agents.models.objectives import FreeNats, Reconstruction, unit_normal_loss
from agents.models.rssm import RSSM
from agents.models.world_model import WorldModel
from agents.recipes import dreamer

PIXELS = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
VECTOR = spaces.Dict({"vector": spaces.Box(-np.inf, np.inf, (3,), np.float32)})


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def ready(module, seed=0):
    initialize(module, torch.Generator().manual_seed(seed))
    for parameter in module.parameters():  # biases too, or a lost one would not show
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.1)
    return module


def test_parameter_counts_are_the_published_codes():
    with torch.device("meta"):
        model = dreamer.PROFILES["paper"].world_model(PIXELS)(6)
        sizes = Sizes(features=230, action=6, discrete=False, latent=model.dynamics.latent.noise)
        networks = dreamer.ActorCritic().networks(sizes)
    assert count(model.encoder) == 690_144
    assert count(model.objective) == 3_795_555
    assert count(model.dynamics) == 557_920
    assert count(model.reward_head) == 253_201
    assert count(model) == 5_296_820
    assert count(networks["value"]) == 413_601
    assert count(networks["actor"]) == 578_412
    assert count(model) + sum(map(count, networks.values())) == 6_288_833


def test_discount_head_has_the_published_size():
    with torch.device("meta"):
        model = dreamer.PROFILES["discrete"].world_model(PIXELS)(6)
    assert count(model.discount_head) == 413_601


def test_initial_values_are_glorot_zero_and_orthogonal():
    linear, gru = nn.Linear(30, 50), GRU(20, 10)
    initialize(linear, torch.Generator().manual_seed(0))
    initialize(gru, torch.Generator().manual_seed(0))
    limit = math.sqrt(6 / 80)
    assert linear.bias.abs().max() == 0
    assert 0.95 * limit < linear.weight.abs().max() <= limit
    recurrent = gru.weight_recurrent.T  # Keras' [units, 3 units]
    torch.testing.assert_close(recurrent @ recurrent.T, torch.eye(10), atol=1e-5, rtol=0)


def test_gru_is_torchs_cell():
    gru, cell = ready(GRU(7, 5)), nn.GRUCell(7, 5)
    with torch.no_grad():
        cell.weight_ih.copy_(gru.weight_input)
        cell.weight_hh.copy_(gru.weight_recurrent)
        cell.bias_ih.copy_(gru.bias_input)
        cell.bias_hh.copy_(gru.bias_recurrent)
    inputs, deter = torch.randn(4, 7), torch.randn(4, 5)
    torch.testing.assert_close(gru(inputs, deter), cell(inputs, deter))


def test_blocks_are_a_rearrangement_of_the_scaled_image():
    image = torch.randint(0, 256, (2, 3, 64, 64, 3), dtype=torch.uint8)
    torch.testing.assert_close(images_from_blocks(image_blocks(image)), image / 255 - 0.5, atol=1e-6, rtol=0)


def test_encoder_is_the_plain_stack_of_convolutions():
    encoder, image = ready(ImageEncoder(3, depth=4)), torch.randint(0, 256, (2, 3, 64, 64, 3), dtype=torch.uint8)
    x = (image / 255 - 0.5).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
    for layer in encoder.layers:
        x = F.relu(layer(x))
    torch.testing.assert_close(encoder(image), x.flatten(1).view(2, 3, 128), atol=1e-5, rtol=1e-4)


def test_decoder_is_the_plain_stack_of_transposed_convolutions():
    decoder, features = ready(ImageDecoder(9, 3, depth=4)), torch.randn(2, 3, 9)
    x = decoder.dense(features.flatten(0, 1))[..., None, None]
    for layer in decoder.layers[:-1]:
        x = F.relu(layer(x))
    x = decoder.layers[-1](x).permute(0, 2, 3, 1).view(2, 3, 64, 64, 3)
    torch.testing.assert_close(images_from_blocks(decoder(features)), x, atol=1e-5, rtol=1e-4)


def test_observing_a_sequence_is_filtering_step_by_step():
    rssm = ready(RSSM(action=2, embed=6, latent=Gaussian(3), deter=5, hidden=4))
    embed, action, noise = torch.randn(7, 2, 6), torch.randn(7, 2, 2), torch.randn(7, 2, 3)
    is_first = torch.zeros(7, 2)
    is_first[0] = is_first[4, 1] = 1.0  # an episode begins inside a sequence
    posterior, prior = rssm.observe(embed, action, is_first, noise)
    state = {name: torch.randn_like(value) for name, value in rssm.initial(2).items()}  # forgotten at once
    for t in range(7):
        before = {name: value * (1 - is_first[t])[:, None] for name, value in state.items()}
        predicted = rssm.step(before, action[t] * (1 - is_first[t])[:, None], noise[t])
        state = rssm.filter(state, action[t], embed[t], is_first[t], noise[t])
        for name, value in state.items():
            torch.testing.assert_close(posterior[name][t], value, atol=1e-5, rtol=1e-4)
        for name in ("deter", "mean", "std"):
            torch.testing.assert_close(prior[name][t], predicted[name], atol=1e-5, rtol=1e-4)


def test_image_loss_sums_pixels_and_averages_positions():
    objective = ready(Reconstruction(5, PIXELS, depth=2))
    features, image = torch.randn(3, 2, 5), torch.randint(0, 256, (3, 2, 64, 64, 3), dtype=torch.uint8)
    loss, _ = objective.loss(features, torch.empty(0), {"image": image})
    mean = objective.reconstruct(features)["image"]
    by_hand = -torch.distributions.Normal(mean, 1.0).log_prob(image / 255 - 0.5).sum((-3, -2, -1)).mean()
    torch.testing.assert_close(loss, by_hand, rtol=1e-5, atol=0)


def test_reward_loss_is_a_unit_normal():
    mean, target = torch.randn(4, 3), torch.randn(4, 3)
    torch.testing.assert_close(unit_normal_loss(mean, target), -torch.distributions.Normal(mean, 1.0).log_prob(target).mean())


@pytest.mark.parametrize(("shift", "has_gradient"), [(0.1, False), (3.0, True)])
def test_free_nats_cut_the_gradient_of_the_mean(shift, has_gradient):
    rssm = RSSM(action=1, embed=2, latent=Gaussian(4), deter=3, hidden=3)
    prior = {"mean": torch.zeros(5, 2, 4), "std": torch.ones(5, 2, 4)}
    mean = torch.full((5, 2, 4), shift, requires_grad=True)
    posterior = {"mean": mean, "std": torch.ones(5, 2, 4)}
    loss, metrics = FreeNats(free_nats=3.0).loss(rssm, posterior, prior, {}, {})
    loss.backward()
    assert bool(mean.grad.abs().sum() > 0) is has_gradient
    torch.testing.assert_close(metrics["kl"], torch.tensor(4 * shift**2 / 2))
    assert loss.item() == pytest.approx(max(3.0, 2 * shift**2))


def test_free_nats_of_positions_differ_from_those_of_the_mean():
    rssm = RSSM(action=1, embed=2, latent=Gaussian(1), deter=3, hidden=3)
    posterior = {"mean": torch.tensor([[[0.0]], [[4.0]]]), "std": torch.ones(2, 1, 1)}  # KL 0 and 8, mean 4
    prior = {"mean": torch.zeros(2, 1, 1), "std": torch.ones(2, 1, 1)}
    assert FreeNats().loss(rssm, posterior, prior, {}, {})[0].item() == pytest.approx(4.0)
    assert FreeNats(per_position=True).loss(rssm, posterior, prior, {}, {})[0].item() == pytest.approx(5.5)


def test_discount_loss_is_a_soft_bernoulli_times_ten():
    options = dreamer.Options(stoch=3, deter=4, model_hidden=4, hidden=4, predict_discount=True)
    model = ready(options.world_model(VECTOR)(2))
    batch = {
        "vector": torch.randn(4, 2, 3),
        "action": torch.zeros(4, 2, 2),
        "reward": torch.zeros(4, 2),
        "is_first": torch.zeros(4, 2),
        "is_terminal": torch.tensor([[0.0, 0], [0, 0], [0, 0], [1, 0]]),
    }
    noise = {"latent": torch.randn(4, 2, 3)}
    loss, observed, metrics = model.loss(batch, noise)
    probability = model.discount(observed.features)
    target = 0.99 * (1 - batch["is_terminal"])
    by_hand = -(target * probability.log() + (1 - target) * (1 - probability).log()).mean()
    torch.testing.assert_close(metrics["discount_loss"], by_hand)
    rest = metrics["vector_loss"] + metrics["reward_loss"] + max(3.0, metrics["kl"].item())
    torch.testing.assert_close(loss, rest + 10 * by_hand)


@pytest.mark.parametrize("key", ["image", "vector"])
def test_a_vector_beside_the_image_goes_through_encoder_and_decoder_and_so_does_the_image(key):
    both = spaces.Dict({**PIXELS.spaces, **VECTOR.spaces})
    model = ready(dreamer.Options(stoch=3, deter=4, model_hidden=4, hidden=4, depth=2).world_model(both)(2))
    batch = {
        "image": torch.randint(0, 256, (4, 2, 64, 64, 3), dtype=torch.uint8),
        "vector": torch.randn(4, 2, 3),
        "action": torch.zeros(4, 2, 2),
        "reward": torch.zeros(4, 2),
        "is_first": torch.zeros(4, 2),
    }
    other = {**batch, key: batch[key].flip(0)}
    noise = {"latent": torch.randn(4, 2, 3)}
    loss, observed, metrics = model.loss(batch, noise)
    assert not torch.equal(observed.features, model.loss(other, noise)[1].features)  # seen by the encoder
    drawn = model.objective.reconstruct(observed.features)
    assert {name: values.shape for name, values in drawn.items()} == {"image": (4, 2, 64, 64, 3), "vector": (4, 2, 3)}
    unit = math.prod(both[key].shape) * 0.5 * math.log(2 * math.pi)
    target = batch[key] / 255 - 0.5 if key == "image" else batch[key]
    by_hand = 0.5 * (drawn[key] - target).square().flatten(2).sum(-1).mean()
    torch.testing.assert_close(metrics[f"{key}_loss"], by_hand + unit)  # and asked of the decoder
    assert loss > metrics["image_loss"] + metrics["vector_loss"]


@pytest.mark.parametrize(("dynamics", "weight"), [("rssm", 0.3), ("stochastic", 0.3), ("deterministic", 0.0)])
def test_the_loss_weighs_divergence_and_reward_as_its_options_say(dynamics, weight):
    """Deterministic only has no divergence at all (docs/algorithms/planet.md §5)."""
    options = dreamer.Options(
        stoch=3, deter=4, model_hidden=4, hidden=4, dynamics=dynamics, kl_scale=0.3, free_nats=0.0, reward_scale=7.0
    )
    model = ready(options.world_model(VECTOR)(2))
    batch = {
        "vector": torch.randn(4, 2, 3),
        "action": torch.randn(4, 2, 2),
        "reward": torch.randn(4, 2),
        "is_first": torch.zeros(4, 2),
    }
    loss, observed, metrics = model.loss(batch, {"latent": torch.randn(4, 2, *model.dynamics.latent.noise.shape)})
    gaussians = [torch.distributions.Normal(state["mean"], state["std"]) for state in (observed.posterior, observed.prior)]
    divergence = torch.distributions.kl_divergence(*gaussians).sum(-1).mean()
    error = (model.reward(observed.features) - batch["reward"]).square().mean()
    reward = 0.5 * error + 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(loss, metrics["vector_loss"] + weight * divergence + 7.0 * reward, rtol=1e-5, atol=1e-5)


def test_imagination_steps_the_prior_and_leaves_the_start_out():
    model = ready(dreamer.Options(stoch=3, deter=4, model_hidden=4, hidden=4).world_model(VECTOR)(2))
    start = {name: torch.randn_like(value) for name, value in model.initial(5).items()}
    latent, draws = torch.randn(3, 5, 3), torch.randn(3, 5, 2)
    dream = model.imagine(start, lambda features, draw: torch.tanh(features[:, :2] + draw), latent, draws)
    state = start
    for k in range(3):
        action = torch.tanh(model.features(state)[:, :2] + draws[k])
        state = model.step(state, action, latent[k])
        torch.testing.assert_close(dream.action[k], action)
        torch.testing.assert_close(dream.features[k], model.features(state))


@pytest.mark.parametrize("dynamics", ["rssm", "stochastic", "categorical"])
def test_shared_latent_noise_is_one_draw_a_step_for_every_member_of_the_batch(dynamics):
    """Equal to drawing apart where every member is handed the same draw; off by default."""
    space = spaces.Dict({"vector": spaces.Box(-1, 1, (3,), np.float32)})
    sizes = {"stoch": 2, "deter": 3, "model_hidden": 4, "hidden": 4, "latent_classes": 3, "dynamics": dynamics}
    assert not dreamer.Options().shared_latent_noise
    shared, apart = (dreamer.Options(**sizes, shared_latent_noise=on).world_model(space)(2) for on in (True, False))
    initialize(apart, torch.Generator().manual_seed(0))
    shared.load_state_dict(apart.state_dict())
    generator = torch.Generator().manual_seed(1)
    batch = {
        "vector": torch.randn(4, 5, 3, generator=generator),
        "action": torch.randn(4, 5, 2, generator=generator),
        "reward": torch.zeros(4, 5),
        "is_first": torch.zeros(4, 5),
        "is_terminal": torch.zeros(4, 5),
    }
    kind, shape, _ = shared.noise(4, 5)["latent"]
    assert shape[:2] == (4, 1)
    assert apart.noise(4, 5)["latent"].shape == (4, 5, *shape[2:])
    draw = (torch.randn if kind == "normal" else torch.rand)(shape, generator=generator)
    seen = [model.observe(batch, draw.expand(4, size, *shape[2:])).posterior for model, size in ((shared, 1), (apart, 5))]
    assert torch.equal(*(posterior["stoch"] for posterior in seen))
    start = {name: value.flatten(0, 1) for name, value in seen[0].items()}
    policy_noise = torch.randn(4, 20, 2, generator=generator)
    dreams = [
        model.imagine(start, lambda features, noise: noise, noise, policy_noise).features
        for model, noise in ((shared, draw), (apart, draw.expand(4, 20, *shape[2:])))
    ]
    assert torch.equal(*dreams)


def test_of_a_categorical_state_every_part_skips_a_terminal_row():
    """Logits have an axis more than the other parts; groups and sequences differ in number, so that no shape fits by chance."""
    model = SimpleNamespace(discount_head=object(), start_every=1)
    is_terminal = torch.zeros(4, 2)
    is_terminal[1, 0] = 1.0
    rows = torch.arange(4.0)[:, None].expand(4, 2)
    posterior = {"deter": rows[..., None].expand(4, 2, 5), "logits": rows[..., None, None].expand(4, 2, 3, 7)}
    for part in WorldModel.starts(model, posterior, is_terminal).values():
        assert part.flatten(1).amin(1).tolist() == part.flatten(1).amax(1).tolist() == [0, 0, 2, 1, 2, 2]

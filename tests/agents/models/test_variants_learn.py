"""Every variant of the backbone trains and acts through the learner, with each kind of arm that could trip over it."""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from agents import catalog
from agents.api import TimeStep
from agents.learning.lifting import LoopOverSeeds, Vmap
from agents.models.networks import initialize
from agents.models.reduced_bits import reduced
from tests.agents.recipes.test_arms_share_the_backbone import OBSERVATION, TINY, built, feed

VARIANTS = {
    "contrastive": {"representation": "contrastive"},
    "contrastive, images vary": {"representation": "contrastive_images"},
    "reward only": {"representation": "reward_only"},
    "deterministic": {"dynamics": "deterministic"},
    "stochastic": {"dynamics": "stochastic"},
    "categorical": {"dynamics": "categorical", "latent_classes": 4, "kl_balance": 0.8, "free_nats": 0.0},
    "layer norm, ELU in convolutions": {"cell": "layer_norm", "image_activation": "elu"},
    "two sigmoids, model first, decay": {"latent_std": "double_sigmoid", "model_first": True, "weight_decay": 1e-6},
    "reward head alone": {"reward_gradients": False},
    "overshooting and global prior": {"overshooting_distance": 4, "global_prior_scale": 0.1},
    "plain sums": {"undiscounted": True},
    "every fifth bit": {"image_bits": 5, "activation": "relu"},
}
ARM_OF = {"categorical": "planet", "stochastic": "sac", "plain sums": "no_value"}


@functools.cache
def learned(arm):
    """The weights of the arm's own settings after one update, by group."""
    agent = built(arm, "continuous")
    feed(agent, "continuous")
    agent.update()
    return {name: group.values.clone() for name, group in agent.learner.groups.items()}


@pytest.mark.parametrize("lift", [LoopOverSeeds, Vmap])
@pytest.mark.parametrize("name", VARIANTS)
def test_variant_trains_and_acts_and_is_not_ignored(name, lift):
    arm = ARM_OF.get(name, "dreamer")
    agent = built(arm, "continuous", **VARIANTS[name])
    agent.learner.lift = lift(agent.learner.skeleton, agent.learner.groups)
    feed(agent, "continuous")
    before = agent.learner.groups["world_model"].values.clone()
    agent.update()
    metrics = agent.metrics()
    assert np.isfinite(metrics["model_loss"]).all()
    assert not agent.diverged.any()
    after = {group: held.values for group, held in agent.learner.groups.items()}
    assert (after["world_model"] != before).any()
    assert any(
        values.shape != after[group].shape or not torch.allclose(values, after[group]) for group, values in learned(arm).items()
    )
    observation = {"image": np.zeros((1, 1, 64, 64, 3), np.uint8), "vector": np.zeros((1, 1, 2), np.float32)}
    flags = [np.full((1, 1), flag) for flag in (True, False, False)]
    action, _ = agent.act(agent.initial(1), TimeStep(observation, np.zeros((1, 1), np.float32), *flags), explore=True)
    assert np.abs(action).max() <= 1.0


def test_discrete_profiles_have_the_published_numbers():
    for name in ("dreamer", "no_value"):
        options = catalog.find(name).options("discrete")
        assert (options.horizon, options.kl_scale, options.clip_rewards, options.predict_discount) == (10, 0.1, True, True)


def test_the_default_backbone_is_the_papers():
    options = catalog.find("dreamer").options("paper")
    chosen = {
        name: getattr(options, name)
        for name in (
            "representation",
            "dynamics",
            "kl_balance",
            "overshooting_distance",
            "global_prior_scale",
            "image_bits",
            "activation",
            "reward_scale",
        )
    }
    assert chosen == {
        "representation": "reconstruction",
        "dynamics": "rssm",
        "kl_balance": 0.0,
        "overshooting_distance": 0,
        "global_prior_scale": 0.0,
        "image_bits": 8,
        "activation": "elu",
        "reward_scale": 1.0,
    }


def test_five_bits_leave_32_levels_in_the_middle_of_their_bins():
    every = torch.arange(256, dtype=torch.uint8)
    assert reduced(every, 5).tolist() == [8 * (value // 8) + 4 for value in range(256)]


def test_a_model_of_five_bits_neither_sees_nor_is_asked_for_the_lower_three():
    options = dataclasses.replace(catalog.find("dreamer").options("paper"), **TINY, image_bits=5)
    model, generator = options.world_model(OBSERVATION)(2), torch.Generator().manual_seed(0)
    initialize(model, generator)
    image = torch.randint(0, 256, (4, 2, 64, 64, 3), dtype=torch.uint8, generator=generator)
    batch = {
        "image": image,
        "vector": torch.zeros(4, 2, 2),
        "action": torch.randn(4, 2, 2, generator=generator),
        "reward": torch.zeros(4, 2),
        "is_first": torch.zeros(4, 2),
    }
    noise = {"latent": torch.randn(4, 2, TINY["stoch"], generator=generator)}
    loss, observed, metrics = model.loss(batch, noise)
    mean = model.reconstruct(observed.features)["image"]
    middle = (image // 8 * 8 + 4) / 255.0 - 0.5
    by_hand = -torch.distributions.Normal(mean, 1.0).log_prob(middle).sum((-3, -2, -1)).mean()
    torch.testing.assert_close(metrics["image_loss"], by_hand.detach(), rtol=1e-5, atol=0.0)
    assert torch.equal(model.loss({**batch, "image": image ^ 7}, noise)[0], loss)
    assert not torch.equal(model.loss({**batch, "image": image ^ 8}, noise)[0], loss)

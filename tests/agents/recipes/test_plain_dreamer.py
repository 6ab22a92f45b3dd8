"""The agent's update against the plain one of the benchmarks: same weights, same noise, same losses and gradients."""

import numpy as np
import torch
from gymnasium import spaces

from agents.api import AgentContext
from agents.recipes import dreamer
from tests.benchmarks.plain_dreamer import PlainDreamer

SIZES = {"stoch": 3, "deter": 5, "depth": 2, "horizon": 4}


def copy_into(plain, parts):
    model = parts.world_model
    rssm, decoder = model.dynamics, model.objective.decoder.image
    pairs = [(plain.encoder[2 * i], model.encoder.image.layers[i]) for i in range(4)]
    pairs += [(plain.decoder[2 * i], decoder.layers[i]) for i in range(4)] + [(plain.dense, decoder.dense)]
    pairs += [
        (plain.input, rssm.input),
        (plain.prior[0], rssm.prior_hidden),
        (plain.prior[2], rssm.prior_statistics),
        (plain.posterior[0], rssm.posterior_hidden),
        (plain.posterior[2], rssm.posterior_statistics),
    ]
    for mine, theirs in ((plain.reward, model.reward_head.mlp), (plain.actor, parts.actor), (plain.value, parts.value.mlp)):
        pairs += [(mine[2 * i], layer) for i, layer in enumerate(theirs.layers)]
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.weight.copy_(theirs.weight)
            mine.bias.copy_(theirs.bias)
        for mine, theirs in (
            ("weight_ih", "weight_input"),
            ("weight_hh", "weight_recurrent"),
            ("bias_ih", "bias_input"),
            ("bias_hh", "bias_recurrent"),
        ):
            getattr(plain.cell, mine).copy_(getattr(rssm.gru, theirs))


def test_plain_dreamer_makes_the_same_update():
    space = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), np.uint8)})
    context = AgentContext(
        observation_space=space,
        action_space=spaces.Box(-1, 1, (2,), np.float32),
        seeds=(0,),
        num_envs=1,
        action_repeat=1,
        budget_env_steps=1,
    )
    agent = dreamer.build(dreamer.Options(model_hidden=6, hidden=7, batch_length=5, batch_sequences=2, **SIZES), context)
    plain = PlainDreamer(2, hidden=6, units=7, **SIZES)
    copy_into(plain, agent.learner.lift.modules[0])
    torch.manual_seed(0)
    image = torch.randint(0, 256, (5, 2, 64, 64, 3), dtype=torch.uint8)
    action, reward, is_first = torch.rand(5, 2, 2) * 2 - 1, torch.randn(5, 2), torch.zeros(5, 2)
    is_first[0], action[0] = 1, 0
    model_noise = agent.noise.draw(agent.model_noise, 2, 0, 0)
    noise = agent.noise.draw(agent.loss_noise, 2, 0, 1)
    agent.learner.update(
        {
            "image": image[None],
            "action": action[None],
            "reward": reward[None],
            "is_first": is_first[None],
            "is_terminal": torch.zeros(1, 5, 2),
        },
        model_noise,
        [noise],
    )
    losses = plain.losses(
        (image / 255 - 0.5).permute(0, 1, 4, 2, 3).contiguous(),
        action,
        reward,
        {"latent": model_noise["latent"][0], "dream_latent": noise["latent"][0], "dream_policy": noise["policy"][0]},
    )
    metrics = agent.learner.drain()
    for name, loss in losses.items():
        torch.testing.assert_close(metrics[name][0], loss.detach(), rtol=1e-5, atol=1e-5)
    for name, module, loss in (
        ("world_model", plain.model, "model_loss"),
        ("actor", plain.actor, "actor_loss"),
        ("value", plain.value, "value_loss"),
    ):
        gradients = torch.autograd.grad(losses[loss], list(module.parameters()), retain_graph=True)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        torch.testing.assert_close(metrics[f"{name}_gradient_norm"][0], norm, rtol=1e-4, atol=1e-6)

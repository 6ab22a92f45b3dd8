"""SAC's losses and derivatives through real networks, against a loop over single transitions written from the definition."""

import math

import pytest
import torch
from probe_training import TINY_WIDTHS, built, train
from torch.distributions import Normal
from torch.nn.functional import one_hot

from agents.behaviors.soft_actor_critic import SoftActorCritic
from agents.models.world_model import Observed
from suites import catalog

LENGTH, SEQUENCES, BURN_IN, GAMMA = 5, 3, 1, 0.9
TINY = {
    **TINY_WIDTHS,
    "batch_sequences": SEQUENCES,
    "batch_length": LENGTH,
    "burn_in": BURN_IN,
}


def maker(discrete):
    return lambda: catalog.make("probe_action", pixels=False, discrete=discrete)


def of_one(network, inputs):
    return network(inputs[None])[0]


def twins(critic):
    return critic.first, critic.second


def continuous_terms(parts, row, alpha):
    """(squared errors, actor's objective, entropy) of one transition; row: features, action, ..., and both draws."""
    f, action, reward, discount, following, draw, next_draw = row

    def drawn(features, noise):
        mean, raw = of_one(parts.actor, features).chunk(2)
        std = (-5.0 + 3.5 * (raw.tanh() + 1.0)).exp()  # log-std within [-5, 2]
        u = mean + std * noise
        slope = 1.0 - u.double().tanh() ** 2  # in single precision few digits are left of it
        return u.tanh(), (Normal(mean, std).log_prob(u) - slope.log()).sum().float()

    def both(critic, features, action):
        return [of_one(network, torch.cat([features, action]))[0] for network in twins(critic)]

    following_action, following_log = drawn(following, next_draw)
    target = (reward + discount * (min(both(parts.slow_critic, following, following_action)) - alpha * following_log)).detach()
    own_action, own_log = drawn(f, draw)
    errors = sum((q - target) ** 2 for q in both(parts.critic, f, action))
    return errors, alpha * own_log - min(both(parts.critic, f, own_action)), -own_log


def discrete_terms(parts, row, alpha):
    f, action, reward, discount, following, *_ = row

    def chances(features):
        return of_one(parts.actor, features).softmax(-1)

    soft = 0.0
    for choice, chance in enumerate(chances(following)):
        q = min(of_one(network, following)[choice] for network in twins(parts.slow_critic))
        soft = soft + chance * (q - alpha * chance.log())
    target = (reward + discount * soft).detach()
    chosen = int(action.argmax())
    errors = sum((of_one(network, f)[chosen] - target) ** 2 for network in twins(parts.critic))
    objective, surprise = 0.0, 0.0
    for choice, chance in enumerate(chances(f)):
        q = min(of_one(network, f)[choice] for network in twins(parts.critic)).detach()
        objective = objective + chance * (alpha * chance.log() - q)
        surprise = surprise - chance * chance.log()
    return errors, objective, surprise


@pytest.mark.parametrize("subset", [0, 4])
@pytest.mark.parametrize("discrete", [False, True])
def test_losses_and_gradients_equal_a_loop_over_transitions(discrete, subset):
    agent = built("sac", maker(discrete), (0,), 1, **TINY)
    parts, width = agent.learner.lift.modules[0], agent.action_width
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for network in (parts.critic, parts.slow_critic, parts.actor):  # the slow critics are other ones by now
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        parts.temperature.bias_log_alpha.fill_(0.7)
    behavior = SoftActorCritic(control=agent.behavior.control, gamma=GAMMA, transitions=subset, burn_in=BURN_IN)
    features = torch.randn(LENGTH, SEQUENCES, agent.sizes.features, generator=generator)
    action = torch.rand(LENGTH, SEQUENCES, width, generator=generator) * 2 - 1
    batch = {
        "action": one_hot(action.argmax(-1), width).float() if discrete else action,
        "reward": torch.randn(LENGTH, SEQUENCES, generator=generator),
        "is_first": torch.zeros(LENGTH, SEQUENCES),
        "is_terminal": torch.zeros(LENGTH, SEQUENCES),
    }
    batch["is_terminal"][2, 1] = batch["is_first"][3, 1] = 1.0  # an episode ends inside the second sequence
    noise = {
        name: (torch.randn if spec.kind == "normal" else torch.rand)(spec.shape, generator=generator)
        for name, spec in behavior.loss_noise(agent.sizes, LENGTH, SEQUENCES).items()
    }
    observed = Observed({}, {}, features, torch.empty(0))
    losses, metrics = behavior.losses(parts, observed, batch, noise, torch.zeros(()))

    places = [(t, b) for t in range(BURN_IN, LENGTH - 1) for b in range(SEQUENCES)]
    if subset:
        places = [places[int(draw * len(places))] for draw in noise["subset"].tolist()]
    log_alpha = parts.temperature.bias_log_alpha[0] + math.log(behavior.initial_alpha)
    alpha = log_alpha.exp()
    totals, count = torch.zeros(3), 0
    for n, (t, b) in enumerate(places):
        if batch["is_first"][t + 1, b]:
            continue  # the two rows belong to different episodes
        row = (
            features[t, b],
            batch["action"][t + 1, b],
            batch["reward"][t + 1, b],
            GAMMA * (1.0 - batch["is_terminal"][t + 1, b]),
            features[t + 1, b],
            noise["policy"][n],
            noise["next_policy"][n],
        )
        terms = (discrete_terms if discrete else continuous_terms)(parts, row, alpha.detach())
        totals, count = totals + torch.stack(terms), count + 1
    critic, actor, entropy = totals / count
    goal = 0.98 * math.log(width) if discrete else -width
    expected = {"critic": critic, "actor": actor, "temperature": alpha * (entropy.detach() - goal)}
    assert losses.keys() == expected.keys()
    for group, loss in expected.items():
        torch.testing.assert_close(losses[group], loss, atol=1e-5, rtol=1e-4)
        leaves = list(parts.get_submodule(group).parameters())
        for found, wanted in zip(
            torch.autograd.grad(losses[group], leaves, retain_graph=True), torch.autograd.grad(loss, leaves, retain_graph=True)
        ):
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(metrics["policy_entropy"], entropy.detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(metrics["alpha"], alpha.detach())


@pytest.mark.parametrize(("ratio", "behavior_updates"), [("matched", 1), ("typical", 5)])
def test_slow_critics_follow_after_every_behaviour_update(ratio, behavior_updates, monkeypatch):
    agent = built("sac", maker(False), (0, 1), 1, **{**TINY, "tau": 0.1, "update_ratio": ratio, "prefill_env_steps": 10**6})
    train(agent, maker(False), (0, 1), 1, 20)
    critic, slow = (agent.learner.groups[name] for name in ("critic", "slow_critic"))
    expected, descend = slow.values.clone(), type(critic).descend

    def followed(group, *inputs):
        descend(group, *inputs)
        if group is critic:
            expected.add_(0.1 * (critic.values - expected))

    monkeypatch.setattr(type(critic), "descend", followed)
    before = critic.values.clone()
    agent.update()
    assert (agent.learner.gradient_steps, agent.learner.descents) == (1, behavior_updates)
    assert not torch.equal(critic.values, before)
    assert not torch.equal(slow.values, critic.values)
    torch.testing.assert_close(slow.values, expected, atol=1e-7, rtol=1e-5)

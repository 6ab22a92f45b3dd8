"""DreamerV2's pieces one by one, against numbers worked out apart from this code, and the sizes of the paper's agent."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions as td

from agents import catalog
from agents.api import AgentContext
from agents.behaviors.api import OptimizerSettings, SlowCopy
from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.behaviors.over_time import Ramp
from agents.behaviors.policy_gradients import Dynamics, Mixed, OfNextState, Reinforce
from agents.behaviors.returns import cumulative_discount, lambda_return
from agents.learning.learner import Group
from agents.models.networks import LayerNormGRU, initialize
from agents.models.truncated_normal import TruncatedNormal
from agents.recipes import dreamer_v2

CONTROL = spaces.Box(-1, 1, (6,), np.float32)
GREY, COLOUR = (spaces.Dict({"image": spaces.Box(0, 255, (64, 64, channels), np.uint8)}) for channels in (1, 3))


def parameters(options, space, action):
    """Names of the parts -> numbers in them, as the learner counts them."""
    context = AgentContext(
        observation_space=space, action_space=action, seeds=(0,), num_envs=1, action_repeat=1, budget_env_steps=1
    )
    learner = dreamer_v2.build(options, context).learner
    model = learner.skeleton.world_model
    parts = {name: part for name, part in learner.skeleton.named_children() if name != "world_model"}
    parts |= {"encoder": model.encoder, "decoder": model.objective, "dynamics": model.dynamics, "reward": model.reward_head}
    if model.discount_head is not None:
        parts["discount"] = model.discount_head
    return {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}


def test_the_papers_agent_has_22245398_parameters_at_18_actions():
    """Counted from the sizes by hand; the copy of the value is not the agent's."""
    found = parameters(dreamer_v2.ATARI, GREY, spaces.Discrete(18))
    assert found.pop("slow_value") == 1_131_601
    assert found == {
        "encoder": 1_549_776,
        "decoder": 10_497_553,
        "dynamics": 5_664_848,
        "reward": 1_131_601,
        "discount": 1_131_601,
        "actor": 1_138_418,
        "value": 1_131_601,
    }
    assert sum(found.values()) == 22_245_398


def test_the_agent_for_control_has_15604385_parameters_at_6_actions():
    found = parameters(dreamer_v2.DMC, COLOUR, CONTROL)
    assert sum(found.values()) - found["slow_value"] == 15_604_385


@pytest.mark.parametrize(
    ("override", "less"), [({"cell": "keras"}, 1_800), ({"dynamics": "rssm", "latent_std": "double_sigmoid"}, 4_860_032)]
)
def test_ablations_of_the_model_have_the_sizes_that_the_paper_implies(override, less):
    """The Keras cell lacks the layer norm's 3,600 numbers and has 1,800 more biases; 32 Gaussians are 17,385,366 in all."""
    found = parameters(dataclasses.replace(dreamer_v2.ATARI, **override), GREY, spaces.Discrete(18))
    assert sum(found.values()) - found["slow_value"] == pytest.approx(22_245_398 - less, abs=0 if less == 1_800 else 400)


def test_the_layer_norm_cell_is_the_codes_on_the_fixture():
    """Kernel 0.1 · (1 … 24) - 1.2 in 6 rows; epsilon 1e-5, PyTorch's own, would give 0.29056447."""
    cell = LayerNormGRU(2, 2)
    with torch.no_grad():
        cell.joint.weight.copy_((0.1 * torch.arange(1, 25) - 1.2).view(6, 4))
        cell.joint.bias.copy_(torch.tensor([0.1, -0.1, 0.2, -0.2, 0.3, -0.3]))
        cell.scale.fill_(1.0)
        cell.bias.zero_()
    found = cell(torch.tensor([[0.5, -1.0]]), torch.tensor([[0.25, -0.5]]))
    torch.testing.assert_close(found, torch.tensor([[0.29043143, -0.49092606]]), atol=1e-6, rtol=0)


def test_the_layer_norm_cell_starts_with_unit_scale_and_one_joint_glorot_kernel():
    cell = LayerNormGRU(300, 200)
    initialize(cell, torch.Generator().manual_seed(0))
    assert (cell.scale == 1).all()
    assert (cell.bias == 0).all()
    limit = (6.0 / (500 + 600)) ** 0.5
    assert cell.joint.weight.abs().max().item() == pytest.approx(limit, rel=1e-3)


REWARD = torch.tensor([[0.5], [1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)
DISCOUNT = torch.tensor([[0.999], [0.9], [0.8], [0.7], [0.6]], dtype=torch.float64)
SLOW = torch.tensor([[5.0], [10.0], [20.0], [30.0], [40.0]], dtype=torch.float64)
VALUE = torch.tensor([[4.0], [9.0], [21.0], [29.0], [41.0]], dtype=torch.float64)
LOG_PROB = torch.tensor([[-0.5], [-1.0], [-1.5], [-2.0]], dtype=torch.float64)
ENTROPY = torch.tensor([[0.6], [0.7], [0.8], [0.9]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("gradient", "loss"),
    [
        (Reinforce(), 9.16627072),
        (Reinforce(slow_baseline=True), 8.76904322),
        (Dynamics(), -23.90801283),
        (Mixed(share=0.9), 5.85884236),
        (OfNextState(inner=Reinforce(slow_baseline=True)), 13.82209047),
        (OfNextState(inner=Dynamics()), -26.46238619),
    ],
)
def test_the_actors_loss_on_the_fixture(gradient, loss):
    """Five states worked out in NumPy: returns 24.51676919, 24.7798, 26.76, 31; weights 1, 0.999, 0.8991, 0.71928."""
    returns, weight = lambda_return(REWARD, DISCOUNT, SLOW, 0.95), cumulative_discount(DISCOUNT)
    assert returns.flatten().tolist() == pytest.approx([24.51676919, 24.7798, 26.76, 31.0], abs=1e-8)
    objective = gradient.objective(returns, lambda: LOG_PROB, VALUE, SLOW, torch.zeros(()))
    decided = len(objective)
    found = -(weight[:decided] * (objective + 1e-3 * ENTROPY[:decided])).mean()
    assert found.item() == pytest.approx(loss, abs=1e-8)


def test_the_score_function_counts_once_through_a_straight_through_action():
    """Its gradient is advantage · (action - p). Through the action it would be -0.67, 1.35, -0.68."""
    logits = torch.tensor([0.2, -0.3, 0.1], dtype=torch.float64, requires_grad=True)
    policy = CategoricalPolicy()
    action = policy.sample(logits, torch.tensor([0.5, 0.999999, 0.5], dtype=torch.float64))
    assert action.detach().round().tolist() == [0, 1, 0]
    found = torch.autograd.grad(2.0 * policy.log_prob(logits, action), logits)[0]
    assert found.tolist() == pytest.approx([-0.79637868, 1.51697191, -0.72059323], abs=1e-8)


@pytest.mark.parametrize(
    ("raw", "uniform", "mean", "std", "action", "log_prob", "entropy"),
    [
        ((0.0, 0.0), 0.5, 0.0, 1.1, 0.0, -0.56278866, 0.68597785),
        ((0.5, -1.0), 0.25, 0.46211716, 0.85508134, -0.20813442, -0.70098198, 0.63063695),
        ((2.0, 1.0), 0.9, 0.96402758, 1.34491866, 0.85201523, -0.39450392, 0.65020376),
    ],
)
def test_the_truncated_normal_on_the_fixture(raw, uniform, mean, std, action, log_prob, entropy):
    policy = TruncatedNormal()
    raw, uniform = torch.tensor(raw, dtype=torch.float64), torch.tensor([uniform], dtype=torch.float64)
    assert [x.item() for x in policy.statistics(raw)] == pytest.approx([mean, std], abs=1e-8)
    drawn = policy.sample(raw, uniform)
    assert drawn.item() == pytest.approx(action, abs=1e-7)
    assert policy.log_prob(raw, drawn).item() == pytest.approx(log_prob, abs=1e-7)
    assert policy.entropy(raw, uniform).item() == pytest.approx(entropy, abs=2e-7)


def test_the_truncated_normals_entropy_and_draws_are_those_of_quadrature():
    raw = torch.tensor([1.2, -3.0], dtype=torch.float64)
    policy = TruncatedNormal()
    mean, std = policy.statistics(raw)
    grid = torch.linspace(-1, 1, 200_001, dtype=torch.float64)
    density = td.Normal(mean, std).log_prob(grid).exp()
    density = density / torch.trapezoid(density, grid)
    assert policy.entropy(raw, grid).item() == pytest.approx(
        -torch.trapezoid(torch.xlogy(density, density), grid).item(), abs=1e-8
    )
    draws = policy.sample(raw.expand(100_000, 2), (torch.arange(100_000).double()[:, None] + 0.5) / 100_000)
    assert draws.mean().item() == pytest.approx(torch.trapezoid(density * grid, grid).item(), abs=1e-4)


@pytest.mark.parametrize("exact", [True, False])
def test_only_the_exact_truncated_normal_has_the_derivative_of_its_draws(exact):
    policy, uniform = TruncatedNormal(exact=exact), torch.tensor([0.8], dtype=torch.float64)
    raw = torch.tensor([0.7, 0.4], dtype=torch.float64, requires_grad=True)
    found = torch.autograd.grad(policy.sample(raw, uniform).sum(), raw)[0]
    step = 1e-6 * torch.eye(2, dtype=torch.float64)
    true = torch.stack([(policy.sample(raw + s, uniform) - policy.sample(raw - s, uniform)).sum() / 2e-6 for s in step])
    assert torch.allclose(found, true.detach(), atol=1e-7) == exact


def test_the_truncated_normal_stays_finite_at_the_ends_of_float32():
    policy = TruncatedNormal()
    raw = torch.tensor([[9.0, -40.0], [-9.0, -40.0], [0.0, 40.0]], requires_grad=True)
    for uniform in (0.0, 1.0 - 2.0**-24):
        drawn = policy.sample(raw, torch.full((3, 1), uniform))
        total = drawn.sum() + policy.entropy(raw, drawn).sum() + policy.log_prob(raw, drawn).sum()
        assert torch.isfinite(total)
        assert (drawn.abs() <= 1.0).all()
        assert torch.isfinite(torch.autograd.grad(total, raw)[0]).all()


def group(**settings):
    """Two seeds of one number, 1, with a gradient of 1/2."""
    made = Group(torch.nn.Linear(1, 1, bias=False), 2, torch.device("cpu"), OptimizerSettings(learning_rate=2e-4, **settings))
    made.values[:, 0], made.gradient[:, 0] = 1.0, 0.5
    return made


def test_decay_is_decoupled_from_the_learning_rate_and_spares_a_seed_that_diverged():
    """1 · (1 - 1e-6) - 2e-4 · 0.5 / (0.5 + 1e-5 / √0.001) = 0.999799126411157 with Keras' epsilon."""
    made = group(epsilon=1e-5, weight_decay=1e-6)
    made.values, made.gradient = made.values.double(), made.gradient.double()
    made.mean, made.square, made.scratch = (torch.zeros_like(made.values) for _ in range(3))
    made.descend(torch.tensor([True, False]), torch.ones(2, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    assert made.values[:, 0].tolist() == pytest.approx([0.999799126411157, 1.0], abs=3e-8)  # 1 - 1e-6 in float32


def test_a_slow_copy_is_renewed_after_updates_1_and_101_and_between_not():
    copy = SlowCopy(source="value", every=100)
    moved = [number for number in range(1, 302) if copy.step(torch.tensor(float(number))) == 1.0]
    assert moved == [1, 101, 201, 301]
    assert copy.step(torch.tensor(2.0)) == 0.0
    assert SlowCopy(source="critic", fraction=0.005).step(torch.tensor(7.0)) == 0.005


def test_a_ramp_is_a_straight_line_between_two_constants():
    """The first release half-way, after 1.25e6 decisions: 1.65e-3."""
    options = dreamer_v2.PROFILES["atari-schedules"]
    ramp = options.over_time(options.actor_entropy_start, options.actor_entropy)
    decisions_per_update, before = 16, 50_000
    halfway = (1_250_000 - before) / decisions_per_update
    assert [ramp.at(torch.tensor(steps)).item() for steps in (halfway, 1e9)] == pytest.approx([1.65e-3, 3e-4])
    share = options.over_time(options.reinforce_start, options.reinforce)
    assert 1.0 - share.at(torch.tensor(halfway)).item() == pytest.approx(0.05)
    assert Ramp(start=1.0, end=0.0, gradient_steps=10).at(torch.tensor(0.0)) == 1.0


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"reinforce": 1.5}, "option reinforce must be"),
        ({"slow_value_every": 0}, "option slow_value_every must be"),
        ({"cell": "lstm"}, "option cell must be one of keras, layer_norm"),
        ({"skip_short_episodes": False}, "replay_capacity needs skip_short_episodes"),
        ({"replay_capacity": 40}, "replay_capacity must be 0 or above batch_length"),
        ({"weight_decay": -1.0}, "option weight_decay"),
    ],
)
def test_settings_without_meaning_are_refused_in_one_line(options, line):
    with pytest.raises(ValueError, match=line) as caught:
        dataclasses.replace(catalog.find("dreamer_v2").options("atari"), **options)
    assert "\n" not in str(caught.value)

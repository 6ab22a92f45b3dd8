"""DreamerV2: categorical latents, a balanced KL, and an actor that learns by Reinforce. Hafner et al. 2021.

Its defaults are those of the `atari` block of danijar/dreamerv2 0216d33, the code of the paper's date. Where the paper, this
code and the later code disagree, docs/algorithms/dreamer_v2.md says what we chose. The model is that of all arms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from gymnasium import spaces

from agents.api import AgentContext
from agents.behaviors.actor_critic import ActorCritic
from agents.behaviors.categorical_policy import CategoricalPolicy
from agents.behaviors.exploration import AsActed
from agents.behaviors.over_time import Ramp, Weight
from agents.behaviors.policy_gradients import Dynamics, Mixed, OfNextState, PolicyGradient, Reinforce, SlowValue
from agents.behaviors.scored_states import FromEveryRow, FromStart
from agents.learning import model_based
from agents.models.distributions import Policy
from agents.models.truncated_normal import TruncatedNormal
from agents.recipes import backbone
from agents.recipes.backbone import Backbone
from agents.recipes.profiles import QUICK, SMALL, SMALL_ACTOR, with_derived
from dreamer_bench_options import Above, AtLeast, Between


@dataclass(frozen=True, kw_only=True)
class Options(Backbone):
    """The paper's agent for Atari.

    The options of actor and value stand apart from `Dreaming`'s: each has another default and another source, and it adds no
    noise of its own to actions, so `exploration` and `init_std` have no meaning here.
    """

    horizon: Annotated[int, AtLeast(2)] = 15
    """Scored states of a dream, including its start (§6)."""
    lambda_: Annotated[float, Between(0, 1)] = 0.95
    """λ of the returns (§6)."""
    actor_layers: Annotated[int, AtLeast(0)] = 4
    """Hidden layers of the actor (§3)."""
    value_layers: Annotated[int, AtLeast(0)] = 4
    """Hidden layers of the value network (§3)."""
    actor_learning_rate: Annotated[float, Above(0)] = 4e-5
    """Learning rate of Adam for the actor (§7)."""
    value_learning_rate: Annotated[float, Above(0)] = 1e-4
    """Learning rate of Adam for the value network (§7)."""
    actor_entropy: Annotated[float, AtLeast(0)] = 1e-3
    """Weight of the actor's entropy in its loss: 1e-3 on Atari, 1e-4 for control (§6)."""
    reinforce: Annotated[float, Between(0, 1)] = 1.0
    """Discrete actions: share of Reinforce in the actor's gradient; the rest flows through the dynamics (§6)."""
    reinforce_continuous: Annotated[float, Between(0, 1)] = 0.0
    """Continuous actions: share of Reinforce in the actor's gradient (§6)."""
    slow_value_every: Annotated[int, AtLeast(1)] = 100
    """Updates between two copies of the value network to the slow one, which supplies the values in returns (§6)."""
    ramp_env_steps: Annotated[int, AtLeast(0)] = 0
    """Env steps over which `actor_entropy` and `reinforce` move linearly from their start values to these; 0: no ramp (§6)."""
    actor_entropy_start: Annotated[float, AtLeast(0)] = 3e-3
    """Start value of `actor_entropy` with a ramp; from the first release, 2020-12 (§6)."""
    reinforce_start: Annotated[float, Between(0, 1)] = 0.9
    """Start value of `reinforce` with a ramp; from the first release, 2020-12 (§6)."""
    next_return: bool = False
    """Advantage of an action: the return of the next state minus the slow value, as in the code of 2022-05 (§6)."""
    every_row: bool = False
    """Start dreams also at the last rows of sequences, with the true discount, as in the code of 2022-05 (§6)."""
    exact_truncation: bool = False
    """Use the true derivative of the truncated normal's sampler instead of TensorFlow's, which the original used (§4)."""

    def over_time(self, start: float, end: float) -> Weight:
        """A weight that the ramp of `ramp_env_steps` moves from start to end, counted in updates."""
        if not self.ramp_env_steps or start == end:
            return end
        updates_per_env_step = self.updates / self.update_every_env_steps
        return Ramp(
            start=start,
            end=end,
            gradient_steps=self.ramp_env_steps * updates_per_env_step,
            earlier=self.prefill_env_steps * updates_per_env_step,
        )

    def gradient(self, *, discrete: bool) -> PolicyGradient:
        score = Reinforce(slow_baseline=self.next_return)
        share = self.over_time(self.reinforce_start, self.reinforce) if discrete else self.reinforce_continuous
        alone: Mapping[Weight, PolicyGradient] = {0.0: Dynamics(), 1.0: score}
        gradient = alone.get(share, Mixed(share=share, reinforce=score))
        return OfNextState(inner=gradient) if self.next_return else gradient


ATARI = Options(
    deter=600,
    model_hidden=600,
    stoch=32,
    latent_classes=32,
    dynamics="categorical",
    cell="layer_norm",
    depth=48,
    image_activation="elu",
    reward_layers=4,
    discount_layers=4,
    kl_scale=0.1,
    kl_balance=0.8,
    free_nats=0.0,
    discount=0.999,
    predict_discount=True,
    discount_scale=5.0,
    clip_rewards=True,
    model_learning_rate=2e-4,
    adam_epsilon=1e-5,
    weight_decay=1e-6,
    model_first=True,
    prefill_env_steps=200_000,
    pretrain_updates=1,
    update_every_env_steps=64,
    updates=1,
    balance_ends=True,
    replay_capacity=2_000_000,
    skip_short_episodes=True,
)
"""danijar/dreamerv2 0216d33, `atari`; an update every 16 decisions of 4 frames."""

DMC = replace(
    ATARI,
    deter=200,
    model_hidden=200,
    kl_scale=1.0,
    free_nats=1.0,
    discount=0.99,
    predict_discount=False,
    clip_rewards=False,
    model_learning_rate=3e-4,
    actor_learning_rate=8e-5,
    value_learning_rate=8e-5,
    actor_entropy=1e-4,
    prefill_env_steps=5000,
    pretrain_updates=100,
    update_every_env_steps=10,
    balance_ends=False,
)
"""danijar/dreamerv2 0216d33, `dmc`: an update every 5 decisions of 2 simulator steps."""

SCHEDULES: Mapping[str, Any] = {
    "ramp_env_steps": 10_000_000,
    "actor_entropy": 3e-4,
    "actor_entropy_start": 3e-3,
    "reinforce": 1.0,
    "reinforce_start": 0.9,
}
"""The first release: entropy and mix change over 2.5e6 decisions of 4 frames. Hafner et al. 2021, Table 1, last row (§6)."""

QUICK_OPTIONS = replace(
    DMC,
    **QUICK,
    latent_classes=8,
    actor_learning_rate=5e-4,
    value_learning_rate=1e-3,
    actor_entropy=1e-3,
    horizon=10,
    slow_value_every=20,
)

SMALL_OPTIONS = replace(
    DMC,
    **SMALL,
    latent_classes=8,
    horizon=10,
    actor_learning_rate=1e-3,
    value_learning_rate=1e-3,
    actor_entropy=SMALL_ACTOR["actor_entropy"],
    slow_value_every=20,
    replay_capacity=0,
    skip_short_episodes=False,
)
"""Episodes of the small tasks may be shorter than a sequence, and a run is far shorter than the replay."""

PROFILES: Mapping[str, Options] = with_derived(
    {
        "paper": DMC,
        "dmc": DMC,
        "discrete": ATARI,
        "atari": ATARI,
        "atari-schedules": replace(ATARI, **SCHEDULES),
        "quick": QUICK_OPTIONS,
        "small": SMALL_OPTIONS,
    }
)
"""As for every arm, protocols for control name "paper" and those for Atari "discrete"."""


def policy(options: Options, action_space: spaces.Space) -> Policy:
    """The policy for an action space. Exploration adds nothing to its samples."""
    if isinstance(action_space, spaces.Discrete):
        return CategoricalPolicy(exploration=AsActed())
    return TruncatedNormal(exact=options.exact_truncation)


refuses = backbone.refuses


def build(options: Options, context: AgentContext) -> model_based.ModelBasedAgent:
    behavior = ActorCritic(
        policy=policy(options, context.action_space),
        horizon=options.horizon,
        lambda_=options.lambda_,
        entropy=options.over_time(options.actor_entropy_start, options.actor_entropy),
        hidden=options.hidden,
        actor_layers=options.actor_layers,
        value_layers=options.value_layers,
        scored=FromEveryRow() if options.every_row else FromStart(),
        gradient=options.gradient(discrete=isinstance(context.action_space, spaces.Discrete)),
        bootstrap=SlowValue(every=options.slow_value_every),
        actor_optimizer=options.optimizer(options.actor_learning_rate),
        value_optimizer=options.optimizer(options.value_learning_rate),
    )
    return options.agent(context, behavior)

"""Twelve classic bugs of world-model agents, each a replacement of text in the real code.

An edit must apply exactly once: where the code moves, the edit moves with it (tests/mutants/test_mutations.py). Ends of the
task and time limits can be taken for each other in two directions, so there are thirteen patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PENDULUM, CARTPOLE, ACROBOT = "gym:Pendulum-v1", "gym:CartPole-v1", "gym:Acrobot-v1"


@dataclass(frozen=True)
class Edit:
    """In the file `path`, below the root of the tree, `old` becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """
    says   the bug in one sentence, as a table prints it
    tasks  tasks of `small@1` where it can change anything; Pendulum alone where it can change every task
    """

    name: str
    says: str
    edits: Sequence[Edit]
    tasks: Sequence[str] = (PENDULUM,)


BEHAVIOR = "agents/behaviors/actor_critic.py"
MODEL = "agents/models/world_model.py"
DYNAMICS = "agents/models/rssm.py"
RECURRENCE = "agents/models/recurrence.py"
DIVERGENCE = "agents/models/objectives.py"
ENVIRONMENTS = "agents/environments.py"
TERMINAL = "self._is_terminal = np.where(stepped, terminated, self._is_terminal)"

MUTATIONS: Sequence[Mutation] = (
    Mutation(
        name="value_gradient_cut",
        says="the actor's gradient does not pass through the values of imagined states",
        edits=[
            Edit(
                BEHAVIOR,
                "lambda_return(model.reward(features), discount, bootstrap, self.lambda_)",
                "lambda_return(model.reward(features), discount, bootstrap.detach(), self.lambda_)",
            )
        ],
    ),
    Mutation(
        name="lambda_zero",
        says="λ is 0: returns of one imagined step",
        edits=[Edit(BEHAVIOR, "discount, bootstrap, self.lambda_)", "discount, bootstrap, 0.0)")],
    ),
    Mutation(
        name="reward_shifted",
        says="a state learns the reward of the step after it",
        edits=[
            Edit(
                MODEL,
                'self.reward(self.reward_sees(observed.features)), batch["reward"])',
                'self.reward(self.reward_sees(observed.features)), batch["reward"].roll(-1, 0))',
            )
        ],
    ),
    Mutation(
        name="terminals_as_limits",
        says="an end of the task is stored as a time limit",
        edits=[Edit(ENVIRONMENTS, TERMINAL, "self._is_terminal = np.zeros_like(self._is_terminal)")],
        tasks=(CARTPOLE, ACROBOT),
    ),
    Mutation(
        name="limits_as_terminals",
        says="a time limit is stored as an end of the task",
        edits=[Edit(ENVIRONMENTS, TERMINAL, TERMINAL.replace("terminated,", "terminated | truncated,"))],
    ),
    Mutation(
        name="kl_sides_swapped",
        says="KL(prior ‖ posterior) in place of KL(posterior ‖ prior)",
        edits=[
            Edit(
                DIVERGENCE,
                "divergence = dynamics.divergence(posterior, prior)\n        clipped = mean_above(",
                "divergence = dynamics.divergence(prior, posterior)\n        clipped = mean_above(",
            )
        ],
    ),
    Mutation(
        name="free_nats_sign",
        says="free nats with the wrong sign: max(KL, -free nats)",
        edits=[Edit(DIVERGENCE, "divergence.mean().clamp_min(free_nats)", "divergence.mean().clamp_min(-free_nats)")],
    ),
    Mutation(
        name="action_not_fed",
        says="the world model never sees the action",
        edits=[
            Edit(DYNAMICS, "linear(action * keep, action_weight", "linear(action * 0.0, action_weight"),
            Edit(DYNAMICS, "self.input(torch.cat([stoch, action], -1))", "self.input(torch.cat([stoch, action * 0.0], -1))"),
            Edit(RECURRENCE, "dense((action * keep).flatten", "dense((action * 0.0).flatten"),
            Edit(RECURRENCE, "dense(action, from_action, entry_bias)", "dense(action * 0.0, from_action, entry_bias)"),
            Edit(RECURRENCE, "dense(actions.flatten(1, 2), from", "dense(actions.flatten(1, 2) * 0.0, from"),
            Edit("agents/models/grouped.py", "entry_bias, action_t, weights", "entry_bias, action_t * 0.0, weights"),
        ],
    ),
    Mutation(
        name="clipped_at_a_tenth",
        says="gradients are clipped at a norm of 0.1 in place of 100",
        edits=[
            Edit(
                "agents/learning/optimiser.py",
                "scale = self.settings.clip_norm / norm.clamp_min(self.settings.clip_norm)",
                "scale = 0.1 / norm.clamp_min(0.1)",
            )
        ],
    ),
    Mutation(
        name="actor_on_posterior_only",
        says="the actor learns from its actions in replayed states alone, not in imagined ones",
        edits=[
            Edit(
                MODEL,
                "actions.append(policy(features, policy_draw))",
                "actions.append(policy(features, policy_draw).detach() if actions else policy(features, policy_draw))",
            ),
            Edit(
                RECURRENCE,
                "entry = dense(actions.flatten(1, 2), from_action",
                "entry = dense(torch.cat([actions[:, :1], actions[:, 1:].detach()], 1).flatten(1, 2), from_action",
            ),
        ],
    ),
    Mutation(
        name="noise_in_evaluation",
        says="evaluation explores as training does",
        edits=[Edit("protocols/running/evaluate.py", "explore=False", "explore=True")],
    ),
    Mutation(
        name="one_seed_for_all",
        says="every run of a program gets the first one's seed",
        edits=[
            Edit(
                "protocols/running/launch.py",
                "action_space=environments.action_space,\n                seeds=request.seeds,",
                "action_space=environments.action_space,\n                seeds=request.seeds[:1] * len(request.seeds),",
            ),
            Edit(
                "protocols/running/launch.py",
                "budget_env_steps=grid.budget_env_steps,\n            seeds=request.seeds,",
                "budget_env_steps=grid.budget_env_steps,\n            seeds=request.seeds[:1] * len(request.seeds),",
            ),
        ],
    ),
    Mutation(
        name="repeat_counted_twice",
        says="the action repeat is counted twice in env_steps",
        edits=[
            Edit(
                "protocols/cadence.py",
                "return self.num_envs * self.action_repeat",
                "return self.num_envs * self.action_repeat**2",
            ),
            Edit(
                "protocols/cadence.py",
                "per_iteration = protocol.num_envs * action_repeat",
                "per_iteration = protocol.num_envs * action_repeat**2",
            ),
        ],
        tasks=(ACROBOT,),
    ),
)

UNCHANGED = Mutation(name="unchanged", says="the code as it is", edits=[])


def find(name: str) -> Mutation:
    """The mutation of that name, or `UNCHANGED`. KeyError for any other name."""
    return {mutation.name: mutation for mutation in (UNCHANGED, *MUTATIONS)}[name]


def apply(mutation: Mutation, root: Path) -> None:
    """Changes the files below `root`. ValueError where an edit does not apply exactly once."""
    for edit in mutation.edits:
        path = root / edit.path
        text = path.read_text()
        if (found := text.count(edit.old)) != 1:
            raise ValueError(
                f"{mutation.name}: {edit.old!r} is in {edit.path} {found} times, not once; move the edit with the code"
            )
        path.write_text(text.replace(edit.old, edit.new))

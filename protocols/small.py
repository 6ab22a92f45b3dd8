"""Comparisons for CPU cores: `small@1`, classic control in minutes, and `dmc-small@1`, DeepMind Control in hours."""

from __future__ import annotations

from protocols.dmc import DMC_SIMULATORS
from protocols.spec import Protocol, ScoreRule

SMALL_1 = Protocol(
    id="small@1",
    title="Three control tasks from state, learned in minutes on one CPU core",
    purpose="Ranks the agents at a size that every laptop and every CI machine carries: tasks that are learned in a few "
    "thousand env_steps from their own vectors, by small networks and many updates. It is the reference against which changes "
    "of this project's agents are verified. Its scores compare with no published number.",
    source="tasks of Gymnasium 1.4.0 with their own rewards and time limits; the budget is ours",
    choices=(
        "Pendulum-v1: continuous control that needs foresight, because the torque is too weak to lift the pendulum at once",
        "CartPole-v1: two choices, and an episode ends when the pole falls or the cart leaves",
        "Acrobot-v1: three choices, a reward that says nothing before the goal, and an episode that ends there; an action "
        "is held for 4 steps, so that random ones reach the goal at all",
        "the budget and the small profile's settings, chosen on the seeds 100 to 109, which the protocol does not report",
        "the score: noise-free episodes after the last update, apart from the curve",
    ),
    tasks=("gym:Pendulum-v1", "gym:CartPole-v1", "gym:Acrobot-v1"),
    action_repeat=1,
    env_steps=8_000,
    time_limit_env_steps=500,
    task_options={"gym:Pendulum-v1": {"time_limit_env_steps": 200}, "gym:Acrobot-v1": {"action_repeat": 4}},
    seeds=(0, 1, 2, 3, 4),
    evaluate_every_env_steps=2_000,
    evaluate_episodes=5,
    final_episodes=10,
    score_rule=ScoreRule(kind="final"),
    normalization="small-control",
    margin=0.1,
    agent_profile="small",
    simulators={"gymnasium": "1.4.0"},
)

DMC_SMALL_1 = Protocol(
    id="dmc-small@1",
    title="Five DeepMind Control tasks in hours on a CPU, four from state and one from pixels",
    purpose="The comparison of the Dreamer paper in miniature, for machines without a GPU: the same agents on tasks of the "
    "same suite, at a budget and with networks that two CPU cores carry. Its scores compare with no published number.",
    source="tasks of the DeepMind Control Suite (Tassa et al. 2018); the budget, the action repeat and the profiles are ours",
    choices=(
        "four tasks from their own vectors: balance and swing-up of the cart-pole, the ball in the cup, whose reward is 0 "
        "until the ball is caught, and the walker's walk with six numbers of action",
        "one task from pixels, so that the whole path of the paper is seen: walker_stand, whose reward is dense and whose body "
        "fills the picture; with look 'fast' (no shadows, no multisampling) and the profile `quick`, whose updates are smaller "
        "and fewer, because an update from pixels costs many times one from state",
        "an action is held for 4 simulator steps on every task, so that an episode has 250 decisions",
        "the budget of 40 episodes, for the time of a CPU: the Dreamer paper's is 5,000; its author's own runs, from pixels, "
        "reach 139 on cartpole_swingup after 105,000 env_steps",
        "tasks, action repeat and budget were chosen in runs of Dreamer alone, on seeds 100 to 102, which no table reports; no "
        "setting was changed for this protocol, but the profile `small` had been judged by Dreamer's scores, among others on "
        "cartpole_swingup",
        "the score: noise-free episodes after the last update, apart from the curve",
    ),
    tasks=("dmc_cartpole_balance", "dmc_cartpole_swingup", "dmc_cup_catch", "dmc_walker_walk", "dmc_walker_stand"),
    suite_options={"observation": "state"},
    task_options={"dmc_walker_stand": {"observation": "pixels", "look": "fast"}},
    task_profiles={"dmc_walker_stand": "quick"},
    action_repeat=4,
    env_steps=40_000,
    time_limit_env_steps=1_000,
    seeds=(0, 1, 2, 3, 4),
    evaluate_every_env_steps=10_000,
    evaluate_episodes=3,
    final_episodes=10,
    final_environments=10,
    score_rule=ScoreRule(kind="final"),
    score_range=(0.0, 1_000.0),
    normalization="dmc",
    margin=0.05,
    agent_profile="small",
    simulators=DMC_SIMULATORS,
    diverged="untrained",
)

PROTOCOLS = (SMALL_1, DMC_SMALL_1)

"""`small@1`: classic control from state, where every agent learns on one CPU core in minutes. For CI and for laptops."""

from __future__ import annotations

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
        "the budget and the small profile's settings, chosen on the seeds 100 to 102, which the protocol does not report",
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

PROTOCOLS = (SMALL_1,)

"""`quick@1`: shows in minutes on a CPU the whole path from a simulator to a report with intervals. It is not a result."""

from __future__ import annotations

from protocols.spec import Protocol, ScoreRule

QUICK_1 = Protocol(
    id="quick@1",
    title="One DeepMind Control task in minutes on a CPU",
    purpose="Shows in minutes, on two CPU cores, that the installation trains, records and reports. It is not the "
    "Dreamer paper's protocol: one easy task instead of twenty, a small fraction of its env_steps, a higher action repeat, "
    "frames without shadows or multisampling, and small networks. Its scores rank nothing and compare with no published "
    "number.",
    source="none; the budget was chosen to fit two CPU cores",
    choices=(
        "the task, because its reward is dense and its body fills the picture, so that a small model learns it soonest",
        "the budget and the quick profile's settings, chosen on seeds 10 to 15, which the protocol does not report",
        "a higher action repeat, so that fewer frames are rendered and fewer decisions learned from",
        "look 'fast': no shadows, no multisampling (a frame in about 3 ms instead of 38 ms in software)",
        "the score: noise-free episodes after the last update, apart from the curve",
    ),
    tasks=("dmc_walker_stand",),
    suite_options={"look": "fast"},
    action_repeat=4,
    env_steps=10_000,
    time_limit_env_steps=1_000,
    seeds=(0, 1, 2),
    evaluate_every_env_steps=2_500,
    evaluate_episodes=2,
    final_episodes=5,
    score_rule=ScoreRule(kind="final"),
    score_range=(0.0, 1_000.0),
    normalization="dmc",
    margin=0.05,
    agent_profile="quick",
    simulators={"dm_control": "1.0.50", "mujoco": "3.17.0"},
)

PROTOCOLS = (QUICK_1,)

"""`quick@1`, `quick@2`: the whole path from a simulator to a report with intervals, in minutes on a CPU. Not a result."""

from __future__ import annotations

from protocols.dmc import DMC_SIMULATORS
from protocols.spec import Protocol, ScoreRule

QUICK_1 = Protocol(
    id="quick@1",
    title="One DeepMind Control task in minutes on a CPU",
    purpose="Shows in minutes, on two CPU cores, that the installation trains, records and reports. It is not the "
    "Dreamer paper's protocol: one easy task instead of twenty, a small fraction of its env_steps, a higher action repeat, "
    "frames without shadows or multisampling, and small networks. Its scores neither rank agents nor compare with published "
    "numbers.",
    source="none; the budget was chosen to fit two CPU cores",
    choices=(
        "the task, because its reward is dense and its body fills the picture, so that a small model learns it soonest",
        "the budget and the quick profile's settings, chosen on seeds 10 to 15, which the protocol does not report",
        "a higher action repeat, so that fewer frames are rendered and fewer decisions learned from",
        "look 'fast': no shadows, no multisampling (a frame in 2.5 ms instead of 20 ms, drawn in software)",
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

QUICK_2 = Protocol(
    id="quick@2",
    title="Two DeepMind Control tasks in minutes on a CPU, one from state and one from pixels",
    purpose="Shows in minutes, on two CPU cores, that the installation trains, records and reports, with agents that learn: "
    "the task from state is long enough for every agent of the table, and the task from pixels shows the whole path. It "
    "is not the Dreamer paper's protocol, and its scores compare with no published number.",
    source="none; the budget was chosen to fit two CPU cores",
    choices=(
        "cartpole_swingup from its own vectors, because all agents of the table learn something of it in 10,000 env_steps",
        "walker_stand from pixels, because its reward is dense and its body fills the picture; with look 'fast' and the "
        "profile `quick-pixels`, too few updates to learn much",
        "an action is held for 4 simulator steps",
        "the budget, chosen on seeds 100 to 102, and the profiles, on seeds 100 to 109; no table reports them",
        "the score: noise-free episodes after the last update, apart from the curve",
    ),
    tasks=("dmc_cartpole_swingup", "dmc_walker_stand"),
    suite_options={"observation": "state"},
    task_options={"dmc_walker_stand": {"observation": "pixels", "look": "fast"}},
    task_profiles={"dmc_walker_stand": "quick-pixels"},
    action_repeat=4,
    env_steps=10_000,
    time_limit_env_steps=1_000,
    seeds=(0, 1, 2),
    evaluate_every_env_steps=5_000,
    evaluate_episodes=2,
    final_episodes=5,
    final_environments=5,
    score_rule=ScoreRule(kind="final"),
    score_range=(0.0, 1_000.0),
    normalization="dmc",
    margin=0.05,
    agent_profile="small",
    simulators=DMC_SIMULATORS,
    diverged="untrained",
)

PROTOCOLS = (QUICK_1, QUICK_2)

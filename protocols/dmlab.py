"""The protocol on DeepMind Lab: the one level of the Dreamer paper's Figure 9. The simulator is not on the package registry."""

from __future__ import annotations

from protocols.spec import Protocol, ScoreRule

DMLAB_COLLECT_1 = Protocol(
    id="dmlab-collect@1",
    title="Collecting good objects in DeepMind Lab",
    purpose="The DMLab panel of the Dreamer paper's Figure 9: discrete actions in a first-person 3D room.",
    source="Hafner et al. 2020, section 6, and the original code's task list: level rooms_collect_good_objects_train, 64x64 "
    "colour, action repeat 4, nine actions, the training level for evaluation too",
    choices=(
        "10M env_steps: the budget of the figure could not be verified",
        "3,600 env_steps an episode, the level's own limit of 60 seconds at 60 frames a second, counted as a truncation",
        "five seeds; one evaluation episode per 1e5 env_steps; the score is the mean over the last "
        "1e6 env_steps (ten episodes)",
        "the simulator's version is that of its last release, 2019-02-04; if you build another, say so",
    ),
    tasks=("dmlab_rooms_collect_good_objects_train",),
    suite_options={},
    action_repeat=4,
    env_steps=10_000_000,
    time_limit_env_steps=3_600,
    seeds=(0, 1, 2, 3, 4),
    evaluate_every_env_steps=100_000,
    evaluate_episodes=1,
    final_episodes=10,
    score_rule=ScoreRule(kind="window", window_env_steps=1_000_000),
    score_range=None,
    normalization="none",
    margin=0.05,
    agent_profile="discrete",
    simulators={"deepmind_lab": "1.0"},
)

PROTOCOLS = (DMLAB_COLLECT_1,)

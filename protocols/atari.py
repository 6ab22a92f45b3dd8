"""The protocols on Atari: DreamerV2's 55 games, the games of the Dreamer paper's Figure 9, and the 100k budget.

One env step is one emulator frame. Every choice of the suite is set here, because the emulator's defaults are different.
"""

from __future__ import annotations

from dataclasses import replace

from protocols.spec import Protocol, ScoreRule

ATARI_SIMULATORS = {"ale-py": "0.12.1"}


def _tasks(games: str) -> tuple[str, ...]:
    return tuple("atari_" + game for game in games.split())


ATARI_55 = _tasks(
    "alien amidar assault asterix asteroids atlantis bank_heist battle_zone beam_rider berzerk bowling boxing breakout "
    "centipede chopper_command crazy_climber demon_attack double_dunk enduro fishing_derby freeway frostbite gopher "
    "gravitar hero ice_hockey jamesbond kangaroo krull kung_fu_master montezuma_revenge ms_pacman name_this_game phoenix "
    "pitfall pong private_eye qbert riverraid road_runner robotank seaquest skiing solaris space_invaders star_gunner "
    "tennis time_pilot tutankham up_n_down venture video_pinball wizard_of_wor yars_revenge zaxxon"
)
"""The 57 games without defender and surround (Hafner et al. 2021)."""

ATARI_FIGURE_9 = _tasks(
    "assault boxing fishing_derby freeway frostbite hero ice_hockey kung_fu_master montezuma_revenge pong tennis"
)
"""Inferred, not verified: the eleven games whose videos the Dreamer paper's project page shows."""

ATARI_26 = _tasks(
    "alien amidar assault asterix bank_heist battle_zone boxing breakout chopper_command crazy_climber demon_attack "
    "freeway frostbite gopher hero jamesbond kangaroo krull kung_fu_master ms_pacman pong private_eye qbert road_runner "
    "seaquest up_n_down"
)
"""The games of Kaiser et al. 2020 (SimPLe)."""

ATARI_200M_1 = Protocol(
    id="atari-200m@1",
    title="55 games, 200M frames, sticky actions (DreamerV2)",
    purpose="The Atari benchmark at its full budget, to compare with DreamerV2 and the model-free agents of Dopamine.",
    source="Hafner et al. 2021 (Mastering Atari with Discrete World Models), section 3, after Machado et al. 2018: sticky "
    "actions, full action set, action repeat 4, no life information, 108,000 frames an episode, 64x64 grey, one environment; "
    "sticky probability 0.25, up to 30 no-ops at reset, the last two frames pooled, one episode per 1e6 frames: its code",
    choices=(
        "the score of a run is the mean of its evaluation episodes in the last 5e6 frames: over windows of five points the "
        "shipped curves come closest to the printed aggregates (2.16 against 2.15)",
        "ten final episodes are recorded beside it and do not enter the score",
        "five seeds; the number behind the published table is not stated (its files hold eight)",
        "the screen is resized to 64x64 directly, as the code does; the text speaks of an 84x84 image between",
        "evaluation episodes instead of the last 100 training episodes of Machado et al.",
    ),
    tasks=ATARI_55,
    suite_options={"colour": False, "full_action_set": True, "sticky_probability": 0.25, "noop_max": 30},
    action_repeat=4,
    env_steps=200_000_000,
    time_limit_env_steps=108_000,
    seeds=(0, 1, 2, 3, 4),
    evaluate_every_env_steps=1_000_000,
    evaluate_episodes=1,
    final_episodes=10,
    score_rule=ScoreRule(kind="window", window_env_steps=5_000_000),
    score_range=None,
    normalization="atari-human",
    margin=0.1,
    agent_profile="discrete",
    simulators=ATARI_SIMULATORS,
)

ATARI_200M_2 = replace(
    ATARI_200M_1,
    id="atari-200m@2",
    title="55 games, 200M frames, as DreamerV2's published files were evaluated",
    purpose="DreamerV2's table of 55 games and comparisons with it. Version 2 has the evaluation and the resets of the "
    "published runs.",
    source="Hafner et al. 2021, section 3, and danijar/dreamerv2 0216d33: sticky actions 0.25, full action set, action repeat "
    "4, no life information, 108,000 frames an episode, 64x64 grey, one environment, 1 to 30 no-ops at reset, one evaluation "
    "episode per 1e5 frames. In the score files shipped with it a point per 1e6 frames is a multiple of a tenth of the game's "
    "unit: the mean of ten episodes",
    choices=(
        "the score of a run is the mean of its evaluation episodes in the last 1e6 frames, one point of the published files",
        "ten final episodes are recorded beside it and do not enter the score",
        "five seeds, as the curves of the paper's appendix; its files hold eight",
        "the screen is resized to 64x64 directly, as the code does; the text speaks of an 84x84 image between",
        "the agents' profile is `discrete`; DreamerV2's updates every 16 decisions, as every version of its code counts them",
    ),
    suite_options={"colour": False, "full_action_set": True, "sticky_probability": 0.25, "noop_max": 30, "noop_min": 1},
    evaluate_every_env_steps=100_000,
    final_environments=10,
    score_rule=ScoreRule(kind="window", window_env_steps=1_000_000),
    normalization="atari-gamer",
)

ATARI_DREAMER_1 = replace(
    ATARI_200M_1,
    id="atari-dreamer@1",
    title="The games of the Dreamer paper's Figure 9 (panel list inferred)",
    purpose="Dreamer with discrete actions, as in Figure 9 of its paper. The list of panels is inferred from the videos of the "
    "project page and could not be verified; the twelfth, a DMLab level, is dmlab-collect@1.",
    source="Hafner et al. 2020, section 6 and appendix A, and the original code's Atari preset: colour 64x64, minimal action "
    "set, sticky actions 0.25, action repeat 4, the last two frames pooled, 108,000 frames an episode",
    choices=(
        "the list of games (see purpose)",
        "20M frames: the budget of the figure could not be verified",
        "losing a life does not end an episode, not even in training: the text follows Machado et al. 2018, the original code "
        "differs in training",
        "up to 30 no-ops at reset (the original code: 1 to 29)",
        "five seeds; one evaluation episode per 1e5 frames; the score is the mean over the last 1e6 frames (ten episodes)",
        "ten final episodes are recorded beside it and do not enter the score",
    ),
    tasks=ATARI_FIGURE_9,
    suite_options={"colour": True, "full_action_set": False, "sticky_probability": 0.25, "noop_max": 30},
    env_steps=20_000_000,
    evaluate_every_env_steps=100_000,
    score_rule=ScoreRule(kind="window", window_env_steps=1_000_000),
)

ATARI_100K_1 = replace(
    ATARI_200M_1,
    id="atari-100k@1",
    title="26 games, 100,000 decisions (400k frames)",
    purpose="Sample efficiency on Atari: about two hours of play.",
    source="Kaiser et al. 2020 (SimPLe): 26 games, 100,000 decisions at action repeat 4; the final score over 100 episodes is "
    "the convention that Agarwal et al. 2021 evaluate",
    choices=(
        "no sticky actions and the minimal action set, as most reports at this budget",
        "colour 64x64, one frame; many reports use 84x84 grey and a stack of four",
        "losing a life ends no episode; many reports end training episodes there",
        "five seeds; many reports have more. One evaluation episode per 20,000 frames for the curve",
    ),
    tasks=ATARI_26,
    suite_options={"colour": True, "full_action_set": False, "sticky_probability": 0.0, "noop_max": 30},
    env_steps=400_000,
    evaluate_every_env_steps=20_000,
    final_episodes=100,
    score_rule=ScoreRule(kind="final"),
)

PROTOCOLS = (ATARI_200M_1, ATARI_200M_2, ATARI_DREAMER_1, ATARI_100K_1)

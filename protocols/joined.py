"""One agent for several tasks, which is not told its task: PlaNet's six, and three from state for two CPU cores."""

from __future__ import annotations

from dataclasses import replace

from protocols.dmc import DMC_SIMULATORS
from protocols.planet_six import ACTION_REPEATS
from protocols.spec import Protocol, ScoreRule

SIX = "joined:planet-six"
THREE = "joined:small-three"
SMALL_REPEAT = 8
SMALL_TASKS = ("dmc_cartpole_swingup", "dmc_reacher_easy", "dmc_finger_spin")
SMALL_DECISIONS = 1_000 // SMALL_REPEAT
SMALL_EPISODES = 20

UNIT = (
    "an env_step of joined tasks is one decision, because their repeats differ; simulator steps follow from the repeats, "
    "and episodes per task from the lengths"
)

PLANET_ALL_1 = Protocol(
    id="planet-all@1",
    title="One agent, all six tasks of PlaNet, 1,000 episodes of each",
    purpose="What it costs if one model must tell six tasks apart by their images. Compare with `planet-6@1`, which gives each "
    "task its own agent and as many episodes.",
    source="Hafner et al. 2019, appendix C and figures 6 and 7, which print no numbers; google-research/planet at c04226b, "
    "whose only change is to collect one episode of each task every 600 updates",
    choices=(
        UNIT,
        "the tasks are those of the paper's figure, in the order of its table; the first release had cartpole_balance in "
        "place of reacher_easy",
        "1,000 episodes per task are 1,000 rounds of 1,875 decisions",
        "six evaluation episodes, one of each task, every 50 rounds, and ten of each at the end, whose mean is the score",
        "the profile `joined`: 600 updates a round and five random episodes per task, as in the code; other arms get the same",
        "the reference look at 64x64; no state, no name of the task",
    ),
    tasks=(SIX,),
    joined={SIX: tuple(f"{task}*{repeat}" for task, repeat in ACTION_REPEATS.items())},
    suite_options={"look": "reference", "observation": "pixels"},
    task_options={SIX: {"time_limit_env_steps": None}},
    action_repeat=1,
    env_steps=1_875_000,
    time_limit_env_steps=1_000,
    seeds=(0, 1, 2, 3, 4),
    evaluate_every_env_steps=93_750,
    evaluate_episodes=6,
    final_episodes=60,
    score_rule=ScoreRule(kind="final"),
    score_range=(0.0, 1_000.0),
    normalization="dmc",
    margin=0.05,
    agent_profile="joined",
    simulators=DMC_SIMULATORS,
)

JOINED_SMALL_1 = Protocol(
    id="joined-small@1",
    title="One agent, three tasks from state, 20 episodes of each",
    purpose="The question of `planet-all@1` at a size that two processor cores carry; beside `apart-small@1`. Its scores "
    "compare with no published number.",
    source="the idea: Hafner et al. 2019, appendix C; tasks, sizes and budget are ours",
    choices=(
        UNIT,
        "three tasks with one or two numbers of action, each held for 8 simulator steps: 125 decisions an episode",
        "from state: the union of the tasks' vectors, so that their widths give a task away where images would not",
        "the profile `small-joined` is `small` with three times the random actions: as many per task as `small` has",
        "the score is the mean of twelve final episodes, four of each task",
    ),
    tasks=(THREE,),
    joined={THREE: tuple(f"{task}*{SMALL_REPEAT}" for task in SMALL_TASKS)},
    suite_options={"observation": "state"},
    action_repeat=1,
    env_steps=len(SMALL_TASKS) * SMALL_EPISODES * SMALL_DECISIONS,
    time_limit_env_steps=SMALL_DECISIONS,
    seeds=(0, 1, 2),
    evaluate_every_env_steps=len(SMALL_TASKS) * 5 * SMALL_DECISIONS,
    evaluate_episodes=6,
    final_episodes=12,
    score_rule=ScoreRule(kind="final"),
    score_range=(0.0, 1_000.0),
    normalization="dmc",
    margin=0.1,
    agent_profile="small-joined",
    simulators=DMC_SIMULATORS,
)

APART = tuple(f"joined:{task}*{SMALL_REPEAT}" for task in SMALL_TASKS)

APART_SMALL_1 = replace(
    JOINED_SMALL_1,
    id="apart-small@1",
    title="An agent for each of three tasks from state, 20 episodes",
    purpose="What `joined-small@1` is measured against: the same tasks, episodes, updates per episode and units, an agent for "
    "each.",
    choices=(
        "every task is joined with itself alone, so that env_steps, updates and vectors are counted and shown in the same way",
        "the score is the mean of four final episodes",
    ),
    tasks=APART,
    joined={name: (name.removeprefix("joined:"),) for name in APART},
    env_steps=SMALL_EPISODES * SMALL_DECISIONS,
    evaluate_every_env_steps=5 * SMALL_DECISIONS,
    evaluate_episodes=2,
    final_episodes=4,
    agent_profile="small",
)

LONGER_EPISODES = 60

JOINED_SMALL_2 = replace(
    JOINED_SMALL_1,
    id="joined-small@2",
    title="One agent, three tasks from state, 60 episodes of each",
    purpose="The question of `planet-all@1` at a size that two processor cores carry; beside `apart-small@2`. Its scores "
    "compare with no published number.",
    choices=(
        *JOINED_SMALL_1.choices[:-1],
        "three times the episodes of `joined-small@1`, after which Dreamer is near random actions, and five seeds for three",
        "fifteen episodes an evaluation, five of each task, because their mean is drawn as a curve",
        "the score is the mean of thirty final episodes, ten of each task",
    ),
    env_steps=len(SMALL_TASKS) * LONGER_EPISODES * SMALL_DECISIONS,
    seeds=(0, 1, 2, 3, 4),
    evaluate_every_env_steps=len(SMALL_TASKS) * 10 * SMALL_DECISIONS,
    evaluate_episodes=15,
    final_episodes=30,
    final_environments=10,
    diverged="untrained",
)

APART_SMALL_2 = replace(
    APART_SMALL_1,
    id="apart-small@2",
    title="An agent for each of three tasks from state, 60 episodes",
    purpose="What `joined-small@2` is measured against: the same tasks, episodes, updates per episode and units, an agent for "
    "each.",
    choices=(APART_SMALL_1.choices[0], "the score is the mean of ten final episodes"),
    env_steps=LONGER_EPISODES * SMALL_DECISIONS,
    seeds=JOINED_SMALL_2.seeds,
    evaluate_every_env_steps=10 * SMALL_DECISIONS,
    evaluate_episodes=5,
    final_episodes=10,
    final_environments=10,
    diverged="untrained",
)

PROTOCOLS = (PLANET_ALL_1, JOINED_SMALL_1, APART_SMALL_1, JOINED_SMALL_2, APART_SMALL_2)

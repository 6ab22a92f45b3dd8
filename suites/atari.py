"""The 57 Atari games under the rules of Machado et al. 2018 as DreamerV2 uses them. Options can change the rules.

Only this file knows the emulator, ale-py (GPL-2.0-only; imported when an environment is made; ROMs are inside its wheel).
Frames, pooling, resizing and sticky actions are those of `ale_py.AtariVectorEnv` with one environment. Its defaults are
sticky 0, clipped rewards, FIRE at reset, and a stack of four grey 84x84 frames. We want none of them, so every option is set.

Measured on ale-py 0.12.1, and tested: a seeded reset decides the episode, whatever came before (it loads the ROM again, in
about 0.09 s). The emulator's `noop_max` N draws 0 to N - 1 no-ops. The frame limit counts from after the no-ops and can cut a
repeat short. With one frame per decision, its pooling would keep the maximum of the whole episode, so pooling needs a repeat
of at least 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import util
from typing import Annotated, Any

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_base import UserError
from dreamer_bench_options import AtLeast, Between, CheckedOptions

IMAGE_SIZE = 64


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GAMES = _words(
    "alien amidar assault asterix asteroids atlantis bank_heist battle_zone beam_rider berzerk bowling boxing breakout "
    "centipede chopper_command crazy_climber defender demon_attack double_dunk enduro fishing_derby freeway frostbite gopher "
    "gravitar hero ice_hockey jamesbond kangaroo krull kung_fu_master montezuma_revenge ms_pacman name_this_game phoenix "
    "pitfall pong private_eye qbert riverraid road_runner robotank seaquest skiing solaris space_invaders star_gunner "
    "surround tennis time_pilot tutankham up_n_down venture video_pinball wizard_of_wor yars_revenge zaxxon"
)
"""The 57 games of the literature, spelled as the emulator's ROMs are."""

TASKS = tuple(f"atari_{game}" for game in GAMES)
_OTHER_SPELLINGS = {
    "james_bond": "jamesbond",
    "river_raid": "riverraid",
    "q_bert": "qbert",
    "yar_revenge": "yars_revenge",
    **{game.replace("_", ""): game for game in GAMES if "_" in game},
}
ALIASES = {
    **{game: f"atari_{game}" for game in GAMES},
    **{spelling: f"atari_{game}" for spelling, game in _OTHER_SPELLINGS.items()},
    **{f"atari_{spelling}": f"atari_{game}" for spelling, game in _OTHER_SPELLINGS.items()},
}


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    """The rules of a game. Rewards are not clipped, a lost life does not end an episode, and the agent must press FIRE."""

    action_repeat: Annotated[int, AtLeast(1)] = 4
    """Emulator frames per decision; the image is the maximum of the last two."""
    time_limit_env_steps: Annotated[int, AtLeast(1)] | None = 108_000
    """Episode length in frames after the no-ops, a truncation (Machado et al. 2018: 108,000 = 30 min)."""
    sticky_probability: Annotated[float, Between(0, 1)] = 0.25
    """Probability that a frame repeats the action of the frame before it (Machado et al.: 0.25)."""
    colour: bool = True
    """Images in colour, 64x64x3 (Dreamer), or in grey, 64x64x1 (DreamerV2)."""
    full_action_set: bool = True
    """All 18 actions (Machado et al.), or the game's minimal set."""
    noop_max: Annotated[int, AtLeast(0)] = 30
    """Most no-op frames at reset; the number is drawn uniformly from noop_min to this. 0: none."""
    noop_min: Annotated[int, AtLeast(0)] = 0
    """Fewest no-op frames at reset: 0, or 1 as in gymnasium's AtariPreprocessing (DreamerV2)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noop_min > self.noop_max:
            raise UserError(f"option noop_min must be at most noop_max ({self.noop_max}), got {self.noop_min}")


class ArcadeGame(gymnasium.Env):
    """One game as images, a Discrete action space and raw scores."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (gymnasium's own convention)
    render_mode = "rgb_array"

    def __init__(self, task: str, options: Options) -> None:
        from ale_py.vector_env import AtariVectorEnv

        self.metadata = {**self.metadata, "deterministic": options.sticky_probability in (0, 1) and options.noop_max == 0}
        limit = options.time_limit_env_steps
        self._emulator: Any = AtariVectorEnv(
            task.removeprefix("atari_"),
            num_envs=1,
            num_threads=1,
            img_height=IMAGE_SIZE,
            img_width=IMAGE_SIZE,
            grayscale=not options.colour,
            stack_num=1,
            frameskip=options.action_repeat,
            maxpool=options.action_repeat > 1,
            repeat_action_probability=options.sticky_probability,
            full_action_space=options.full_action_set,
            max_num_frames_per_episode=108_000 if limit is None else limit,
            # The emulator draws from 0 to one less than its option; our option is the largest number.
            noop_max=options.noop_max + 1 if options.noop_max else 0,
            use_fire_reset=False,
            episodic_life=False,
            life_loss_info=False,
            reward_clipping=False,
            autoreset_mode="NextStep",
        )  # never happens, because an explicit reset comes first
        channels = 3 if options.colour else 1
        self.observation_space = spaces.Dict({"image": spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, channels), np.uint8)})
        self.action_space = self._emulator.single_action_space
        self._noop_min = options.noop_min
        self._frames = 0
        self._over = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray], dict]:
        """Starts a new game; the seed decides its no-ops and its sticky frames."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        if drawn >= 2**31:  # the emulator takes 31 bits
            drawn = int(np.random.SeedSequence(drawn).generate_state(1)[0] >> 1)
        image, info = self._emulator.reset(seed=np.array([drawn]))
        # The emulator draws from 0, so a start with too few no-ops is drawn again; the others stay equally likely.
        while int(info["episode_frame_number"][0]) < self._noop_min:
            drawn = int(np.random.SeedSequence(drawn).generate_state(1)[0] >> 1)
            image, info = self._emulator.reset(seed=np.array([drawn]))
        self._frames, self._over = int(info["episode_frame_number"][0]), False
        return self._observation(image), {"env_steps": 0, "lives": int(info["lives"][0])}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        if self._over:
            raise RuntimeError("the game is over; reset before the next step")
        image, reward, terminated, truncated, info = self._emulator.step(np.array([int(action)], np.int64))
        frames = int(info["episode_frame_number"][0])
        played, self._frames = frames - self._frames, frames
        ended, cut = bool(terminated[0]), bool(truncated[0])
        self._over = ended or cut
        return (
            self._observation(image),
            float(reward[0]),
            ended,
            cut and not ended,
            {"env_steps": played, "lives": int(info["lives"][0])},
        )

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The current image in colour or grey, uint8 [64, 64, C]."""
        return self._image.copy()

    def close(self) -> None:
        if self._emulator is not None:
            self._emulator.close()
            self._emulator = None

    def _observation(self, image: np.ndarray) -> dict[str, np.ndarray]:
        self._image = np.array(image).reshape(self.observation_space["image"].shape)  # type: ignore[index]
        return {"image": self._image.copy()}


def unavailable(task: str) -> str | None:
    if util.find_spec("ale_py") is None:
        return "ale-py (GPL-2.0-only) is not installed: pip install 'ale-py>=0.12'"
    return None


def make(task: str, options: Options) -> ArcadeGame:
    return ArcadeGame(task, options)

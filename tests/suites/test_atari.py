"""Atari on its real ROMs, against a bare emulator that is driven by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from suites import atari, catalog, conformance

if atari.unavailable("atari_pong") is not None:
    pytest.skip(str(atari.unavailable("atari_pong")), allow_module_level=True)

NOOP, UP, DOWN = 0, 2, 5  # of the full action set


class BareEmulator:
    """ale_py.ALEInterface with the rules written out: four frames, the larger of the last two, averaged down to 64x64."""

    def __init__(self, game: str, seed: int, sticky: float) -> None:
        import ale_py
        from ale_py import roms

        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", sticky)
        self.ale.setInt("random_seed", seed)
        self.ale.loadROM(roms.get_rom_path(game))
        self.ale.reset_game()

    def play(self, action) -> tuple[int, np.ndarray]:
        score, screens = 0, []
        for _ in range(4):
            score += self.ale.act(action)
            screens.append(self.ale.getScreenRGB())
        return score, np.maximum(screens[2], screens[3])


def averaged(screen: np.ndarray) -> np.ndarray:
    """Area average of [210, 160, C] to [64, 64, C], in float."""

    def weights(size: int) -> np.ndarray:
        edges = np.linspace(0, size, 65)
        low, high = edges[:-1, None], edges[1:, None]
        cells = np.arange(size)[None]
        return np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0, None) / (size / 64)

    rows = np.tensordot(weights(210), screen.astype(float), axes=(1, 0))
    return np.moveaxis(np.tensordot(weights(160), rows, axes=(1, 1)), 0, 1)


@pytest.mark.parametrize("task", atari.TASKS)
def test_every_game_keeps_the_contract(task):
    assert conformance.check_suite(task, steps=5) == []


def test_there_are_57_games_and_each_has_a_rom():
    from ale_py import roms

    assert len(set(atari.GAMES)) == 57
    assert set(atari.GAMES) <= set(roms.get_all_rom_ids())


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("james_bond", "atari_jamesbond"),
        ("jamesbond", "atari_jamesbond"),
        ("atari_james_bond", "atari_jamesbond"),
        ("river_raid", "atari_riverraid"),
        ("atari_mspacman", "atari_ms_pacman"),
        ("pong", "atari_pong"),
    ],
)
def test_aliases_lead_to_one_name(name, task):
    assert catalog.resolve(name) == task


@pytest.mark.parametrize(("game", "sticky"), [("ms_pacman", 0.25), ("breakout", 0.25), ("asterix", 0.0)])
def test_frames_and_raw_scores_are_those_of_a_bare_emulator(game, sticky):
    """Same seed, same actions: every score is equal (far above 1, so unclipped), every pixel within its rounding."""
    environment = catalog.make(f"atari_{game}", sticky_probability=sticky, noop_max=0)
    bare = BareEmulator(game, 7, sticky)
    actions = bare.ale.getLegalActionSet()
    assert environment.action_space.n == len(actions) == 18
    environment.reset(seed=7)
    scores, generator = [], np.random.default_rng(0)
    for _ in range(250):
        chosen = int(generator.integers(18))
        score, screen = bare.play(actions[chosen])
        observation, reward, terminated, _, info = environment.step(chosen)
        assert (reward, info["env_steps"]) == (score, 4) or terminated
        scores.append(reward)
        if terminated:  # the bare emulator went on to the fourth frame
            break
        assert np.abs(observation["image"] - averaged(screen)).max() <= 1
    assert max(scores) > 1 or game == "breakout"
    environment.close()


def test_grey_is_one_channel_and_differs_from_colour():
    grey = catalog.make("atari_seaquest", colour=False)
    image = grey.reset(seed=1)[0]["image"]
    assert image.shape == (64, 64, 1)
    assert len(np.unique(image)) > 10
    grey.close()


@pytest.mark.parametrize(("game", "actions"), [("freeway", 3), ("breakout", 4), ("pong", 6), ("assault", 7), ("boxing", 18)])
def test_the_minimal_action_set_is_the_games_own(game, actions):
    environment = catalog.make(f"atari_{game}", full_action_set=False)
    assert environment.action_space.n == actions
    environment.close()


def measured_sticky_rate(sticky: float, frames: int) -> float:
    """How often a frame executed the frame before it in place of the action it was given, seen in Freeway.

    The chicken climbs a pixel on every UP frame, sinks on every DOWN frame and rests otherwise, at once; kept below the first
    lane it meets no car. Its height is read off by comparing with pictures taken while climbing under UP alone.
    Only frames whose action differs from the one executed before count.
    """
    environment = catalog.make("atari_freeway", action_repeat=1, colour=False, sticky_probability=sticky, noop_max=0)

    def picture(observation) -> np.ndarray:
        return observation["image"][55:61, 17:20, 0].astype(float)

    def start() -> np.ndarray:
        environment.reset(seed=5)
        return [picture(environment.step(NOOP)[0]) for _ in range(5)][-1]

    pictures = [start()]
    while len(pictures) < 9:  # a frame that repeats the first NOOPs leaves the picture as it is
        new = picture(environment.step(UP)[0])
        if not np.array_equal(new, pictures[-1]):
            pictures.append(new)
    height, executed, repeated, counted = len(pictures), UP, 0, 0
    while height > 5:  # down again to where two pixels either way are known
        new, before = picture(environment.step(DOWN)[0]), height
        height = int(np.argmin([np.abs(new - known).sum() for known in pictures]))
        executed = DOWN if height < before else UP
    for _ in range(frames):
        wish = UP if height < 4 else DOWN
        action = wish if wish != executed else NOOP
        new = picture(environment.step(action)[0])
        now = int(np.argmin([np.abs(new - known).sum() for known in pictures]))
        moved = {1: UP, -1: DOWN, 0: NOOP}[now - height]
        if now == height == 0 and action == UP:
            moved = DOWN  # against the lower edge
        assert moved in (action, executed), (action, executed, height, now)
        counted += 1
        repeated += moved == executed
        executed, height = moved, now
    environment.close()
    return repeated / counted


def test_sticky_rate_is_a_quarter_when_measured():
    assert measured_sticky_rate(0.0, 300) == 0
    assert abs(measured_sticky_rate(0.25, 1500) - 0.25) < 0.04  # 3.5 standard deviations


def test_a_frame_limit_is_exact_and_a_truncation():
    environment = catalog.make("atari_breakout", time_limit_env_steps=10)
    for seed in range(1, 4):  # whatever the number of no-ops
        environment.reset(seed=seed)
        ends = [
            (terminated, truncated, info["env_steps"])
            for _, _, terminated, truncated, info in (environment.step(NOOP) for _ in range(3))
        ]
        assert ends == [(False, False, 4), (False, False, 4), (False, True, 2)]
    with pytest.raises(RuntimeError, match="reset before"):
        environment.step(NOOP)
    environment.close()


def test_the_default_limit_is_thirty_minutes_of_frames():
    """Machado et al. 2018: 30 minutes at 60 frames a second."""
    assert atari.Options().time_limit_env_steps == 30 * 60 * 60


def test_a_lost_life_is_neither_an_end_nor_a_signal():
    environment = catalog.make("atari_breakout", noop_max=0, full_action_set=False)
    _, info = environment.reset(seed=1)
    lives = [info["lives"]]
    while len(set(lives)) < 3:
        _, reward, terminated, truncated, info = environment.step(1)  # FIRE serves; nobody returns the ball
        assert not terminated
        assert not truncated
        assert reward >= 0
        lives.append(info["lives"])
    environment.close()


def test_game_over_is_a_termination_and_play_goes_on_after_reset():
    environment = catalog.make("atari_breakout", noop_max=0, full_action_set=False)
    ends = []
    for _ in range(2):
        environment.reset(seed=1)
        length, terminated = 0, False
        while not terminated:
            _, _, terminated, truncated, _ = environment.step(1)
            assert not truncated
            length += 1
        ends.append(length)
    assert ends[0] == ends[1]
    environment.close()


def test_no_ops_are_drawn_up_to_the_option_and_from_nothing():
    few, none = catalog.make("atari_pong", noop_max=2), catalog.make("atari_pong", noop_max=0)
    drawn = set()
    for seed in range(1, 16):
        few.reset(seed=seed)
        drawn.add(few.unwrapped._frames)
    assert drawn == {0, 1, 2}
    none.reset(seed=1)
    assert none.unwrapped._frames == 0
    few.close()
    none.close()


def test_no_ops_from_one_on_are_as_likely_each():
    """45 seeds over three numbers; without the smallest the drawn seed decides as before."""
    some, all_ = catalog.make("atari_pong", noop_max=3, noop_min=1), catalog.make("atari_pong", noop_max=3)
    drawn = []
    for seed in range(45):
        some.reset(seed=seed)
        all_.reset(seed=seed)
        drawn.append(some.unwrapped._frames)
        assert drawn[-1] == all_.unwrapped._frames or all_.unwrapped._frames == 0
    assert {drawn.count(number) > 6 for number in (1, 2, 3)} == {True}
    assert set(drawn) == {1, 2, 3}
    some.reset(seed=7)
    assert some.unwrapped._frames == drawn[7]
    some.close()
    all_.close()


def test_an_episode_is_the_same_in_another_process():
    code = "from suites import catalog, conformance\nprint(conformance.episode_digest(catalog.make('atari_seaquest'), 3, 60))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == conformance.episode_digest(catalog.make("atari_seaquest"), 3, 60)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"sticky_probability": 1.5}, "between 0 and 1"),
        ({"noop_max": -1}, "at least 0"),
        ({"noop_min": 31}, "at most noop_max"),
        ({"grey": True}, "no option 'grey'"),
    ],
)
def test_bad_options_are_one_line(options, line):
    with pytest.raises(ValueError, match=line) as caught:
        catalog.make("atari_pong", **options)
    assert "\n" not in str(caught.value)

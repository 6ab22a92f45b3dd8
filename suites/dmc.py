"""The 20 DeepMind Control tasks of the Dreamer paper, from 64x64 pixels or from the tasks' own vectors.

Only this file knows dm_control. Tasks and cameras are from Hafner et al. 2020, section 6, and the task list of the original
code (camera 2 follows the quadruped; camera 0 shows it a few pixels wide).

A frame is rendered once per decision, after the last repeat. `physics.render` builds a scene at every call (about 5 ms in
software). We keep one camera open per environment, which gives the same pixels. dm_control is imported when an environment is
made. Before that, MUJOCO_GL is set to "egl" if it is unset and there is no display. A process that observes only vectors
imports dm_control with MUJOCO_GL=disabled and never loads a renderer.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import util
from typing import Annotated, Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamer_bench_base import UserError
from dreamer_bench_options import AtLeast, CheckedOptions

IMAGE_SIZE = 64
NO_RENDERER = "disabled"
"""Value of MUJOCO_GL with which dm_control and MuJoCo load no renderer."""
INSTALL_EGL = "apt-get install -y --no-install-recommends libegl1 libgl1 (or MUJOCO_GL=osmesa with libosmesa6)"

_DOMAINS = {
    "acrobot": ("swingup",),
    "cartpole": ("balance", "balance_sparse", "swingup", "swingup_sparse"),
    "cheetah": ("run",),
    "cup": ("catch",),
    "finger": ("spin", "turn_easy", "turn_hard"),
    "hopper": ("hop", "stand"),
    "pendulum": ("swingup",),
    "quadruped": ("run", "walk"),
    "reacher": ("easy", "hard"),
    "walker": ("run", "stand", "walk"),
}
_DM_CONTROL_DOMAIN = {"cup": "ball_in_cup"}
_CAMERA = {"quadruped": 2}

TASKS = tuple(f"dmc_{domain}_{task}" for domain, tasks in _DOMAINS.items() for task in tasks)
ALIASES = {
    "dmc_ball_in_cup_catch": "dmc_cup_catch",
    "ball_in_cup_catch": "dmc_cup_catch",
    **{name.removeprefix("dmc_"): name for name in TASKS},
}


@dataclass(frozen=True, kw_only=True)
class Options(CheckedOptions):
    """How a task is rendered and how long it lasts."""

    action_repeat: Annotated[int, AtLeast(1)] = 2
    """Simulator steps per decision (the paper: 2)."""
    time_limit_env_steps: Annotated[int, AtLeast(1)] | None = 1000
    """Episode length in simulator steps, always a truncation; None: 1,000, as in dm_control."""
    look: Literal["reference", "fast"] = "reference"
    """reference: the pixels of dm_control, to the bit; fast: no shadows and no multisampling, several times faster in
    software (mean difference 1.4 of 255 on cartpole, 6.8 on walker)."""
    camera: Annotated[int, AtLeast(0)] | None = None
    """Number of the camera; None: the paper's (2 for quadruped, else 0)."""
    observation: Literal["pixels", "state", "both"] = "pixels"
    """pixels: "image"; state: the task's own vectors under their own names; both: image and vectors."""

    def unavailable(self, task: str) -> str | None:
        """Like `unavailable` of the module, but without a renderer if no frame is rendered."""
        return _not_installed() if self.observation == "state" else unavailable(task)


class ControlTask(gymnasium.Env):
    """One dm_control task, with actions in [-1, 1] and rewards summed over the repeats. `physics` is dm_control's."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (gymnasium's own convention)
    render_mode = "rgb_array"

    def __init__(self, task: str, options: Options) -> None:
        self._drawn = options.observation != "state"
        suite = _dm_control_suite(rendered=self._drawn)
        domain, _, name = task.removeprefix("dmc_").partition("_")
        self.options = options
        self.limit = 1000 if options.time_limit_env_steps is None else options.time_limit_env_steps
        # This class counts the limit, so dm_control's own limit (1,000 control steps) is switched off.
        self._environment = suite.load(_DM_CONTROL_DOMAIN.get(domain, domain), name, task_kwargs={"time_limit": float("inf")})
        self.physics = self._environment.physics
        if options.look == "fast":  # read only once, when the first frame makes the GL context
            self.physics.model.vis.quality.shadowsize = 0
            self.physics.model.vis.quality.offsamples = 0
        self._camera_id = _CAMERA.get(domain, 0) if options.camera is None else options.camera
        if not 0 <= self._camera_id < self.physics.model.ncam:
            raise UserError(f"task {task!r} has the cameras 0 to {self.physics.model.ncam - 1}, not {self._camera_id}")
        self._camera: Any = None
        action = self._environment.action_spec()
        self._scale = (action.maximum - action.minimum) / 2
        self._offset = (action.maximum + action.minimum) / 2
        self.action_space = spaces.Box(-1.0, 1.0, action.shape, np.float32)
        shown: dict[str, spaces.Space] = {}
        self._vectors: tuple[str, ...] = ()
        if options.observation != "pixels":
            vectors = self._environment.observation_spec()
            self._vectors = tuple(vectors)
            shown = {
                key: spaces.Box(-np.inf, np.inf, (int(np.prod(vector.shape)),), np.float32) for key, vector in vectors.items()
            }
        if self._drawn:
            shown["image"] = spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        self.observation_space = spaces.Dict(shown)
        self.env_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, np.ndarray], dict]:
        """Starts a new episode. The seed alone decides it, as `suite.load(random=seed)` decides a first episode."""
        super().reset(seed=seed)
        if seed is not None:
            # Every task draws from this generator only, and resets the whole state of the simulator.
            words = seed if seed < 2**32 else np.random.SeedSequence(seed).generate_state(8)
            self._environment.task._random = np.random.RandomState(words)  # the class that dm_control uses
        arrived = self._environment.reset()
        self.env_steps = 0
        return self._observation(arrived.observation), {"env_steps": 0}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        control = self._scale * np.clip(np.asarray(action, np.float64), -1, 1) + self._offset
        reward, repeats = 0.0, min(self.options.action_repeat, self.limit - self.env_steps)
        if repeats <= 0:
            raise RuntimeError(f"the episode ended at its limit of {self.limit} env steps; reset before the next step")
        for _ in range(repeats):
            arrived = self._environment.step(control)
            assert not arrived.last(), "none of the 20 tasks terminates"
            reward += arrived.reward
        self.env_steps += repeats
        observation = self._observation(arrived.observation)
        return observation, float(reward), False, self.env_steps >= self.limit, {"env_steps": repeats}

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The current frame, uint8 [64, 64, 3], in its own memory."""
        if self._camera is None:
            _dm_control_suite(rendered=True)
            self._camera = _open_camera(self.physics, self._camera_id)
        return self._camera.render().copy()

    def close(self) -> None:
        if self._camera is not None:
            self._camera._scene.free()
            self._camera = None
        self.physics.free()

    def _observation(self, vectors: Mapping[str, Any]) -> dict[str, np.ndarray]:
        shown = {key: np.array(vectors[key], np.float32).reshape(-1) for key in self._vectors}
        return {**shown, "image": self.render()} if self._drawn else shown


def unavailable(task: str) -> str | None:
    """What is missing, in one line: dm_control, or the system's library for EGL or OSMesa; None if nothing is."""
    missing = _not_installed()
    if missing is not None:
        return missing
    _choose_renderer()
    library = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}.get(os.environ.get("MUJOCO_GL", "").lower())
    if library is not None and sys.platform == "linux" and not loads_library(library):
        return f"MUJOCO_GL={os.environ['MUJOCO_GL']} needs {library}, which is not installed: {INSTALL_EGL}"
    return None


def _not_installed() -> str | None:
    if util.find_spec("dm_control") is None:
        return "dm_control is not installed: pip install 'dm_control>=1.0.50' 'mujoco>=3.17,<4'"
    return None


def make(task: str, options: Options) -> ControlTask:
    return ControlTask(task, options)


def gl_renderer() -> str:
    """The renderer by its OpenGL name ("llvmpipe (LLVM ...)", a GPU's name). Raises ValueError without one."""
    reason = unavailable("")
    if reason is not None:
        raise UserError(f"no renderer: {reason}")
    _dm_control_suite(rendered=True)
    from dm_control import _render
    from OpenGL import GL

    context = _render.Renderer(max_width=IMAGE_SIZE, max_height=IMAGE_SIZE)
    with context.make_current() as current:
        name = current.call(GL.glGetString, GL.GL_RENDERER)
    context.free()
    return name.decode()


def _choose_renderer() -> None:
    headless = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if headless:
        os.environ.setdefault("MUJOCO_GL", "egl")


def loads_library(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _dm_control_suite(*, rendered: bool) -> Any:
    """Imports dm_control, with a renderer if frames are needed. Raises UserError with one line that says what to install.

    dm_control chooses its renderer once, at import. Without frames we make it choose none; the first task with frames in the
    same process lets it choose again.
    """
    begun = "dm_control._render" in sys.modules
    if begun and not (rendered and _renders_nothing()):
        from dm_control import suite

        return suite
    if rendered:
        _choose_renderer()
    asked = os.environ.get("MUJOCO_GL")
    try:
        if begun:
            importlib.reload(sys.modules["dm_control._render"])
        elif not rendered:
            os.environ["MUJOCO_GL"] = NO_RENDERER
        from dm_control import suite
    # Without libEGL, PyOpenGL raises an AttributeError. For a device that is not a number, dm_control raises a ValueError.
    except (ImportError, AttributeError, RuntimeError, ValueError) as error:
        raise _no_frames("dm_control does not start", error) from error
    finally:
        if asked is None and os.environ.get("MUJOCO_GL") == NO_RENDERER:
            del os.environ["MUJOCO_GL"]
        elif asked is not None:
            os.environ["MUJOCO_GL"] = asked
    return suite


def _renders_nothing() -> bool:
    from dm_control._render import BACKEND, constants

    return BACKEND in constants.NO_RENDERER


def _open_camera(physics: Any, camera_id: int) -> Any:
    import mujoco
    from dm_control._render import BACKEND
    from dm_control.mujoco import engine

    if BACKEND == "glfw" and not _window_system():  # checked first, because MuJoCo's error leaves an incomplete context behind
        raise _no_frames("no frame can be rendered", RuntimeError("GLFW finds no window system"))
    try:
        return engine.Camera(physics, IMAGE_SIZE, IMAGE_SIZE, camera_id)
    except (RuntimeError, mujoco.FatalError) as error:
        raise _no_frames("no frame can be rendered", error) from error


def _window_system() -> bool:
    import glfw

    return bool(glfw.init())


def _no_frames(what: str, error: Exception) -> UserError:
    """One line with the matching fix: change a wrong setting, or install what is missing."""
    said = " ".join(str(error).split())
    chosen = {
        name: os.environ[name] for name in ("MUJOCO_GL", "MUJOCO_EGL_DEVICE_ID", "PYOPENGL_PLATFORM") if name in os.environ
    }
    if "MUJOCO_EGL_DEVICE_ID" in chosen and ("DEVICE_ID" in said or "int()" in said):
        cure = "unset MUJOCO_EGL_DEVICE_ID, or give the number of an existing device (0 is the first)"
    elif "PYOPENGL_PLATFORM" in said:
        cure = "unset PYOPENGL_PLATFORM"
    elif "GLFW" in said or chosen.get("MUJOCO_GL", "").lower() == "glfw":
        dead = f" (DISPLAY={os.environ['DISPLAY']} does not answer)" if os.environ.get("DISPLAY") else ""
        cure = f"set MUJOCO_GL=egl{dead}; where EGL is missing: {INSTALL_EGL}"
    elif "must be one of" in said or "No OpenGL rendering backend" in said:
        cure = "unset MUJOCO_GL, or set it to egl, osmesa or glfw"
    else:
        cure = INSTALL_EGL
    words = ", ".join(f"{name}={value!r}" for name, value in chosen.items()) or "MUJOCO_GL unset"
    return UserError(f"{what} with {words} ({said}): {cure}")

"""Which observations and actions an agent with a world model can play."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from agents.models.networks import refuses_observation, shape


def refuses(observation_space: spaces.Space, action_space: spaces.Space) -> str | None:
    """Why agents with a world model cannot play these spaces, in one line; None if they can."""
    if isinstance(action_space, spaces.Box):
        if len(action_space.shape) != 1 or not (np.all(action_space.low == -1) and np.all(action_space.high == 1)):
            return f"continuous actions must be a Box [-1, 1] of one axis; this one is {action_space}"
    elif not isinstance(action_space, spaces.Discrete) or action_space.start != 0:
        return f"actions must be a Box [-1, 1] or a Discrete counted from 0; this one is {action_space}"
    return refuses_observation(observation_space)


def action_width(space: spaces.Space) -> int:
    """Number of numbers in an action, or of choices of a discrete one."""
    return int(space.n) if isinstance(space, spaces.Discrete) else shape(space)[0]

"""Two workers share two cores: one thread each, and rendering without a display.

A program that lies in tests/ has that folder first on its path, where tests/protocols/ hides protocols/, so the packages
come before it.
"""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))

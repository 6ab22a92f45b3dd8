"""Fixtures of the agents' tests."""

import pytest
import torch


@pytest.fixture
def float64_everywhere(monkeypatch):
    """What the code keeps in float32 under any precision is float64 here, as in the original programs' stored runs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    yield
    torch.set_default_dtype(before)

from dataclasses import dataclass
from typing import Literal

import pytest

from protocols.running.overrides import parse


@dataclass(frozen=True, kw_only=True)
class Options:
    horizon: int = 15
    rate: float = 8e-5
    balanced: bool = False
    latent: Literal["gaussian", "categorical"] = "gaussian"
    widths: tuple[int, ...] = (4, 8)
    pair: tuple[int, float] = (1, 2.0)
    limit: int | None = None
    title: str = ""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("horizon=20", 20),
        ("horizon=1_000", 1000),
        ("rate=3e-4", 3e-4),
        ("rate=1", 1.0),
        ("balanced=true", True),
        ("balanced=no", False),
        ("latent=categorical", "categorical"),
        ("widths=1,2,3", (1, 2, 3)),
        ("widths=(5,)", (5,)),
        ("pair=3,0.5", (3, 0.5)),
        ("limit=none", None),
        ("limit=7", 7),
        ("title=a=b", "a=b"),
    ],
)
def test_values_take_the_declared_type(text, value):
    ((_, found),) = parse([text], Options(), "dreamer").items()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("horizn=20", "agent 'dreamer' has no option 'horizn'; did you mean 'horizon'?"),
        ("zzz=1", "it has horizon, rate"),
        ("horizon", "--set expects name=value"),
        ("horizon=2.5", "option 'horizon' of agent 'dreamer' expects a whole number, got '2.5'; its value now is 15"),
        ("rate=fast", "expects a number"),
        ("balanced=maybe", "expects true or false"),
        ("latent=other", "expects one of gaussian, categorical"),
        ("widths=1,x", "expects a whole number, several with commas"),
        ("pair=1", "expects"),
        ("horizon=0", "horizon must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        parse([text], Options(), "dreamer")
    assert message in str(refused.value)


def test_an_option_set_twice_is_refused():
    with pytest.raises(ValueError, match="'horizon' is set twice"):
        parse(["horizon=1", "horizon=2"], Options(), "dreamer")

"""How an actor learns from returns, and which network supplies the values in these returns: parts of an actor-critic.

Source: Hafner et al. 2021 (DreamerV2), eq. 6: ρ · log π(a|s) · stop(G - v) + (1 - ρ) · G. Written for one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from agents.behaviors.api import Parts, SlowCopy
from agents.behaviors.over_time import Weight, at


class PolicyGradient(Protocol):
    """How an actor learns from returns.

    through_dream  its gradient flows through the dream; otherwise the dream needs no gradient
    by_score       it uses the log-probabilities
    """

    @property
    def through_dream(self) -> bool: ...

    @property
    def by_score(self) -> bool: ...

    def objective(
        self, returns: Tensor, log_prob: Callable[[], Tensor], value: Tensor, bootstrap: Tensor, gradient_steps: Tensor
    ) -> Tensor:
        """What the actor maximises in each of the first D scored states, [D, N].

        returns    [H-1, N]   returns of the scored states but the last, with gradient through the dream
        log_prob   [H-1, N]   a function: log-probabilities of the actions chosen there, with gradient to the actor's output
                              alone; called only if `by_score`
        value      [H, N]     the learned value of all scored states
        bootstrap  [H, N]     the values that the returns use
        """


@dataclass(frozen=True)
class Dynamics:
    """Gradient through the learned dynamics. Source: Hafner et al. 2020, eq. 7; DreamerV2 for control (ρ = 0)."""

    through_dream = True
    by_score = False

    def objective(
        self, returns: Tensor, log_prob: Callable[[], Tensor], value: Tensor, bootstrap: Tensor, gradient_steps: Tensor
    ) -> Tensor:
        return returns


@dataclass(frozen=True)
class Reinforce:
    """The score function with the learned value as baseline. Source: Hafner et al. 2021, eq. 6, ρ = 1; code of 0216d33.

    slow_baseline  take the values that the returns use as the baseline instead
    """

    slow_baseline: bool = False

    through_dream = False
    by_score = True

    def objective(
        self, returns: Tensor, log_prob: Callable[[], Tensor], value: Tensor, bootstrap: Tensor, gradient_steps: Tensor
    ) -> Tensor:
        baseline = (bootstrap if self.slow_baseline else value)[:-1]
        return log_prob() * (returns - baseline).detach()


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """(1 - share) · dynamics + share · reinforce. share: ρ in [0, 1], which may change over time."""

    share: Weight
    reinforce: PolicyGradient = field(default_factory=Reinforce)
    dynamics: PolicyGradient = field(default_factory=Dynamics)

    through_dream = True
    by_score = True

    def objective(
        self, returns: Tensor, log_prob: Callable[[], Tensor], value: Tensor, bootstrap: Tensor, gradient_steps: Tensor
    ) -> Tensor:
        share = at(self.share, gradient_steps)
        given = (returns, log_prob, value, bootstrap, gradient_steps)
        return share * self.reinforce.objective(*given) + (1.0 - share) * self.dynamics.objective(*given)


@dataclass(frozen=True, kw_only=True)
class OfNextState:
    """Another policy gradient in which every action gets the return of the state that it led to.

    The objective has one state fewer than there are returns. Source: danijar/dreamerv2 07d906e, which subtracts the value of
    the state before from that return (the author's explanation: issue 27 there).
    """

    inner: PolicyGradient

    @property
    def through_dream(self) -> bool:
        return self.inner.through_dream

    @property
    def by_score(self) -> bool:
        return self.inner.by_score

    def objective(
        self, returns: Tensor, log_prob: Callable[[], Tensor], value: Tensor, bootstrap: Tensor, gradient_steps: Tensor
    ) -> Tensor:
        return self.inner.objective(returns[1:], lambda: log_prob()[:-1], value[:-1], bootstrap[:-1], gradient_steps)


class Bootstrap(Protocol):
    """Which network supplies the values in returns."""

    @property
    def targets(self) -> Mapping[str, SlowCopy]: ...

    def values(self, parts: Parts, features: Tensor) -> Tensor:
        """The values in returns [H, N], with gradient to the features."""

    def learned(self, parts: Parts, features: Tensor, values: Tensor | None) -> Tensor:
        """Output of the network that learns, [H, N]; `values` is the result of `values`, or None if it has no gradient."""


@dataclass(frozen=True)
class LiveValue:
    """The value network itself. One forward pass serves both losses: the learner differentiates each in its own group alone."""

    @property
    def targets(self) -> Mapping[str, SlowCopy]:
        return {}

    def values(self, parts: Parts, features: Tensor) -> Tensor:
        return parts.value(features)

    def learned(self, parts: Parts, features: Tensor, values: Tensor | None) -> Tensor:
        return parts.value(features) if values is None else values


@dataclass(frozen=True, kw_only=True)
class SlowValue:
    """A full copy of the value network after updates 1, 1 + every, … Source: Hafner et al. 2021; code of 0216d33: 100."""

    every: int = 100
    fraction: float = 1.0

    @property
    def targets(self) -> Mapping[str, SlowCopy]:
        return {"slow_value": SlowCopy(source="value", fraction=self.fraction, every=self.every)}

    def values(self, parts: Parts, features: Tensor) -> Tensor:
        return parts.slow_value(features)

    def learned(self, parts: Parts, features: Tensor, values: Tensor | None) -> Tensor:
        return parts.value(features.detach())

"""check_agent passes an agent that keeps the contract, and names the claim that one which breaks it breaks."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import dreamer_bench
from agents.catalog import AgentEntry, find
from agents.conformance import check_agent, claims
from agents.per_seed import each
from dreamer_bench_base import EXIT_BUG
from suites import catalog as suites

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hill_climber" / "hill_climber.py"
VECTORS = check_agent.KINDS[:1]


def example():
    spec = importlib.util.spec_from_file_location("hill_climber", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOOD = example()


def check(monkeypatch, faulty=GOOD.HillClimber, **recipe):
    """The claims that an agent breaks: `faulty` is its class, `recipe` replaces parts of the module."""
    module = SimpleNamespace(
        PROFILES=GOOD.PROFILES,
        refuses=GOOD.refuses,
        build=lambda options, context: each(lambda own: faulty(options, own), context),
    )
    for name, value in recipe.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "faulty_recipe", module)
    monkeypatch.setattr(check_agent, "KINDS", VECTORS)
    findings = check_agent.check_agent(AgentEntry(name="faulty", summary="", recipe="faulty_recipe"), make=suites.make)
    return {finding.claim.partition(": ")[2] or finding.claim: finding.detail for finding in findings if not finding.passed}


class HiddenCounter(GOOD.HillClimber):
    calls = 0

    def act(self, carry, step, *, explore):
        self.calls += 1
        action, carry = super().act(carry, step, explore=explore)
        return action * np.float32(1 / self.calls), carry


class TrainsOnEvaluation(GOOD.HillClimber):
    def act(self, carry, step, *, explore):
        action, carry = super().act(carry, step, explore=explore)
        if not explore and carry is None:
            self.candidate = self.candidate + 1.0
        return action, carry


class NeverForgets(GOOD.HillClimber):
    def initial(self, num_envs, *, stream=0):
        return 0.0

    def act(self, carry, step, *, explore):
        action, _ = super().act(None, step, explore=explore)
        carry = carry + step.observation["vector"][0, 0, 1] + 0.1 * step.reward[0, 0]
        return np.tanh(action + np.float32(carry)), carry

    def load(self, folders):
        super().load(folders)
        return 0.0


class Unseeded(GOOD.HillClimber):
    def change(self):
        return self.best + np.random.default_rng().normal(size=self.best.shape)


class IgnoresItsSeed(GOOD.HillClimber):
    def change(self):
        return self.best + np.random.default_rng(self.episodes).normal(size=self.best.shape)


class SeedsMeet(GOOD.HillClimber):
    living: list = []  # noqa: RUF012

    def learn(self, progress):
        done = super().learn(progress)
        self.living.append(self.seed)
        self.candidate = self.candidate + 0.01 * sum(self.living[-2:])
        return done


class WrongType(GOOD.HillClimber):
    def act(self, carry, step, *, explore):
        action, carry = super().act(carry, step, explore=explore)
        return action.astype(np.float64), carry


class OutOfRange(GOOD.HillClimber):
    def act(self, carry, step, *, explore):
        action, carry = super().act(carry, step, explore=explore)
        return 1.5 + action, carry


class ScalarMetrics(GOOD.HillClimber):
    def metrics(self):
        return {"loss": np.array([1.0, 2.0])}


class HalfLoaded(GOOD.HillClimber):
    def load(self, folders):
        super().load(folders)
        self.episodes = 0


class LoadsNothing(GOOD.HillClimber):
    def load(self, folders):
        if (folders[0] / "hill_climber.npz").exists():
            super().load(folders)


class WritesIntoObservations(GOOD.HillClimber):
    def act(self, carry, step, *, explore):
        action, carry = super().act(carry, step, explore=explore)
        step.observation["vector"][:] = 7.0
        return action, carry


def test_the_example_and_the_random_agent_keep_the_contract_on_every_kind_of_task():
    entry = AgentEntry(name="hill_climber", summary="", recipe="hill_climber")
    sys.modules.setdefault("hill_climber", GOOD)
    for agent in (entry, find("random")):
        findings = check_agent.check_agent(agent, make=suites.make)
        assert [finding for finding in findings if not finding.passed] == []
        assert len(findings) > len(check_agent.KINDS) * len(claims.CLAIMS)


@pytest.mark.parametrize(
    ("faulty", "claim"),
    [
        (HiddenCounter, "acting has no side effect"),
        (TrainsOnEvaluation, "evaluation leaves no trace in training"),
        (NeverForgets, "is_first makes it forget"),
        (Unseeded, "the same seed gives the same run"),
        (IgnoresItsSeed, "another seed gives another run"),
        (SeedsMeet, "a seed does the same alone and in company"),
        (WrongType, "actions have the right shape, type and range"),
        (OutOfRange, "actions have the right shape, type and range"),
        (ScalarMetrics, "metrics and divergence are told per seed"),
        (HalfLoaded, "it continues after loading, and one seed loads alone"),
        (LoadsNothing, "an empty folder is refused"),
        (WritesIntoObservations, "the same seed gives the same run"),
    ],
)
def test_a_broken_promise_is_named(monkeypatch, faulty, claim):
    broken = check(monkeypatch, faulty)
    assert claim in broken, broken
    assert broken[claim]


RAISES = """
import numpy as np
from agents.per_seed import each
from hill_climber import PROFILES, HillClimber, refuses

class Raises(HillClimber):
    def save(self, folders, carry):
        FAULT

def build(options, context):
    return each(lambda own: Raises(options, own), context)
"""


@pytest.mark.parametrize("fault", ["open('/nowhere/weights')", "raise ValueError('no room')", "import torchh"])
def test_an_exception_of_the_agent_is_told_from_a_claim_that_does_not_hold(monkeypatch, capsys, tmp_path, fault):
    """With its traceback, where it was raised, the claim that was being checked, and what held before."""
    (tmp_path / "raising_agent.py").write_text(RAISES.replace("FAULT", fault))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "hill_climber", GOOD)
    monkeypatch.delitem(sys.modules, "raising_agent", raising=False)
    monkeypatch.setattr(check_agent, "KINDS", VECTORS)
    entry = AgentEntry(name="raising", summary="", recipe="raising_agent")
    monkeypatch.setattr("agents.catalog.find", lambda name: entry)
    monkeypatch.setattr("sys.argv", ["dreamer-bench", "check-agent", "raising"])
    with pytest.raises(SystemExit) as left:
        dreamer_bench.main()
    told = capsys.readouterr()
    assert left.value.code == EXIT_BUG
    assert "ok   vectors, continuous actions: acting has no side effect" in told.out
    assert "FAIL" not in told.out
    assert fault in told.err  # the traceback shows the agent's own line
    last = told.err.strip().splitlines()[-1]
    assert "exception of the agent, not a claim that does not hold" in last
    assert "raising_agent.py, line 8" in last
    assert last.endswith("vectors, continuous actions: it continues after loading, and one seed loads alone")


class OnPolicy:
    """As docs/adding-an-agent.md says: collects what `observe` shows until a batch is whole, updates in `learn`, keeps no more.

    A linear policy moved along action x reward; the batch is counted in `progress.agent_steps`.
    """

    BATCH = 12
    diverged = np.zeros(1, dtype=bool)

    def __init__(self, options, context):
        width = context.observation_space["vector"].shape[0]
        self.seed, self.updates, self.rows = context.seeds[0], 0, []
        self.weights = np.random.default_rng((self.seed, 0)).normal(size=(width, context.action_space.shape[0]))
        self.before = np.zeros((context.num_envs, width))

    def initial(self, num_envs, *, stream=0):
        return stream, 0

    def act(self, carry, step, *, explore):
        stream, position = carry
        action = step.observation["vector"][0] @ self.weights
        if explore:
            action = action + np.random.default_rng((self.seed, 1, stream, position)).normal(size=action.shape)
        return np.tanh(action)[None].astype(np.float32), (stream, position + 1)

    def observe(self, action, step, lanes):
        vector = step.observation["vector"][0]
        moved = lanes[0] & ~step.is_first[0]
        self.rows += [self.before[e][:, None] * action[0, e] * step.reward[0, e] for e in np.flatnonzero(moved)]
        self.before = np.where(lanes[0][:, None], vector, self.before)

    def learn(self, progress):
        due = progress.agent_steps // self.BATCH - self.updates
        if due > 0:
            self.weights = self.weights + 0.1 * np.mean(self.rows, axis=0)
            self.rows, self.updates = [], self.updates + due
        return due

    def metrics(self):
        return {}

    def save(self, folders, carry):
        np.savez(folders[0] / "on_policy.npz", weights=self.weights, rows=np.array(self.rows), updates=self.updates,
                 before=self.before, carry=carry)  # fmt: skip

    def load(self, folders):
        if not (folders[0] / "on_policy.npz").exists():
            raise ValueError(f"{folders[0]} holds no checkpoint of this agent")
        kept = np.load(folders[0] / "on_policy.npz")
        self.weights, self.rows, self.updates = kept["weights"], list(kept["rows"]), int(kept["updates"])
        self.before = kept["before"]
        return tuple(int(value) for value in kept["carry"])


def test_an_on_policy_agent_as_the_page_describes_it_keeps_the_contract(monkeypatch):
    assert check(monkeypatch, OnPolicy) == {}


def test_options_must_be_frozen(monkeypatch):
    assert check(monkeypatch, PROFILES={"paper": SimpleNamespace(step_size=0.5)}) == {
        "its options are a frozen dataclass": "the profile 'paper' is SimpleNamespace"
    }


def test_an_agent_that_plays_nothing_is_told_so(monkeypatch):
    assert "it plays at least one kind of task" in check(monkeypatch, refuses=lambda *_: "it plays nothing")


def test_a_refusal_must_say_why(monkeypatch):
    assert check(monkeypatch, refuses=lambda *_: True) == {
        "refused with a reason in one line": "refuses() returned True",
        "it plays at least one kind of task": "it refuses every kind of space",
    }


def test_probes_report_the_return_beside_the_optimum(monkeypatch):
    monkeypatch.setattr(check_agent, "TRAINED_PROBES", ("probe_one_step",))
    monkeypatch.setattr(check_agent, "KINDS", VECTORS)
    sys.modules.setdefault("hill_climber", GOOD)
    reached = {}
    for entry in (AgentEntry(name="hill_climber", summary="", recipe="hill_climber"), find("random")):
        finding = check_agent.check_agent(entry, make=suites.make, probes=True)[-1]
        assert "of 8.00 after 3,000 decisions" in finding.detail
        reached[entry.name] = finding.passed
    assert reached == {"hill_climber": True, "random": False}


def test_a_recipe_of_another_package_says_itself_what_it_is(monkeypatch):
    recipe = ModuleType("summed_up")
    monkeypatch.setitem(sys.modules, "summed_up", recipe)
    entry = AgentEntry(name="mine", summary="from package mine", recipe="summed_up", origin="mine")
    assert entry.described() == "from package mine"
    recipe.SUMMARY = "plans with a table"
    assert entry.described() == "plans with a table"


SMALL_SEARCH = {
    "stoch": 3, "deter": 6, "model_hidden": 6, "hidden": 6, "depth": 1, "batch_sequences": 2, "batch_length": 4,
    "search_population": 6, "search_starts": 2, "search_horizon": 2, "search_generations": 1,
}  # fmt: skip


def test_a_search_in_imagination_keeps_the_contract_from_pixels_while_it_learns(monkeypatch):
    """World Models' controller, tiny: what a generation finds is kept, loaded and forgotten as the contract wants it."""
    from agents.recipes import world_models

    tiny = replace(world_models.PROFILES["quick"], **SMALL_SEARCH)
    monkeypatch.setattr(world_models, "PROFILES", {"paper": tiny, "quick": tiny})
    monkeypatch.setattr(check_agent, "KINDS", ({"pixels": True, "discrete": False},))
    findings = check_agent.check_agent(find("world_models"), make=suites.make)
    assert [finding for finding in findings if not finding.passed] == []
    assert findings[-1].detail == "4 gradient steps were taken"

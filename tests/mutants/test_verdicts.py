"""The tables of the study, on score files whose verdicts are known."""

import numpy as np
import pytest

from tests.mutants import tables, verdicts
from tests.mutants.mutations import PENDULUM

AT = 8_000
BUDGETS = (2_000, AT)


def score_file(path, **methods):
    """A tidy score file: method -> one score per run, at every budget and as the final evaluation of ten episodes."""
    lines = ["method,task,seed,env_step,score,episode,protocol,final"]
    for method, scores in methods.items():
        for seed, score in enumerate(scores):
            for at in BUDGETS:
                lines += [f"{method},{PENDULUM},{seed},{at},{score + episode},{episode},small@1,False" for episode in range(5)]
            lines += [f"{method},{PENDULUM},{seed},{AT},{score + episode},{episode},small@1,True" for episode in range(10)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    generator = np.random.default_rng(0)
    return verdicts.read(
        score_file(
            tmp_path_factory.mktemp("scores") / "scores.csv",
            unchanged=generator.normal(-150, 30, 30),
            lambda_zero=generator.normal(-900, 30, 5),
            clipped_at_a_tenth=generator.normal(-150, 30, 5),
            one_seed_for_all=[-150.0] * 5,
        )
    )


def test_a_large_loss_is_seen_at_every_budget_and_none_where_there_is_none(points):
    found = {(name, at): verdict for name, at, verdict in verdicts.of_mutations(points, PENDULUM, verdicts.Rule(), BUDGETS)}
    assert {found["lambda_zero", at].status for at in BUDGETS} == {"below"}
    assert {found["clipped_at_a_tenth", at].status for at in BUDGETS} == {"reproduced"}
    assert [verdicts.alarms(found[name, AT]) for name in ("lambda_zero", "clipped_at_a_tenth")] == [True, False]


def test_runs_that_are_copies_of_each_other_are_seen_by_the_check_of_the_records(points):
    found = {name: verdict for name, at, verdict in verdicts.of_mutations(points, PENDULUM, verdicts.Rule(), (AT,))}
    assert (found["one_seed_for_all"].status, found["one_seed_for_all"].exit_code) == ("invalid", 4)
    assert verdicts.alarms(found["one_seed_for_all"])


def test_false_alarms_are_counted_on_seeds_outside_the_reference(points):
    found = verdicts.of_unchanged(points, [PENDULUM], verdicts.Rule(), AT, cohorts=20)
    assert (found.seeds, found.apart, found.resampled) == (20, (4, 0), (20, 0))
    assert found.interval((4, 0)) == pytest.approx((0.0, 1 - 0.025 ** (1 / 4)))  # Clopper and Pearson by hand


def test_the_reference_is_the_last_ten_seeds_and_shares_none_with_the_mutated_runs(points):
    """Of thirty unchanged seeds, 0 to 29: were any other than 20 to 29 the reference, spoiling these would change nothing."""
    kept = (points["method"] != "unchanged") | (points["seed"].astype(int) < 20)
    spoiled = points.assign(score=points["score"].where(kept, 0))
    found = {name: verdict for name, at, verdict in verdicts.of_mutations(spoiled, PENDULUM, verdicts.Rule(), (AT,))}
    assert found["clipped_at_a_tenth"].status == "below"


def test_an_inconclusive_verdict_is_no_alarm(points):
    ours = verdicts.scored(verdicts.chosen(points, "clipped_at_a_tenth", [PENDULUM], list("01234")), verdicts.Rule(), AT)
    wide = ours.assign(score=[-150.0, -150.0, -150.0, -150.0, -1_200.0])
    theirs = verdicts.scored(verdicts.chosen(points, "unchanged", [PENDULUM], list("01234")), verdicts.Rule(), AT)
    verdict = verdicts.ask(wide, theirs, verdicts.Rule(), AT)
    assert (verdict.status, verdicts.alarms(verdict)) == ("inconclusive", False)


def test_the_table_names_the_smallest_budget_from_which_on_a_bug_is_seen(points):
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in tables.mutations(points, PENDULUM, verdicts.Rule(), BUDGETS)}
    assert "| Pendulum | 5 | 2,000 | below, -0." in rows["λ is 0: returns of one imagined step"]
    assert "| Pendulum | 5 | no | reproduced, " in rows["gradients are clipped at a norm of 0.1 in place of 100"]
    assert "| 2,000 | invalid |" in rows["every run of a program gets the first one's seed"]


def test_a_better_score_is_no_alarm(points):
    rows = verdicts.scored(verdicts.chosen(points, "lambda_zero", [PENDULUM], list("01234")), verdicts.Rule(), AT)
    theirs = verdicts.scored(verdicts.chosen(points, "unchanged", [PENDULUM], list("01234")), verdicts.Rule(), AT)
    better = verdicts.ask(theirs, rows, verdicts.Rule(), AT)
    assert (better.status, verdicts.alarms(better)) == ("above", False)

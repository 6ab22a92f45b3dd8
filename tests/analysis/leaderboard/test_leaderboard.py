"""The leaderboard: what may enter, what a change does, how it ranks, and that people can use the site."""

from __future__ import annotations

import csv
import gzip
import html
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from analysis.leaderboard import adding, card, evidence, submissions
from analysis.leaderboard import site as site_builder
from analysis.leaderboard.board import board_of
from analysis.leaderboard.commands import LeaderboardAdd
from analysis.leaderboard.entries import entries_of
from analysis.scores import cures
from dreamer_bench_base import InvalidData
from protocols import catalog
from protocols.cadence import cadence_of
from protocols.records.json_files import append_lines
from protocols.records.store import EPISODES, METRICS, write_result
from protocols.spec import Protocol
from tests.analysis.browser import ACCESSIBLE, Browser, browser
from tests.make_records import make_run
from tests.probe_runs import PROBE

QUICK = catalog.find("quick@1")
TASK = QUICK.tasks[0]
REFERENCE = Path(__file__).resolve().parents[3] / "../shared/reference/dmc_vision_1m_dreamerv3_suite.csv.gz"
REPS = 300


def write_card(folder: Path, **fields: Any) -> None:
    card = {"name": folder.name, "authors": ["A. Author", "B. Author"], "input": "pixels", "paper": "https://example.org/paper",
            "code": "https://example.org/code", "note": "", **fields}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card))


def make_submission(folder: Path, end: float, *, spread: float = 10.0, agent: str = "dreamer", **card: Any) -> Path:
    """A whole and valid submission to quick@1 whose final scores lie around `end`."""
    write_card(folder, **card)
    times = cadence_of(QUICK, TASK, QUICK.env_steps).evaluation_env_steps
    for seed in QUICK.seeds:
        shift = spread * (seed - 1)
        scores = {
            time: [end * time / QUICK.env_steps + shift / 8 + 20 + k for k in range(QUICK.evaluate_episodes)] for time in times
        }
        make_run(folder / "runs", QUICK, agent=agent, task=TASK, seed=seed, scores=scores,
                 final=[end + shift + episode for episode in range(-2, 3)])  # fmt: skip
    return folder


def make_imported(folder: Path, end: float, *, spread: float, protocol: Protocol = QUICK, **card: Any) -> Path:
    """Imported scores for a protocol: straight curves of its seeds that end around `end`."""
    source = {"protocol": protocol.id, "source": "made up here", "licence": "MIT", "method": "theirs"}
    write_card(folder, imported=source, **card)
    lines = ["method,task,seed,env_step,score"]
    for task, seed in itertools.product(protocol.tasks, protocol.seeds):
        score = end + spread * (seed - 1)
        lines += [f"theirs,{task},{seed},{time},{score + time / protocol.env_steps}" for time in (0, protocol.env_steps)]
    (folder / "scores").mkdir()
    (folder / "scores" / "scores.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three entries: one ahead, two that three seeds cannot tell apart. One of them is published and sees states."""
    base = tmp_path_factory.mktemp("board")
    added = base / "in"
    make_submission(added / "ahead", 800, name="Ahead")
    make_submission(added / "two", 510, spread=90, name="Close <b>two</b>", note="<script>alert(1)</script>")
    make_imported(added / "one", 500, spread=90, name="Close one", input="state")
    for folder in sorted(added.iterdir()):
        adding.add(folder, base / "kept")
    return base / "kept"


@pytest.fixture(scope="module")
def site(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    site_builder.build(board, out, reps=REPS)
    return out


def rows_of(page: str) -> list[tuple[str, str]]:
    """(rank, method) of the first ranking on a page."""
    found = re.findall(r'<td class="rank"[^>]*>(.*?)</td>\s*<th scope="row"[^>]*><span[^>]*></span>(.*?)</th>', page)
    return [(rank, method) for rank, method in found]


def test_methods_that_the_runs_cannot_order_share_a_range_of_ranks(site):
    assert rows_of((site / "index.html").read_text()) == [
        ("1", "Ahead"), ("2–3", "Close &lt;b&gt;two&lt;/b&gt;"), ("2–3", "Close one")]  # fmt: skip


def test_a_board_read_by_several_processes_is_that_of_one_to_the_byte(board, tmp_path, monkeypatch):
    kept = shutil.copytree(board, tmp_path / "kept")
    changed = next((kept / "ahead").rglob(EPISODES))
    changed.write_text(changed.read_text().replace("1", "2", 1))
    alone = site_builder.build(kept, tmp_path / "alone", reps=REPS)
    monkeypatch.setattr(submissions, "LEAST_APART", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    assert site_builder.build(kept, tmp_path / "several", reps=REPS) == alone
    assert list(alone.left_out) == ["ahead"]
    for name in alone.files:
        assert (tmp_path / "several" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_raw_returns_of_different_scales_are_not_ranked(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "BUILT_IN", (*catalog.BUILT_IN, PROBE))
    write_card(tmp_path / "in", name="Two scales")
    for task in PROBE.tasks:
        for seed in PROBE.seeds:
            scores = {at: [seed + at / 100.0, 1.0, 2.0] for at in range(0, 801, 200)}
            make_run(tmp_path / "in" / "runs", PROBE, agent="dreamer", task=task, seed=seed, scores=scores,
                     final=[3.0 + seed, 4.0, 5.0, 6.0])  # fmt: skip
    (submission,) = [submissions.of_files(tmp_path / "in", evidence.of_submission(tmp_path / "in"))]
    submission, found = submissions.checked(submission)
    assert found == []
    board, _ = board_of(entries_of(submission), 100)
    assert (board["rows"], board["pairs"], board["glance"]) == ([], {}, None)
    assert board["unranked"].startswith("Not ranked: the raw returns")
    assert board["per_task"]["columns"] == ["Two scales"]


def test_pairs_say_who_beats_whom_and_both_ways_agree(site):
    page = (site / "quick-1.html").read_text()
    table = page[page.index('id="pairs"') : page.index('id="tasks"')]
    cells = re.findall(r'<td class="(better|worse|open)">([\d.]+)<', table)
    assert cells[0] == ("better", "1.00")  # Ahead beats the second: 800 ± 10 against 510 ± 90
    assert cells[2] == ("worse", "0.00")  # and the second is beaten by it
    values = [float(value) for _, value in cells]
    assert values[3] + values[5] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("state", "'state' under quick@1, whose tasks show pixels"),
        ("both", "'both' under quick@1, whose tasks show pixels"),
        ({"quick@1": "state"}, "'state' under quick@1, whose tasks show pixels"),
        ({"dmc-5m@1": "pixels"}, "says nothing of quick@1; add it"),
        ({"quick@1": "sounds"}, "must be one of pixels, state, both, not 'sounds'"),
        ({"quick@1": ["pixels"]}, r"not \['pixels'\]"),
        (["pixels"], r"not \['pixels'\]"),
        (None, "not None"),
        ({"quick@1": "pixels", "\u202e": "state"}, "invisible character"),
    ],
)
def test_a_card_that_claims_another_input_than_its_runs_had_is_refused(given, says, tmp_path):
    with pytest.raises(InvalidData, match=says):
        adding.add(make_submission(tmp_path / "in", 500, input=given), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_imported_scores_need_an_input_under_their_protocol(tmp_path):
    with pytest.raises(InvalidData, match="says nothing of quick@1; add it"):
        adding.add(make_imported(tmp_path / "in", 500, spread=90, input={"dmc-5m@1": "pixels"}), tmp_path / "kept")


def test_the_input_of_each_protocol_is_that_of_its_tasks():
    shown = {name: card.observed(asdict(catalog.find(name))) for name in ("dmc-5m@1", "quick@1", "dmc-small@1", "small@1")}
    assert shown == {"dmc-5m@1": "pixels", "quick@1": "pixels", "dmc-small@1": "both", "small@1": None}


@pytest.mark.parametrize("damage", [{"suite_options": 3}, {"task_options": []}, {"task_options": {TASK: 1}}])
def test_damaged_options_of_a_protocol_say_nothing_of_its_input(damage):
    assert card.observed({**asdict(QUICK), **damage}) is None


def test_an_entry_shows_the_input_of_each_protocol(tmp_path):
    inputs = {"quick@1": "pixels", "dmc-small@1": "both"}
    adding.add(make_submission(tmp_path / "in", 500, input=inputs), tmp_path / "kept")
    site_builder.build(tmp_path / "kept", tmp_path / "site", reps=REPS)
    assert 'data-input="pixels"' in (tmp_path / "site" / "index.html").read_text()


def test_what_a_card_says_is_text_on_the_page_and_never_markup(site):
    for path in site.rglob("*.html"):
        assert "<script>alert" not in path.read_text()
        assert "<b>two" not in path.read_text()


def test_every_link_inside_the_site_leads_somewhere_and_nothing_is_fetched(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"""<(?:script|img|iframe|link)[^>]*(?:src|href)=["'](?!data:)""", text), path
        ids = set(re.findall(r'\bid="([^"]+)"', text))
        for link in re.findall(r'<a [^>]*href="([^"]+)"', text):
            if link.startswith("https://example.org/"):
                continue
            target, _, fragment = link.replace("%40", "@").partition("#")
            assert not target or (path.parent / target).is_file(), f"{path.name}: {link}"
            assert target or not fragment or fragment in ids, f"{path.name}: {link}"


def test_the_site_holds_the_records_with_their_hashes(site, board):
    listed = json.loads((board / "ahead" / "submission.json").read_text())["sha256"]
    page = (site / "records" / "ahead" / "index.html").read_text()
    assert len(listed) > 3 * 3
    for name, hash in listed.items():
        assert (site / "records" / "ahead" / name).read_bytes() == (board / "ahead" / name).read_bytes()
        assert hash in page


def test_building_twice_gives_the_same_bytes_and_takes_stale_pages_away(board, site, tmp_path):
    out = tmp_path / "site"
    shutil.copytree(site, out)
    (out / "old.html").write_text("from an earlier build")
    listing = json.loads((out / "site.json").read_text())
    (out / "site.json").write_text(json.dumps({"files": [*listing["files"], "old.html"]}))
    site_builder.build(board, out, reps=REPS)
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()} == {
        path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}  # fmt: skip


def change_a_score(kept: Path) -> None:
    path = next(kept.rglob(EPISODES))
    path.write_text(path.read_text().replace('"score": 8', '"score": 9', 1))


def change_score_and_hash(kept: Path) -> None:
    """Somebody who also mends the seal is found by the record's own hashes."""
    change_a_score(kept)
    seal = kept / "submission.json"
    files = evidence.of_entry(kept, seal=seal.name)
    seal.write_text(json.dumps({"schema": 2, "sha256": dict(submissions.of_files(kept, files).hashes)}))


def take_a_file_away(kept: Path) -> None:
    next(kept.rglob(EPISODES)).unlink()


def unseal(kept: Path) -> None:
    (kept / "submission.json").unlink()


@pytest.mark.parametrize(("change", "says"), [
    (change_a_score, "was changed"), (change_score_and_hash, "hash"),
    (take_a_file_away, "is missing"), (unseal, "leaderboard add"),
])  # fmt: skip
def test_a_changed_record_is_left_out_with_a_line_and_the_others_are_shown(change, says, board, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(board, kept)
    change(kept / "ahead")
    built = site_builder.build(kept, tmp_path / "site", reps=REPS)
    assert [name for name, line in built.left_out.items() if re.search(says, line) and "\n" not in line] == ["ahead"]
    page = (tmp_path / "site" / "index.html").read_text()
    assert rows_of(page) == [("1–2", "Close &lt;b&gt;two&lt;/b&gt;"), ("1–2", "Close one")]
    assert "do not pass the checks of this version: ahead." in page
    assert not (tmp_path / "site" / "records" / "ahead").exists()


def test_where_nothing_is_left_to_show_the_old_site_stays(board, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(board / "ahead", kept / "ahead")
    site_builder.build(kept, tmp_path / "site", reps=REPS)
    before = (tmp_path / "site" / "index.html").read_bytes()
    change_a_score(kept / "ahead")
    with pytest.raises(InvalidData, match=r"no submission to show: .*was changed"):
        site_builder.build(kept, tmp_path / "site", reps=REPS)
    assert (tmp_path / "site" / "index.html").read_bytes() == before


def cut_short(folder: Path) -> None:
    next((folder / "runs").rglob("result.json")).unlink()


def a_script_as_link(folder: Path) -> None:
    write_card(folder, paper="javascript:alert(1)")


def no_authors(folder: Path) -> None:
    write_card(folder, authors=[])


def no_card(folder: Path) -> None:
    (folder / "card.json").unlink()


@pytest.mark.parametrize(("spoil", "says"), [
    (cut_short, "complete"), (a_script_as_link, "http"), (no_authors, "authors"), (no_card, "card.json"),
])  # fmt: skip
def test_nothing_enters_unchecked_and_a_refusal_leaves_nothing_behind(spoil, says, tmp_path):
    folder = make_submission(tmp_path / "entry", 500)
    spoil(folder)
    with pytest.raises(ValueError, match=says) as raised:
        adding.add(folder, tmp_path / "kept")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "kept").exists()


def test_adding_again_changes_nothing_and_another_one_of_that_name_is_refused(tmp_path):
    first = adding.add(make_submission(tmp_path / "one", 500, name="Same"), tmp_path / "kept")
    (tmp_path / "one" / "runs" / "quick@1" / "dreamer" / TASK / "seed-0" / "checkpoint-3").mkdir()
    assert adding.add(tmp_path / "one", tmp_path / "kept") == first
    with pytest.raises(ValueError, match="holds another submission"):
        adding.add(make_submission(tmp_path / "two", 600, name="Same"), tmp_path / "kept")
    assert not list(first.rglob("checkpoint*"))


def with_diverged(folder: Path, *seeds: int) -> Path:
    """A submission in which the runs of these seeds diverged after their third evaluation."""
    make_submission(folder, 500)
    times = cadence_of(QUICK, TASK, QUICK.env_steps).evaluation_env_steps
    for seed in seeds:
        shutil.rmtree(folder / "runs" / "quick@1" / "dreamer" / TASK / f"seed-{seed}")
        scores = {time: [7.0 + seed] * QUICK.evaluate_episodes for time in times[:3]}
        run = make_run(folder / "runs", QUICK, agent="dreamer", task=TASK, seed=seed, scores=scores, status=None)
        last, repeat = run.metrics()[-1], QUICK.action_repeat_of(TASK)
        updates = run.manifest["options"]["updates"]  # every 100 env_steps
        counts = {"env_steps": last["env_steps"] + 100, "agent_steps": last["agent_steps"] + 100 // repeat,
                  "gradient_steps": last["gradient_steps"] + updates}  # fmt: skip
        said = {"seconds": 99.0, "env_steps_per_second": 1.0, "train_return": None, "diverged": True}
        append_lines(run.folder / METRICS, [{**counts, **said}])
        write_result(run, status="diverged", **counts, wall_seconds=99.0, device_seconds=99.0)
    return folder


def test_a_diverged_run_enters_and_is_said_in_the_ranking(tmp_path):
    adding.add(with_diverged(tmp_path / "entry", 2), tmp_path / "kept")
    site_builder.build(tmp_path / "kept", tmp_path / "site", reps=REPS)
    assert "1 diverged" in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.parametrize("beside", [False, True])
def test_an_entry_with_one_seed_left_is_shown_without_a_rank_and_says_why(beside, tmp_path):
    adding.add(with_diverged(tmp_path / "entry", 1, 2), tmp_path / "kept")
    if beside:
        adding.add(make_submission(tmp_path / "whole", 600), tmp_path / "kept")
    site_builder.build(tmp_path / "kept", tmp_path / "site", reps=REPS)
    why = "entry (a single seed has a score on Walker Stand, so no interval can be given; 2 of 3 runs diverged)"
    for name in ("index.html", "quick-1.html"):
        page = (tmp_path / "site" / name).read_text()
        assert " ".join(f"Not ranked: {why}.".split()) in " ".join(page.split())
        assert rows_of(page) == ([("1", "whole")] if beside else [])
    assert "<dt>Diverged</dt><dd>2 of 3 runs</dd>" in page


def test_a_submission_without_any_score_is_refused_in_its_own_words(tmp_path):
    with pytest.raises(InvalidData, match="all 3 runs of dreamer under quick@1 diverged, so no score can be shown; leave"):
        adding.add(with_diverged(tmp_path / "entry", 0, 1, 2), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


# ---------------------------------------------------------------- nothing of one submission stops the site of the others


def imported_at(folder: Path, times: Sequence[int], *, protocol: Protocol = QUICK, hours: tuple[int, ...] = ()) -> Path:
    """Imported scores with points at these times only; the seeds in `hours` say how long they trained."""
    make_imported(folder, 500, spread=50, protocol=protocol)
    lines = ["method,task,seed,env_step,score,device_seconds"]
    for task, seed, time in itertools.product(protocol.tasks, protocol.seeds, times):
        lines.append(f"theirs,{task},{seed},{time},{500 + 10 * seed + time / 1e4},{time if seed in hours else ''}")
    (folder / "scores" / "scores.csv").write_text("\n".join(lines) + "\n")
    return folder


SPARSE = {
    "one point": {"times": (10_000,)},
    "others end before it begins": {"times": (0, 3_300, 6_600, 9_900)},
    "one seed has hours": {"times": (5_000, 10_000), "hours": (0,)},
}


@pytest.mark.parametrize("names", list(itertools.combinations(SPARSE, 2)))
@pytest.mark.parametrize("recorded", [False, True])
def test_no_two_submissions_that_were_accepted_stop_the_site(names, recorded, tmp_path):
    for number, name in enumerate(names):
        adding.add(imported_at(tmp_path / f"import{number}", **SPARSE[name]), tmp_path / "kept")
    if recorded:
        adding.add(make_submission(tmp_path / "ours", 700), tmp_path / "kept")
    built = site_builder.build(tmp_path / "kept", tmp_path / "site", reps=REPS)
    assert built.left_out == {}
    page = (tmp_path / "site" / "quick-1.html").read_text()
    assert len(rows_of(page)) == 2 + recorded
    drawn = (tmp_path / "site" / "quick-1" / "efficiency.csv").exists()
    assert drawn == recorded
    says = "is without imported scores, because" if recorded else "is not drawn, because"
    assert f"Sample efficiency {says}" in page
    if drawn:
        with (tmp_path / "site" / "quick-1" / "efficiency.csv").open() as file:
            assert {row["method"] for row in csv.DictReader(file)} == {"ours"}


def test_a_cure_for_a_submission_names_no_option_that_add_lacks(tmp_path):
    folder = imported_at(tmp_path / "in", (0, 100))
    asked = LeaderboardAdd(submission=folder, to=tmp_path / "kept")
    with pytest.raises(InvalidData, match="every run stops short of 10,000 env_steps; mend the submission") as raised:
        asked.run()
    assert cures.named_in(str(raised.value)) <= cures.options_of(asked)


def test_seeds_that_do_not_reach_the_budget_are_counted_in_the_plural(tmp_path):
    folder = make_imported(tmp_path / "in", 500, spread=90, protocol=catalog.find("quick@2"))
    path = folder / "scores" / "scores.csv"
    task = catalog.find("quick@2").tasks[0]
    path.write_text("".join(line for line in path.open() if f"{task}," not in line or ",10000," not in line))
    with pytest.raises(InvalidData, match=f"{task}: 0 seeds reach 10,000 env steps; an interval needs two"):
        adding.add(folder, tmp_path / "kept")


# ---------------------------------------------------------------- published methods as first entries


def import_published(folder: Path, method: str, *, every: int) -> Path:
    """One published method as a submission; every so-manieth point, to spare time, and always those of the last tenth."""
    write_card(
        folder,
        name=method,
        authors=["the authors of the source"],
        imported={
            "protocol": "dmc-1m@1",
            "method": method,
            "licence": "MIT",
            "source": "github.com/danijar/dreamerv3, scores of the DMC vision suite",
        },
    )
    (folder / "scores").mkdir()
    with gzip.open(REFERENCE, "rt") as source, (folder / "scores" / "scores.csv").open("w", newline="") as target:
        rows = csv.DictReader(source)
        writer = csv.DictWriter(target, rows.fieldnames or [])
        writer.writeheader()
        writer.writerows(
            row
            for index, row in enumerate(rows)
            if row["method"] == method and (index % every == 0 or not 0 < int(row["env_step"]) <= 900_000)
        )
    return folder


def test_published_methods_enter_marked_as_imported_and_are_ranked(tmp_path):
    if not REFERENCE.exists():
        pytest.skip("published curves are not beside this checkout (../shared/reference)")
    for method in ("curl", "sac_pixels"):
        adding.add(import_published(tmp_path / method, method, every=10), tmp_path / "kept")
    site_builder.build(tmp_path / "kept", tmp_path / "site", reps=REPS)
    page = (tmp_path / "site" / "dmc-1m-1.html").read_text()
    assert rows_of(page) == [("1", "curl"), ("2", "sac_pixels")]
    assert page.count('<span class="badge imported">imported</span>') == 2
    assert "dmc_pendulum_swingup, seed 9" in page  # the source holds a single point of it: left out and said so


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("driver")) as opened:
        yield opened


def visible(page: Browser) -> list[str]:
    """Methods in the shown rows, from top to bottom."""
    return page.script(
        "return [...document.querySelectorAll('tr[data-input]')].filter((row) => row.offsetParent !== null)"
        ".map((row) => row.querySelector('th').innerText.trim())"
    )


def test_filters_and_sorting_work_by_keyboard_and_say_what_they_did(page, site):
    page.open(site / "index.html")
    assert visible(page) == ["Ahead", "Close <b>two</b>", "Close one"]
    page.script("document.querySelector('select[name=input]').focus()")
    page.keys("state")  # typing in a select chooses, as for any keyboard user
    assert visible(page) == ["Close one"]
    assert page.script("return document.getElementById('status').innerText") == "1 of 3 entries shown."
    page.script("document.querySelector('button[type=reset]').focus()")
    page.keys("\ue007")  # Enter
    shown = [visible(page)]
    while len(shown[-1]) < 3 and len(shown) < 100:  # a form is reset after its event, which the page waits for
        shown.append(visible(page))
    assert len(shown[-1]) == 3

    page.script("[...document.querySelectorAll('th button')].find(b => b.innerText.trim() === 'Method').focus()")
    page.keys("\ue007")
    sort = "return [...document.querySelectorAll('th')].find(h => h.innerText.trim() === 'Method').getAttribute('aria-sort')"
    assert page.script(sort) == "ascending"
    assert visible(page) == ["Ahead", "Close <b>two</b>", "Close one"]
    page.keys("\ue007")
    assert page.script(sort) == "descending"
    assert visible(page) == ["Close one", "Close <b>two</b>", "Ahead"]
    assert page.script("return document.querySelectorAll('th[aria-sort=descending], th[aria-sort=ascending]').length") == 1
    assert page.complaints() == []


def test_the_front_page_shows_each_ranking_as_a_picture_of_intervals_best_first(site):
    page = (site / "index.html").read_text()
    pictures = re.findall(r'<figure class="at-a-glance">.*?</figure>', page, flags=re.DOTALL)
    assert len(pictures) == len(list(site.glob("*-*.html"))) == 1
    names = [re.sub("<[^>]*>", "", name) for name in re.findall(r"<text[^>]*>(?:Ahead|Close[^<]*)</text>", pictures[0])]
    data = (site / "quick-1" / "ranking.csv").read_text().splitlines()
    ranked = [html.unescape(method) for _, method in rows_of(page)]
    assert [html.unescape(name) for name in names] == ranked
    assert [line.split(",")[0] for line in data[1:]] == ranked


def test_a_wide_screen_is_used_and_a_narrow_one_says_what_scrolls(page, site):
    hint = "return getComputedStyle(document.querySelector('.scroll.sideways'), '::before').content"
    for name in ("index.html", "quick-1.html"):
        page.resize(1600, 900)
        page.open(site / name)
        assert page.script("return document.querySelector('main').getBoundingClientRect().width") > 1400
        assert page.script(hint) == "none"
        page.resize(1400, 900)
        cut = "[...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth).map(s => s.ariaLabel)"
        assert page.script(f"return {cut}") == []
    page.resize(500, 900)
    assert "scroll sideways" in page.script(hint)
    assert page.script("const s = document.querySelector('.scroll.sideways'); return s.scrollWidth > s.clientWidth")


def test_the_first_stop_of_the_tab_key_skips_to_the_rankings(page, site):
    page.open(site / "index.html")
    page.keys("\ue004")  # Tab
    assert page.focused() == "A:Skip to the rankings"


@pytest.mark.parametrize("width", [1280, 500])
def test_pages_are_named_for_screen_readers_and_never_wider_than_the_screen(width, page, site):
    page.resize(width, 900)
    for name in ("index.html", "quick-1.html", "records/ahead/index.html"):
        page.open(site / name)
        assert page.script(ACCESSIBLE) == [], name
        assert page.script("return document.documentElement.scrollWidth <= window.innerWidth"), f"{name} at {width}"
    assert page.complaints() == []

"""What a run needs of disk and memory, known before it starts. The sizes of the paper are counted by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from gymnasium import spaces
from probe_runs import PROBE, register, request

from agents import catalog as catalog_of_agents
from agents.api import REPLAY_RESIDENT_BYTES
from dreamer_bench_base import UserError
from protocols import catalog
from protocols.records import machine
from protocols.running import preflight
from protocols.running.executors.ray_tasks import at_once
from protocols.running.launch import inline, run_cohort
from protocols.running.stop import Stop

register()
IMAGE, ACTION = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 3), "uint8")}), spaces.Box(-1, 1, (6,))


def paper(root, **more):
    protocol = catalog.find("dmc-5m@1")
    return request(root, protocol=protocol, task="dmc_walker_walk", **{"agent": "dreamer", "seeds": (0,), **more})


def test_the_replay_of_the_paper_takes_31_gigabytes_a_seed(tmp_path):
    assert preflight.replay_bytes(paper(tmp_path), IMAGE, ACTION) / 1e9 == pytest.approx(31, rel=0.02)
    assert preflight.replay_bytes(paper(tmp_path, agent="random"), IMAGE, ACTION) == 0


def test_a_checkpoint_of_the_papers_dreamer_is_its_weights_and_their_moments(tmp_path):
    asked = paper(tmp_path)
    size = preflight.checkpoint_bytes(asked, asked.options(), IMAGE, ACTION)
    assert size == pytest.approx(6_288_833 * 4 * 3, rel=0.02)  # docs/algorithms/dreamer.md counts the parameters
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_simulator(monkeypatch):
    """The spaces of a DMC task without drawing a frame."""
    environment = SimpleNamespace(observation_space=IMAGE, action_space=ACTION, reset=lambda seed: None, close=lambda: None)
    monkeypatch.setattr("suites.catalog.make", lambda task, **options: environment)


def test_needs_of_the_paper_are_those_measured(tmp_path, no_simulator):
    (needs,) = preflight.check([paper(tmp_path)])
    assert needs.kept_bytes / 1e6 == pytest.approx(75.6, rel=0.02)
    assert needs.running_bytes / 1e9 == pytest.approx(31.2, rel=0.02)
    # docs/log.md: 2.92 GiB of Dreamer's process; and the ceiling on what is mapped of replay
    assert needs.memory_bytes == pytest.approx(2.92 * 2**30 + REPLAY_RESIDENT_BYTES, rel=0.1)
    on_a_gpu = preflight.check([paper(tmp_path, device="cuda")])[0]
    assert on_a_gpu.memory_bytes < 1.3e9 < needs.memory_bytes


def test_every_seed_of_a_cohort_counts(tmp_path, no_simulator):
    one, three = preflight.check([paper(tmp_path), paper(tmp_path, seeds=(1, 2, 3))])
    assert three.kept_bytes == 3 * one.kept_bytes
    assert three.running_bytes == 3 * one.running_bytes
    assert three.memory_bytes - one.memory_bytes >= 2 * REPLAY_RESIDENT_BYTES


def test_replay_that_is_there_already_needs_no_more_room(tmp_path):
    asked = request(tmp_path)
    (before,) = preflight.check([asked])
    stop, looks = Stop(), iter(range(100))
    stop.requested = lambda: next(looks, None) is None  # type: ignore[method-assign]
    run_cohort(asked, stop=stop)
    (after,) = preflight.check([asked])
    assert after.running_bytes == before.running_bytes - sum(file.stat().st_blocks * 512 for file in tmp_path.rglob("replay/*"))
    assert after.running_bytes < before.running_bytes


@pytest.mark.parametrize(("places", "wanted"), [(1, 3 * 10 + 700), (2, 3 * 10 + 1200), (3, 3 * 10 + 1300)])
def test_what_all_keep_and_the_largest_at_a_time_must_fit_on_the_disk(tmp_path, monkeypatch, places, wanted):
    needs = [preflight.Needs(kept_bytes=10, running_bytes=running, memory_bytes=0) for running in (500, 100, 700)]
    asked = [request(tmp_path)] * 3
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=wanted))
    preflight.check_room(asked, needs, at_once=places)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=wanted - 1))
    with pytest.raises(ValueError, match=rf"the run needs .* of disk .*, {places} of 3 at a time") as caught:
        preflight.check_room(asked, needs, at_once=places)
    assert "\n" not in str(caught.value)


def test_memory_of_all_programs_at_a_time_must_be_free_here_and_only_here(tmp_path, monkeypatch):
    needs = [preflight.Needs(kept_bytes=0, running_bytes=0, memory_bytes=memory) for memory in (5, 7, 6)]
    monkeypatch.setattr(preflight, "available_memory_bytes", lambda: 12)
    asked = [request(tmp_path)] * 3
    preflight.check_room(asked, needs, at_once=1)
    with pytest.raises(ValueError, match=r"2 programs at a time need .* of memory"):
        preflight.check_room(asked, needs, at_once=2)
    preflight.check_room(asked, needs, at_once=2, memory=False)


def test_the_kernels_word_on_memory_is_read(tmp_path):
    source = tmp_path / "meminfo"
    source.write_text("MemTotal: 9 kB\nMemAvailable:     2048 kB\n")
    assert machine.available_memory_bytes(source) == 2 * 2**20
    assert machine.available_memory_bytes(tmp_path / "none") is None


def test_a_cluster_takes_as_many_programs_at_a_time_as_its_nodes_have_places_for(tmp_path):
    nodes = [{"CPU": 5.0, "GPU": 1.0}, {"CPU": 3.0}]
    on_a_cpu, shared = request(tmp_path, cpus=2.0, device="cpu"), request(tmp_path, cpus=1.0, gpus=0.25, device="cuda")
    assert at_once([on_a_cpu] * 9, nodes) == 2 + 1
    assert at_once([on_a_cpu], nodes) == 1
    assert at_once([shared] * 9, nodes) == 4
    assert at_once([replace(shared, gpus=2.0)] * 9, nodes) == 1  # none yet: they may come
    assert at_once([replace(on_a_cpu, cpus=0.0)] * 9, nodes) == 9


def test_one_program_at_a_time_is_asked_for_in_this_process(tmp_path):
    asked = []

    def room(at_once, here):
        asked.append((at_once, here))
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        inline([request(tmp_path, protocol=PROBE)] * 2, None, Stop(), None, room)
    assert asked == [(1, True)]
    assert list(tmp_path.iterdir()) == []


def test_a_replay_with_a_capacity_is_counted_with_it(tmp_path):
    """2e6 rows of grey images, 18 choices and 12 bytes of flags, and a quarter more for blocks and checkpoints."""
    grey, choices = spaces.Dict({"image": spaces.Box(0, 255, (64, 64, 1), "uint8")}), spaces.Discrete(18)
    protocol = catalog.find("atari-200m@1")
    atari = request(tmp_path, protocol=protocol, task="atari_pong", agent="dreamer_v2", seeds=(0, 1))
    expected = 2 * 1.25 * 2e6 * (64 * 64 + 4 * 18 + 12)
    assert preflight.replay_bytes(atari, grey, choices) == pytest.approx(expected, rel=0.001)


def test_a_gpus_share_is_five_times_the_weights_and_twice_what_an_update_keeps(tmp_path, no_simulator):
    """Weights, gradients, a scratch buffer and two moments; the parameters of the model are counted on "meta"."""
    asked = paper(tmp_path, device="cuda", seeds=(0, 1, 2))
    options = asked.options()
    (needs,) = preflight.check([asked])
    parameters = 6_288_833  # docs/algorithms/dreamer.md: of the model, the actor and the value
    with torch.device("meta"):
        model = sum(parameter.numel() for parameter in options.world_model(IMAGE)(6).parameters())
    assert 0.8 * parameters < model < parameters
    update = options.update_bytes(IMAGE)
    assert needs.device_bytes == pytest.approx(preflight.DEVICE_BASE_BYTES + 3 * (5 * 4 * parameters + 2 * update), rel=0.02)
    assert preflight.check([paper(tmp_path)])[0].device_bytes == 0


def test_what_an_update_keeps_is_what_its_derivatives_were_seen_to_keep():
    """Tensors saved for the derivatives of the model's loss on a CPU, each storage once; the estimate is for a whole update."""
    options = catalog_of_agents.find("dreamer").options("paper")
    options = replace(options, depth=16, batch_sequences=4, batch_length=6, hidden=32, deter=16, stoch=4, model_hidden=16)
    torch.manual_seed(0)
    model = options.world_model(IMAGE)(6)
    rows = (options.batch_length, options.batch_sequences)
    batch = {
        "image": torch.randint(0, 256, (*rows, 64, 64, 3), dtype=torch.uint8),
        **{name: torch.zeros(rows) for name in ("reward", "is_first", "is_terminal")},
        "action": torch.zeros(*rows, 6),
    }
    noise = {name: torch.randn(spec.shape) for name, spec in model.noise(*rows).items()}
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, *_ = model.loss(batch, noise)
    assert loss.requires_grad
    assert 0.4 < sum(kept.values()) / options.update_bytes(IMAGE) < 1.0


def test_as_many_seeds_train_together_as_fit_the_gpu(tmp_path):
    """A seed needs 3 GB, so 7.5 GB beside the base hold two. A run that has begun keeps its seeds."""
    begun, fresh = request(tmp_path, seeds=(1, 2, 3)), request(tmp_path, seeds=(4, 5, 6, 7, 8))
    needs = [
        preflight.Needs(
            kept_bytes=0,
            running_bytes=0,
            memory_bytes=0,
            device_bytes=preflight.DEVICE_BASE_BYTES + 3 * 10**9 * len(asked.seeds),
        )
        for asked in (begun, fresh)
    ]
    run = begun.grid.folder(begun.grid.spec(begun.agent, begun.task, 2))
    run.mkdir(parents=True)
    (run / "manifest.json").touch()
    said: list[str] = []
    found = preflight.divided([begun, fresh], needs, preflight.DEVICE_BASE_BYTES + 7_500_000_000, said.append)
    assert [asked.seeds for asked in found] == [(1, 2, 3), (4, 5), (6, 7), (8,)]
    assert len(said) == 1
    assert "seeds 4, 5, 6, 7, 8: together they need about 15.7 GB of the GPU's memory, 8.2 GB is free: at most 2" in said[0]
    for free in (preflight.DEVICE_BASE_BYTES + 10**9, None, 10**12):  # none fits, no GPU, all fit
        assert preflight.divided([begun, fresh], needs, free, said.append) == [begun, fresh]


def test_a_program_that_does_not_fit_the_gpu_is_refused_in_a_line():
    needs = [preflight.Needs(kept_bytes=0, running_bytes=0, memory_bytes=0, device_bytes=size * 10**9) for size in (3, 9, 20)]
    preflight.check_device_room(needs, at_once=2, free=29 * 10**9)
    preflight.check_device_room(needs, at_once=2, free=None)  # no GPU says how much is free
    with pytest.raises(UserError, match=r"2 programs at a time need about 29.0 GB .*, 28.0 GB is free; .*--seeds-per-program"):
        preflight.check_device_room(needs, at_once=2, free=28 * 10**9)

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from curation.corpus import Corpus
from curation.errors import GeneratorError, SmearkitError
from curation.output import partial_path
from synth import processes as module
from synth import sample as sampling
from synth.judge import PlainJudge
from synth.processes import Ranks, device_of, ranks_of_run, shared_directory, wait_for
from synth.sample import sample
from tests.made import FAST, Made

JOB = {"stage": "test"}
PLAN = {"basophil": 5, "lymphocyte": 3, "monocyte": 4}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "START_SECONDS", 30.0)


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4)


def together(
    pool: ThreadPoolExecutor, count: int, work: Callable[[Ranks], Corpus]
) -> list[Future[Corpus]]:
    """Run the processes of one run as threads: locks are of open files, not of processes.

    Each loads the generator for itself, for the scheduler counts the steps of one draw.
    """
    return [pool.submit(work, Ranks(rank, count, rank)) for rank in range(count)]


def test_the_launcher_says_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert ranks_of_run() == Ranks(0, 1, 0)
    monkeypatch.setenv("RANK", "5")
    assert ranks_of_run() == Ranks(0, 1, 0)
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert ranks_of_run() == Ranks(5, 8, 1)
    monkeypatch.setenv("RANK", "9")
    assert ranks_of_run() == Ranks(0, 1, 0)


def test_every_piece_has_one_owner() -> None:
    for count in (1, 2, 5):
        owners = [[r for r in range(count) if Ranks(r, count).owns(n)] for n in range(20)]
        assert all(len(found) == 1 for found in owners)
        assert {found[0] for found in owners} == set(range(count))


def test_each_process_has_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(module, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_of(Ranks(n, 4, n)).index for n in range(4)] == [0, 1, 0, 1]
    assert device_of(Ranks()).index is None
    monkeypatch.setattr(module, "best_device", lambda: torch.device("cpu"))
    assert device_of(Ranks(3, 4, 3)).type == "cpu"


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_make_the_corpus_of_one(
    made: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool: ThreadPoolExecutor,
    count: int,
) -> None:
    monkeypatch.setattr(sampling, "PIECE_CELLS", 2)
    one = sample(made.generator, PLAN, tmp_path / "one", FAST, ranks=Ranks())
    out = tmp_path / "several"
    drawn: dict[int, int] = {}
    plain = sampling.Drawing._draw_piece

    def counted(self: sampling.Drawing, *rest: object) -> None:
        drawn[self.ranks.rank] = drawn.get(self.ranks.rank, 0) + 1
        plain(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sampling.Drawing, "_draw_piece", counted)
    found = [
        future.result()
        for future in together(
            pool, count, lambda ranks: sample(made.generator.path, PLAN, out, FAST, ranks=ranks)
        )
    ]
    assert drawn == dict.fromkeys(range(count), 6 // count)
    for corpus in found:
        assert corpus.fingerprint == one.fingerprint
        shards = [(s.path, s.sha256) for s in corpus.manifest.shards]
        assert shards == [(s.path, s.sha256) for s in one.manifest.shards]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "several"]
    assert {path.name for path in out.iterdir()} == {"data", "manifest.json"}


def test_several_processes_draw_on_together(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    monkeypatch.setattr(sampling, "PIECE_CELLS", 2)
    monkeypatch.setattr(
        PlainJudge, "judge",
        lambda self, drawn: ["unreal" if n % 2 else "" for n in range(len(drawn))],
    )  # fmt: skip

    def work(ranks: Ranks) -> Corpus:
        out, path = tmp_path / str(ranks.count), made.generator.path
        return sample(path, PLAN, out, FAST, keep_drawing=True, ranks=ranks)

    one = work(Ranks())
    several = [future.result() for future in together(pool, 2, work)]
    assert one.manifest.n_in > sum(PLAN.values())
    assert {corpus.fingerprint for corpus in several} == {one.fingerprint}


def failing(rank: int) -> Callable[..., None]:
    plain = sampling.Drawing._draw_piece

    def draw_piece(self: sampling.Drawing, *rest: object) -> None:
        if self.ranks.rank == rank:
            raise RuntimeError("out of memory")
        plain(self, *rest)  # type: ignore[arg-type]

    return draw_piece


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_fails_ends_the_run_by_name_and_it_goes_on(
    made: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pool: ThreadPoolExecutor,
    rank: int,
) -> None:
    monkeypatch.setattr(sampling, "PIECE_CELLS", 2)
    out = tmp_path / "out"

    def work(ranks: Ranks) -> Corpus:
        return sample(made.generator.path, PLAN, out, FAST, ranks=ranks)

    with monkeypatch.context() as patch:
        patch.setattr(sampling.Drawing, "_draw_piece", failing(rank))
        futures = together(pool, 2, work)
        with pytest.raises(RuntimeError, match="out of memory"):
            futures[rank].result()
        with pytest.raises(GeneratorError, match=f"process {rank} of this run ended before its"):
            futures[1 - rank].result()
    assert not out.exists()
    assert len(list((partial_path(out) / "pieces").iterdir())) == 3, "the other's are kept"
    one = sample(made.generator, PLAN, tmp_path / "one", FAST, ranks=Ranks())
    resumed = sample(made.generator, PLAN, out, FAST, ranks=Ranks())
    assert resumed.fingerprint == one.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "out"]


def test_processes_that_do_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.05)
    with (
        pytest.raises(GeneratorError, match="not all 3 processes of this run started within 0 s"),
        shared_directory(tmp_path / "out", JOB, Ranks(0, 3)),
    ):
        pass
    with (
        pytest.raises(GeneratorError, match="the first process of this run did not start the same"),
        shared_directory(tmp_path / "out", JOB, Ranks(1, 3)),
    ):
        pass


def test_a_process_of_other_work_does_not_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.3)

    def enter(job: object, ranks: Ranks) -> None:
        with shared_directory(tmp_path / "out", job, ranks):
            pass

    first = pool.submit(enter, JOB, Ranks(0, 2))
    with pytest.raises(GeneratorError, match="did not start the same work"):
        enter({"stage": "another"}, Ranks(1, 2))
    with pytest.raises(GeneratorError, match="not all 2 processes"):
        first.result()


def test_another_run_at_the_same_output_is_refused(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    entered, done = threading.Event(), threading.Event()

    def enter(ranks: Ranks) -> None:
        with shared_directory(tmp_path / "out", JOB, ranks):
            entered.set()
            done.wait(30)

    futures = [pool.submit(enter, Ranks(rank, 2)) for rank in range(2)]
    assert entered.wait(30)
    try:
        with (
            pytest.raises(SmearkitError, match="another run is making"),
            shared_directory(tmp_path / "out", JOB, Ranks(0, 2)),
        ):
            pass
    finally:
        done.set()
    for future in futures:
        future.result()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_made_last_of_all_is_found(tmp_path: Path) -> None:
    looks = iter([False, True, True])
    wait_for(lambda: next(looks), tmp_path / "out", rank=1)
    with pytest.raises(GeneratorError, match="process 1 of this run ended before its work"):
        wait_for(lambda: False, tmp_path / "out", rank=1)


def test_the_signal_of_a_launcher_has_a_name(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    def stop() -> None:
        while not (tmp_path / ".out.processes" / "00000").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    # Where nothing is told of the signal, the test fails and not the run of all tests ends.
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        pool.submit(stop)
        with (
            pytest.raises(GeneratorError, match="another process of this run failed, so it was"),
            shared_directory(tmp_path / "out", JOB, Ranks(0, 2)),
        ):
            pass
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, None)
    finally:
        signal.signal(signal.SIGTERM, before)

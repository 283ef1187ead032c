from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from curation.engine import Work, run_chunks
from curation.errors import EngineError, SourceError
from tests.curation.engine_work import SECRET, broken, killed, loud, refused, slow
from tests.e2e.staged_run import WORKERS, run

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("default")]
ROOT = Path(__file__).resolve().parents[2]
Folder = Callable[..., Path]


@pytest.fixture(autouse=True)
def _needs_ray() -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'smearkit[cluster]'")


def own_folders() -> set[Path]:
    return set(Path("/tmp").glob("smearkit-*"))


def test_workers_do_all_chunks_and_leave_nothing(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    before = own_folders()
    heard: list[int] = []
    run_chunks(partial(loud, tmp_path), range(8), "processes", workers=2, finished=heard.append)
    assert sorted(heard) == list(range(8))
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(made) == {str(chunk) for chunk in range(8)}
    assert str(os.getpid()) not in made.values()
    said = capfd.readouterr()
    assert said.out == ""
    assert SECRET not in said.err
    assert own_folders() == before, "the logs of the cluster go with it"
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (refused, SourceError, "cannot be read"),
        (broken, EngineError, "chunk 2 failed in a worker: KeyError"),
        (killed, EngineError, "a worker of the engine ended without a word"),
    ],
)
def test_a_failure_ends_the_run_by_its_name(
    function: Callable[[Path, int], None],
    kind: type[Exception],
    message: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    work: Work = partial(function, tmp_path)
    with pytest.raises(kind, match=message) as caught:
        run_chunks(work, [2, *range(3, 60)], "processes", workers=2)
    assert SECRET not in repr(caught.value)
    said = capfd.readouterr()
    assert said.out == ""
    assert SECRET not in said.err


def test_a_caller_that_stops_cancels_the_rest(tmp_path: Path) -> None:
    def enough(chunk: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_chunks(partial(slow, tmp_path), range(200), "processes", workers=2, finished=enough)
    assert len(list(tmp_path.iterdir())) < 100


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="the Ray cluster cannot be reached"):
        run_chunks(partial(slow, tmp_path), [0], "ray")


@contextmanager
def started(
    source: Path, folder: Path, notes: Path, engine: str
) -> Iterator[subprocess.Popen[bytes]]:
    asked, before = [str(path) for path in (source, folder, notes)], own_folders()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.staged_run", *asked, engine], cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for left in own_folders() - before:  # of a cluster whose run was killed
            shutil.rmtree(left, ignore_errors=True)


def until(true: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.parametrize("engine", ["local", "processes"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_costs_at_most_one_chunk_a_worker(
    engine: str, how: signal.Signals, class_folders: Folder, tmp_path: Path
) -> None:
    source = class_folders(basophil=50, monocyte=50)
    places = {name: tmp_path / name for name in ("whole", "cut", "notes", "notes2")}
    for place in places.values():
        place.mkdir()
    whole, cut, notes, again = places.values()
    count = run(source, whole, notes, "local")
    for note in notes.iterdir():
        note.unlink()

    with started(source, cut, notes, engine=engine) as process:
        until(lambda: len(list(cut.glob("*.arrow"))) >= count // 3, "no chunk was made")
        process.send_signal(how)
        process.wait()
    begun: set[str] = set()

    def quiet() -> bool:
        # A worker may outlive its engine by the chunk it has in hand.
        before, now = set(begun), {path.name for path in notes.iterdir()}
        begun.update(now)
        time.sleep(1)
        return before == now

    until(quiet, "workers go on though the run was killed")
    there = {path.name: path.stat().st_ino for path in cut.glob("*.arrow")}
    assert len(there) < count
    lost = [chunk for chunk in begun if f"{int(chunk):06d}.arrow" not in there]
    assert len(lost) <= (1 if engine == "local" else WORKERS)

    assert run(source, cut, again, "local") == count
    assert len(list(again.iterdir())) == count - len(there)
    assert all((cut / name).stat().st_ino == inode for name, inode in there.items())
    for path in whole.glob("*.arrow"):
        assert (cut / path.name).read_bytes() == path.read_bytes()
    assert len(list(cut.glob("*.arrow"))) == count

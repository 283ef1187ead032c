from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import engine as engine_module
from curation import engine_worker, measures, stage
from curation.closeup import Closeups
from curation.curate import CurateConfig, resolve_labels
from curation.deidentify.treat import Treat
from curation.deidentify.vault import Vault
from curation.engine import PROCESSES_FROM_CHUNKS, chosen_engine, run_chunks
from curation.engine_worker import Outcome, Worker, raise_outcome, sendable
from curation.errors import EngineError, SmearkitError, SourceError
from curation.measures import Measure
from curation.pixels import Limits
from curation.progress import silent
from curation.released_cell import Handling
from curation.sources import Columns, Source, open_source
from curation.stage import StageJob, stage_cells, stage_chunk
from curation.staged_rows import StagedRows
from tests.curation.engine_work import SECRET, broken, full_disk, loud, refused, write_chunk

Folder = Callable[..., Path]
KEYS = Vault(Path("nowhere"), bytes(32))


@pytest.fixture
def as_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Worker]]:
    """as_worker(function) -> the worker that another process would make of it."""
    interrupt, here = signal.getsignal(signal.SIGINT), Path.cwd()
    monkeypatch.setattr(engine_worker, "_hold_threads", lambda: None)
    yield lambda function: Worker(sendable(function))
    signal.signal(signal.SIGINT, interrupt)
    os.chdir(here)


def make_job(sources: list[Source], folder: Path, chunk_rows: int = 8) -> StageJob:
    handling = Handling(resolve_labels(sources, CurateConfig()), Limits(), KEYS)
    folder.mkdir(exist_ok=True)
    return StageJob(sources, [Treat((), KEYS) for _ in sources], (), handling, folder, chunk_rows)


def test_chunks_are_made_one_after_another(tmp_path: Path) -> None:
    heard: list[int] = []
    run_chunks(partial(write_chunk, tmp_path), [3, 0, 2], "local", finished=heard.append)
    assert heard == [3, 0, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2", "3"]


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    for name in ("dask", "ray:", "", "Local"):
        with pytest.raises(EngineError, match="there is no engine"):
            run_chunks(partial(write_chunk, tmp_path), [0], name)
    assert not list(tmp_path.iterdir())


def test_auto_starts_workers_only_where_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    many = PROCESSES_FROM_CHUNKS
    monkeypatch.setattr(engine_module, "find_spec", lambda name: object())
    assert chosen_engine("auto", many, 2) == "processes"
    assert chosen_engine("auto", many - 1, 2) == "local"
    assert chosen_engine("auto", many, 1) == "local"
    monkeypatch.setattr(engine_module, "find_spec", lambda name: None)
    assert chosen_engine("auto", many, 2) == "local"
    assert chosen_engine("processes", 1, 2) == "processes"


def test_without_ray_the_next_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install 'smearkit\[cluster\]'"):
        run_chunks(partial(write_chunk, tmp_path), [0], "processes")


def test_errors_come_home_without_secrets(tmp_path: Path, as_worker: Callable[..., Worker]) -> None:
    for function, kind, message in (
        (refused, SourceError, "file 7 .id 00c0ffee. of the source cannot be read"),
        (broken, EngineError, r"chunk 2 failed in a worker: KeyError at engine_work.py:\d+"),
        (full_disk, OSError, "No space left on device"),
    ):
        worker = as_worker(partial(function, tmp_path))
        assert worker.outcome(1) == ""
        text = worker.outcome(2)
        assert SECRET not in text
        with pytest.raises(kind, match=message) as caught:
            raise_outcome(Outcome(2, text))
        assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert (tmp_path / "1").exists()


def test_a_full_disk_keeps_its_number() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
        raise_outcome(Outcome(0, json.dumps({"errno": 28})))
    assert caught.value.errno == 28


def test_an_error_of_another_version_stays_a_named_one() -> None:
    with pytest.raises(SmearkitError, match="text"):
        raise_outcome(Outcome(0, json.dumps({"name": "LaterError", "message": "text"})))


def test_what_a_worker_prints_goes_nowhere(
    tmp_path: Path, as_worker: Callable[..., Worker], capfd: pytest.CaptureFixture[str]
) -> None:
    worker = as_worker(partial(loud, tmp_path))
    assert worker.outcome(0) == ""
    assert (tmp_path / "0").exists()
    assert capfd.readouterr() == ("", "")
    print("afterwards")
    assert capfd.readouterr().out == "afterwards\n"


def test_work_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    with (
        (tmp_path / "open").open("w") as file,
        pytest.raises(EngineError, match="cannot be sent to other processes .*--engine local"),
    ):
        sendable(partial(print, file=file))


def test_every_kind_of_source_can_be_sent(
    class_folders: Folder, tmp_path: Path, as_worker: Callable[..., Worker]
) -> None:
    for source in _one_of_each(class_folders, tmp_path):
        one = make_job([source], tmp_path / "here")
        two = make_job([source], tmp_path / "there")
        stage_chunk(one, 1)
        assert as_worker(partial(stage_chunk, two)).outcome(1) == "", source.kind
        made = [(job.folder / "000001.arrow").read_bytes() for job in (one, two)]
        assert made[0] == made[1], source.kind
        assert len(StagedRows([two.folder / "000001.arrow"])) == 4
        for job in (one, two):
            (job.folder / "000001.arrow").unlink()


def _one_of_each(class_folders: Folder, tmp_path: Path) -> list[Source]:
    import datasets

    folders = class_folders("folders", basophil=6, monocyte=6)
    images = sorted(folders.rglob("*.jpg"))
    table = folders / "metadata.csv"
    rows = [f"{path.relative_to(folders)},{path.parent.name},s{i}" for i, path in enumerate(images)]
    cells = pa.table({
        "image": [{"bytes": path.read_bytes(), "path": path.name} for path in images],
        "label": [path.parent.name for path in images],
    })  # fmt: skip
    pq.write_table(cells, tmp_path / "cells.parquet")
    saved = datasets.Dataset(cells).cast_column("image", datasets.Image())
    saved.save_to_disk(tmp_path / "saved")
    plain = open_source(str(folders), Columns())
    table.write_text("\n".join(["file_name,label,subject", *rows]) + "\n")
    found = [open_source(str(tmp_path / name), Columns()) for name in ("cells.parquet", "saved")]
    found = [plain, open_source(str(folders), Columns()), *found]
    assert len({source.kind for source in found}) == 4
    return found


def test_a_chunk_that_is_there_is_not_made_again(class_folders: Folder, tmp_path: Path) -> None:
    job = make_job([open_source(str(class_folders(basophil=20)), Columns())], tmp_path / "out")
    stage_chunk(job, 2)
    file = job.folder / "000002.arrow"
    assert [path.name for path in job.folder.iterdir()] == [file.name]
    assert len(StagedRows([file])) == 4
    file.write_bytes(b"here already")
    stage_chunk(job, 2)
    assert file.read_bytes() == b"here already"
    with pytest.raises(IndexError, match="chunk 3 of 3"):
        stage_chunk(job, 3)


def test_workers_of_an_earlier_run_write_elsewhere(class_folders: Folder, tmp_path: Path) -> None:
    source = open_source(str(class_folders(basophil=4)), Columns())
    handling = Handling({"basophil": "basophil"}, Limits(), KEYS)
    treats = [Treat((), KEYS)]

    def places() -> list[Path]:
        stage_cells([source], treats, (), handling, tmp_path / "staging", silent)
        return list((tmp_path / "staging").iterdir())

    first = places()
    assert places() == first, "a run that is taken up again finds what is there"
    first[0].rename(tmp_path / "thrown away")
    assert places() != first


def test_measures_are_null_where_a_row_cannot_be_used(
    class_folders: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders(basophil=5)
    (root / "basophil" / "basophil_001.jpg").write_bytes(b"no image")
    seen: list[tuple[int, ...]] = []

    def brightness(cells: Closeups) -> dict[str, pa.Array]:
        tiles = cells.glances.tiles_NHWC
        seen.append(tiles.shape)
        return {"brightness": pa.array(tiles.mean(axis=(1, 2, 3)).astype(np.float32))}

    one = Measure(pa.schema([("brightness", pa.float32())]), brightness)
    monkeypatch.setattr(measures, "MEASURES", (one,))
    monkeypatch.setattr(stage, "MEASURED", one.schema)
    job = make_job([open_source(str(root), Columns())], tmp_path / "out")
    stage_chunk(job, 0)
    rows = StagedRows([job.folder / "000000.arrow"]).columns(["reason", "brightness", "data"])
    assert seen == [(4, 96, 96, 3)]
    assert rows["reason"].to_pylist() == ["", "unreadable", "", "", ""]
    values = rows["brightness"].to_pylist()
    assert [value is None for value in values] == [False, True, False, False, False]
    assert len({value for value in values if value is not None}) == 4

"""Three versions on the Hub on loopback, loaded by tag; publishers killed, racing, refused."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from huggingface_hub import HfApi

from tests.cards.hub_setup import BOTH, branches, main_titles, open_pulls, paths, tags
from tests.e2e.publisher import Publisher, context
from tests.loopback_hub import READ_TOKEN, STRANGER, TOKEN, LoopbackHub, client_environment, use_hub
from tests.made_release import write_release

pytestmark = [
    pytest.mark.e2e,
    # huggingface_hub sends LFS objects by a word of httpx2 that is on its way out.
    pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
KILLS, SEED = 20, 7
ROWS = {"1.0.0": 12, "1.1.0": 20, "2.0.0": 16}


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    previous = None
    for version, cells in ROWS.items():
        write_release(folder / version, version, cells, shards=2, previous=previous)
        previous = version
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "hub").running() as running:
        yield running


def environment(hub: LoopbackHub, token: str = TOKEN, *, xet: bool = True) -> dict[str, str]:
    home = hub.root.parent / f"home-{token}"
    found = client_environment(hub, home, token)
    return found if xet else {**found, "HF_HUB_DISABLE_XET": "1"}


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def verb(
    hub: LoopbackHub, *arguments: object, token: str = TOKEN
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "smearkit", "publish", *map(str, arguments)], cwd=ROOT,
        env=environment(hub, token), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def test_three_versions_by_the_command_line(
    hub: LoopbackHub, releases: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for version in ROWS:
        done = verb(hub, releases / version, "--repo", "lab/cells")
        assert done.returncode == 0, done.stderr
        assert f"lab/cells-synthetic@{version}  published" in done.stdout
        assert TOKEN not in done.stdout + done.stderr
    use_hub(monkeypatch, hub, tmp_path / "reader", TOKEN, xet=True)
    for version, rows in ROWS.items():
        found = datasets.load_dataset("lab/cells", revision=version)
        assert {split: len(found[split]) for split in found} == {
            "train": rows, "validation": 3, "test": 3
        }  # fmt: skip
        drawn = datasets.load_dataset("lab/cells-synthetic", revision=version, split="train")
        assert len(drawn) == rows // 2
        assert drawn[-1]["image"].size == (16, 16)
        first = next(iter(
            datasets.load_dataset("lab/cells", revision=version, split="test", streaming=True)
        ))  # fmt: skip
        assert first["origin"] == "real"
    held = Path(HfApi().snapshot_download("lab/cells", repo_type="dataset", revision="1.1.0"))
    assert HfApi().verify_repo_checksums("lab/cells", repo_type="dataset", revision="1.1.0")
    assert files(held) - {".gitattributes"} == files(releases / "1.1.0" / "real")
    assert len(main_titles(hub)) == 1 + len(ROWS), "one commit a version"


@pytest.mark.parametrize("xet", [False, True], ids=["lfs", "xet"])
def test_killed_at_random_points_and_run_again(tmp_path: Path, releases: Path, xet: bool) -> None:
    """Ten kills by each way of sending; each in a Hub of its own, then the same command again."""
    draw = random.Random(SEED + xet)
    count = _requests_of_one(tmp_path / "whole", releases, xet)
    points = sorted(draw.sample(range(2, count), KILLS // 2))
    for number, point in enumerate(points):
        with LoopbackHub(tmp_path / str(number) / "hub").running() as hub:
            kind = draw.choice(["call", "call_after"])
            publisher = Publisher(releases / "1.0.0", "lab/cells", environment(hub, xet=xet))
            struck = hub.plant(kind, nth=point, call=publisher.kill)
            assert publisher.outcome() == "killed", f"request {point} of {count}"
            assert struck.struck == 1
            _never_half(hub, releases)
            again = Publisher(releases / "1.0.0", "lab/cells", environment(hub, xet=xet))
            assert again.outcome() in ("published", "already"), f"request {point} of {count}"
            _whole(hub, releases)
            if xet:
                _no_more_than(hub, releases)
            else:
                assert set(hub.store.finished.values()) == {1}, "no object was sent twice"


def _requests_of_one(folder: Path, releases: Path, xet: bool) -> int:
    with LoopbackHub(folder / "hub").running() as hub:
        assert Publisher(
            releases / "1.0.0", "lab/cells", environment(hub, xet=xet)
        ).outcome() == "published"  # fmt: skip
        _whole(hub, releases)
        return len(hub.log)


def _never_half(hub: LoopbackHub, releases: Path) -> None:
    for name, kind in zip(BOTH, ("real", "synthetic"), strict=True):
        if hub.path_of("datasets", "lab", name).is_dir():
            whole = files(releases / "1.0.0" / kind)
            assert paths(hub, "main", name) in (set(), whole)
            for tag in tags(hub, name):
                assert paths(hub, tag, name) == whole


def _whole(hub: LoopbackHub, releases: Path) -> None:
    for name, kind in zip(BOTH, ("real", "synthetic"), strict=True):
        assert tags(hub, name) == ["1.0.0"]
        assert paths(hub, "1.0.0", name) == files(releases / "1.0.0" / kind)
        assert branches(hub, name) == ["main"]
        assert open_pulls(hub, name) == 0
        assert len(main_titles(hub, name)) == 2


def _no_more_than(hub: LoopbackHub, releases: Path) -> None:
    """Xet's store holds every byte once: chunks of an earlier try were found there."""
    large = [
        path.stat().st_size for kind in ("real", "synthetic")
        for path in (releases / "1.0.0" / kind).rglob("*.parquet")
    ]  # fmt: skip
    assert hub.store.xet_bytes() < sum(large) * 1.05


def test_two_publishers_at_once(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    other = write_release(tmp_path / "other", "1.0.0", 14)
    # By LFS: the local folder that stands for Xet's store takes one process at a time.
    racing = [
        Publisher(folder, "lab/cells", environment(hub, xet=False))
        for folder in (releases / "1.0.0", other)
    ]
    said = [publisher.outcome() for publisher in racing]
    assert said.count("published") == 1, said
    lost = said[1 - said.index("published")]
    assert "another" in lost or "has a version 1.0.0 already" in lost, lost
    winner = (releases / "1.0.0", other)[said.index("published")]
    for name, kind in zip(BOTH, ("real", "synthetic"), strict=True):
        assert tags(hub, name) == ["1.0.0"]
        assert paths(hub, "main", name) == paths(hub, "1.0.0", name) == files(winner / kind)


@pytest.mark.parametrize("token", [STRANGER, READ_TOKEN])
def test_a_token_without_the_right(hub: LoopbackHub, releases: Path, token: str) -> None:
    done = verb(hub, releases / "1.0.0", "--repo", "lab/cells", token=token)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Next: take" in done.stderr
    assert "lab/cells: nothing was made" in done.stderr
    assert token not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gated_repository(
    hub: LoopbackHub, releases: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = verb(hub, releases / "1.0.0", "--repo", "lab/cells", "--gated", "manual", "--json")
    assert done.returncode == 0, done.stderr
    use_hub(monkeypatch, hub, tmp_path / "reader", STRANGER, xet=True)
    assert len(datasets.load_dataset("lab/cells-synthetic", split="train")) == 6
    with pytest.raises(Exception, match="gated|authorized|restricted"):
        datasets.load_dataset("lab/cells", split="train")
    hub.accounts.by_token[STRANGER].granted.add("lab/cells")
    assert len(datasets.load_dataset("lab/cells", split="test", revision="1.0.0")) == 3


def test_the_context_can_be_killed() -> None:
    assert context().get_start_method() == "forkserver"

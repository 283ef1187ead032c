"""A cluster of two nodes on this machine makes the same corpus, whatever becomes of a node."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from curation import stage
from curation.curate import CurateConfig, curate
from curation.progress import Progress, silent

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("default")]
Folder = Callable[..., Path]
Encoded = Callable[..., bytes]
CELLS = 240
CHUNK_ROWS = 4


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that only leads, and two nodes of one core each; RAY_ADDRESS says where."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'smearkit[cluster]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    import ray
    from ray import cluster_utils

    made: Any = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        ray.init(made.address, log_to_driver=False, logging_level=logging.ERROR)
        made.wait_for_nodes()
        # The stage connects by itself and lets go: what Ray says of a lost node is its to handle.
        ray.shutdown()
        monkeypatch.setenv("RAY_ADDRESS", made.address)
        yield made, nodes
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def export(class_folders: Folder, encoded: Encoded) -> Path:
    """Cells of three classes; a copy, a damaged file and one that is too small among them."""
    root = class_folders(basophil=CELLS // 3, monocyte=CELLS // 3, lymphocyte=CELLS // 3)
    first = sorted(root.rglob("*.jpg"))[0]
    (first.parent / "copy.jpg").write_bytes(first.read_bytes())
    (first.parent / "damaged.jpg").write_bytes(first.read_bytes()[:300])
    (first.parent / "tiny.png").write_bytes(encoded(Image.new("RGB", (1, 1)), "PNG"))
    return root


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def curated(source: Path, out: Path, engine: str, progress: Progress = silent) -> dict[str, str]:
    config = CurateConfig(source_name="drawn", license="cc0-1.0")
    vault = out.parent / "vault"
    corpus = curate([source], out, config, vault=vault, engine=engine, progress=progress)
    return files(corpus.path)


def test_two_nodes_make_the_corpus_of_one_process(
    cluster: Any, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "CHUNK_ROWS", CHUNK_ROWS)
    expected = curated(export, tmp_path / "one", "local")
    assert any(name.startswith("data/train") for name in expected)
    assert curated(export, tmp_path / "two", "ray") == expected


def test_a_node_that_is_killed_half_way_changes_nothing(
    cluster: Any,
    export: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(stage, "CHUNK_ROWS", CHUNK_ROWS)
    made, nodes = cluster
    expected = curated(export, tmp_path / "one", "local")
    killed_at: list[int] = []

    def kill(what: str, done: int, total: int) -> None:
        if what == "curate" and done >= total // 2 and not killed_at:
            killed_at.append(done)
            made.remove_node(nodes[0], allow_graceful=False)

    capfd.readouterr()
    assert curated(export, tmp_path / "two", "ray", kill) == expected
    assert capfd.readouterr().out == "", "what Ray says of the lost node"
    assert killed_at
    assert killed_at[0] < CELLS
    assert not nodes[0].any_processes_alive()

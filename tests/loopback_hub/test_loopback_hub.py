"""The Hub on loopback against the true clients, unmodified."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from PIL import Image

from tests.loopback_hub import READ_TOKEN, STRANGER, TOKEN, LoopbackHub, use_hub

REPO = "lab/cells"
KIND = "dataset"
# huggingface_hub sends LFS objects by a word of httpx2 that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")


@pytest.fixture(params=["xet", "lfs"])
def hub(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "hub", multipart_bytes=2**20).running() as running:
        use_hub(monkeypatch, running, tmp_path / "home", TOKEN, xet=request.param == "xet")
        yield running


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    made = HfApi()
    made.create_repo(REPO, repo_type=KIND)
    return made


def noise(count: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(count)


def add(path: str, data: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, data)


def commit(
    api: HfApi, *operations: CommitOperationAdd | CommitOperationDelete, parent: str | None = None
) -> None:
    api.create_commit(
        REPO, list(operations), commit_message="a change", parent_commit=parent, repo_type=KIND
    )


def parquet(count: int, colour: int) -> bytes:
    out = io.BytesIO()
    rows = []
    for number in range(count):
        picture = io.BytesIO()
        Image.new("RGB", (16, 16), (colour, number, 7)).save(picture, "PNG")
        rows.append({"image": {"bytes": picture.getvalue(), "path": None}, "label": number % 2})
    features = datasets.Features({
        "image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"]),
    })  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), out)
    return out.getvalue()


CARD = (
    b"---\nconfigs:\n- config_name: default\n  data_files:\n"
    b"  - split: train\n    path: data/train-*.parquet\n---\n# Cells\n"
)


def test_files_come_back_as_they_went(hub: LoopbackHub, api: HfApi, tmp_path: Path) -> None:
    large, small = noise(3 * 2**20), CARD
    commit(api, add("data/large.bin", large), add("README.md", small))
    for name, data in (("data/large.bin", large), ("README.md", small)):
        found = api.hf_hub_download(REPO, name, repo_type=KIND, local_dir=tmp_path / "down")
        assert Path(found).read_bytes() == data
    listed = {e.path: e for e in api.list_repo_tree(REPO, recursive=True, repo_type=KIND)}
    assert set(listed) == {".gitattributes", "README.md", "data", "data/large.bin"}
    entry = listed["data/large.bin"]
    assert isinstance(entry, RepoFile)
    assert entry.size == len(large)
    file = HfFileSystem()
    with file.open(f"datasets/{REPO}/data/large.bin", block_size=2**16) as opened:
        opened.seek(2**20 + 5)
        assert opened.read(100) == large[2**20 + 5 : 2**20 + 105]
    checked = api.snapshot_download(REPO, repo_type=KIND)
    assert Path(checked, "data", "large.bin").read_bytes() == large
    assert api.verify_repo_checksums(REPO, repo_type=KIND).mismatches == []


def test_what_is_there_is_not_sent_again(hub: LoopbackHub, api: HfApi) -> None:
    large = noise(2**20 + 1)
    commit(api, add("one.bin", large))
    before = hub.store.xet_bytes(), sum(hub.store.sent_bytes.values())
    commit(api, add("two.bin", large))
    assert (hub.store.xet_bytes(), sum(hub.store.sent_bytes.values())) == before
    assert sum(before) >= len(large)


def test_a_pull_request_is_loaded_merged_and_tagged(hub: LoopbackHub, api: HfApi) -> None:
    commit(api, add("README.md", CARD), add("data/train-0.parquet", parquet(3, 1)))
    api.create_tag(REPO, tag="1.0.0", repo_type=KIND)
    head = api.dataset_info(REPO).sha
    proposed = api.create_commit(
        REPO,
        [add("data/train-1.parquet", parquet(4, 2)), CommitOperationDelete("data/train-0.parquet")],
        commit_message="another", create_pr=True, parent_commit=head, repo_type=KIND,
    )  # fmt: skip
    assert proposed.pr_revision == "refs/pr/1"
    assert api.dataset_info(REPO).sha == head, "main is as it was"
    rows = datasets.load_dataset(REPO, revision="refs/pr/1", split="train")
    assert len(rows) == 4
    (pull,) = api.get_repo_discussions(REPO, repo_type=KIND, discussion_status="open")
    api.merge_pull_request(REPO, pull.num, repo_type=KIND)
    api.create_tag(REPO, tag="2.0.0", repo_type=KIND)
    for tag, count in (("1.0.0", 3), ("2.0.0", 4)):
        rows = datasets.load_dataset(REPO, revision=tag, split="train")
        assert len(rows) == count
        assert rows.features["label"].names == ["a", "b"]
        assert rows[0]["image"].size == (16, 16)
    first = next(iter(datasets.load_dataset(REPO, revision="1.0.0", split="train", streaming=True)))
    assert first["image"].getpixel((0, 0)) == (1, 0, 7)
    titles = [entry.title for entry in api.list_repo_commits(REPO, repo_type=KIND)]
    assert titles[0] == "another (#1)", "squashed"
    assert not list(api.get_repo_discussions(REPO, repo_type=KIND, discussion_status="open"))


def test_push_to_hub(hub: LoopbackHub, api: HfApi) -> None:
    rows = datasets.Dataset.from_dict({"a": list(range(50))})
    rows.push_to_hub(REPO, config_name="numbers")
    assert datasets.load_dataset(REPO, "numbers", split="train")["a"][-1] == 49


def test_a_stale_parent_is_refused(api: HfApi) -> None:
    head = str(api.dataset_info(REPO).sha)
    commit(api, add("a.txt", b"1"))
    with pytest.raises(HfHubHTTPError) as found:
        commit(api, add("b.txt", b"1"), parent=head)
    assert found.value.response.status_code == 412


def test_a_tag_or_branch_is_set_once(api: HfApi) -> None:
    def tag() -> None:
        api.create_tag(REPO, tag="x", repo_type=KIND)

    def branch() -> None:
        api.create_branch(REPO, branch="y", repo_type=KIND)

    for make in (tag, branch):
        make()
        with pytest.raises(HfHubHTTPError) as found:
            make()
        assert found.value.response.status_code == 409


def test_who_may_do_what(hub: LoopbackHub, api: HfApi) -> None:
    api.create_repo("lab/hidden", private=True, repo_type=KIND)
    for token in (STRANGER, READ_TOKEN):
        with pytest.raises(HfHubHTTPError) as found:
            HfApi(token=token).create_commit(
                REPO, [add("x.txt", b"x")], commit_message="x", repo_type=KIND
            )
        assert found.value.response.status_code == 403
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=STRANGER).dataset_info("lab/hidden")
    assert HfApi(token=READ_TOKEN).dataset_info(REPO).id == REPO
    hub.accounts.expired.add(TOKEN)
    with pytest.raises(HfHubHTTPError) as found:
        api.whoami()
    assert found.value.response.status_code == 401


def test_a_gated_repository(hub: LoopbackHub, api: HfApi, tmp_path: Path) -> None:
    commit(api, add("a.txt", b"1"))
    api.update_repo_settings(REPO, gated="manual", repo_type=KIND)
    assert api.dataset_info(REPO).gated == "manual"

    def load(token: str | bool) -> str:
        return str(api.hf_hub_download(
            REPO, "a.txt", repo_type=KIND, token=token, local_dir=tmp_path / str(token)
        ))  # fmt: skip

    for token in (False, STRANGER):
        with pytest.raises(GatedRepoError):
            load(token)
    hub.accounts.by_token[STRANGER].granted.add(REPO)
    assert Path(load(STRANGER)).read_bytes() == b"1"


def test_a_tree_of_several_pages(hub: LoopbackHub, api: HfApi) -> None:
    commit(api, *(add(f"files/{number:04d}.txt", b"%d" % number) for number in range(1100)))
    assert len(list(api.list_repo_tree(REPO, "files", repo_type=KIND))) == 1100
    assert sum("/tree/" in line for line in hub.log) == 2


def test_what_is_not_there(api: HfApi) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("lab/nothing")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(REPO, "nothing.txt", repo_type=KIND)
    with pytest.raises(HfHubHTTPError, match="Invalid rev id"):
        api.dataset_info(REPO, revision="9.9.9")


def test_planted_faults_fall_where_they_should(hub: LoopbackHub, api: HfApi) -> None:
    second = hub.plant("status", r"/api/datasets/lab/cells$", status=503, nth=2)
    assert api.dataset_info(REPO).id == REPO
    with pytest.raises(HfHubHTTPError, match="a planted fault"):
        api.dataset_info(REPO)
    assert api.dataset_info(REPO).id == REPO
    assert second.struck == 1
    tagged = hub.plant("drop_after", "/tag/", method="POST")
    with pytest.raises(Exception, match="disconnected|reset|closed"):
        api.create_tag(REPO, tag="kept", repo_type=KIND)
    assert tagged.struck == 1
    assert [tag.name for tag in api.list_repo_refs(REPO, repo_type=KIND).tags] == ["kept"]
    hub.plant("drop", "/tag/", method="POST")
    with pytest.raises(Exception, match="disconnected|reset|closed"):
        api.create_tag(REPO, tag="lost", repo_type=KIND)
    assert [tag.name for tag in api.list_repo_refs(REPO, repo_type=KIND).tags] == ["kept"]
    called: list[str] = []
    hub.plant("call_after", "/tag/", call=lambda: called.append("x"))
    api.create_tag(REPO, tag="late", repo_type=KIND)
    assert called == ["x"]


def test_a_full_quota(hub: LoopbackHub, api: HfApi) -> None:
    hub.quota_bytes = 0
    # What carries it differs: the LFS batch, or the request for Xet's token inside hf_xet.
    with pytest.raises(Exception, match="storage limit|403|Forbidden"):
        commit(api, add("a.bin", noise(1000)))

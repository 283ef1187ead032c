"""`publish` against the Hub on loopback, by the true clients, with faults planted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from cards.hub_lock import LOCK, AnotherPublicationError
from cards.hub_patience import Patience
from cards.publication import Publication, publish
from cards.publication_plan import dry_run
from curation.errors import PublicationError, ReleaseRefusedError
from tests.cards.hub_setup import BOTH, QUICK, REPO, branches, main_titles, open_pulls, paths, tags
from tests.loopback_hub import READ_TOKEN, STRANGER, TOKEN, LoopbackHub, use_hub
from tests.made_release import write_release, write_sums

# huggingface_hub sends LFS objects by a word of httpx2 that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")


NO_WAIT = SimpleNamespace(sleep=lambda seconds: None, time=time.time)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of releases: 1.0.0, and 1.1.0 with rows added."""
    folder = tmp_path_factory.mktemp("releases")
    write_release(folder / "1.0.0", "1.0.0", 12)
    write_release(folder / "1.1.0", "1.1.0", 20, shards=2, previous="1.0.0")
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub for the clients of this process, by LFS, whose objects it counts."""
    # The client waits by itself before we do.
    monkeypatch.setattr("huggingface_hub.utils._http.time", NO_WAIT)
    with LoopbackHub(tmp_path / "hub").running() as running:
        use_hub(monkeypatch, running, tmp_path / "home", TOKEN, xet=False)
        yield running


def send(folder: Path, **more: object) -> Publication:
    return publish(folder, REPO, patience=QUICK, **more)  # type: ignore[arg-type]


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_both_are_published_in_one_commit_each(hub: LoopbackHub, releases: Path) -> None:
    made = send(releases / "1.0.0", read_back=True)
    assert (made.version, made.already) == ("1.0.0", False)
    for name, kind in zip(BOTH, ("real", "synthetic"), strict=True):
        assert main_titles(hub, name) == ["Release 1.0.0 (#1)", "initial commit"]
        assert tags(hub, name) == ["1.0.0"]
        assert paths(hub, "1.0.0", name) == files(releases / "1.0.0" / kind)
        assert (branches(hub, name), open_pulls(hub, name)) == (["main"], 0)
    assert [one.repository for one in made.repositories] == [REPO, f"{REPO}-synthetic"]
    assert all(count == 1 for count in hub.store.finished.values())


def test_the_next_version_takes_its_place(hub: LoopbackHub, releases: Path) -> None:
    send(releases / "1.0.0")
    sent = dict(hub.store.finished)
    send(releases / "1.1.0")
    assert tags(hub) == ["1.0.0", "1.1.0"]
    assert paths(hub, "main") == files(releases / "1.1.0" / "real")
    assert "data/train-00000-of-00001.parquet" not in paths(hub, "main")
    assert paths(hub, "1.0.0") == files(releases / "1.0.0" / "real")
    # What both versions hold was not sent twice.
    assert {oid: hub.store.finished[oid] for oid in sent} == sent


def test_published_again_it_stands_already(hub: LoopbackHub, releases: Path) -> None:
    send(releases / "1.0.0")
    sent, commits = hub.store.finished.total(), main_titles(hub)
    assert send(releases / "1.0.0").already
    assert (hub.store.finished.total(), main_titles(hub)) == (sent, commits)


def test_a_version_that_exists_is_refused(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    send(releases / "1.0.0")
    other = write_release(tmp_path / "other", "1.0.0", 14)
    before = len(hub.log)
    with pytest.raises(ReleaseRefusedError, match=r"has a version 1\.0\.0 already, of other files"):
        send(other)
    assert not any(line.startswith("POST") for line in hub.log[before:])


def test_a_lower_version_is_refused(hub: LoopbackHub, releases: Path) -> None:
    send(releases / "1.1.0")
    with pytest.raises(ReleaseRefusedError, match=r"at version 1\.1\.0 already; 1\.0\.0 would"):
        send(releases / "1.0.0")
    assert tags(hub) == ["1.1.0"]


@pytest.mark.parametrize(("previous", "said"), [(None, "none"), ("0.9.0", "0.9.0")])
def test_a_version_that_was_compared_with_another(
    hub: LoopbackHub, releases: Path, tmp_path: Path, previous: str | None, said: str
) -> None:
    send(releases / "1.0.0")
    later = write_release(tmp_path / "later", "1.0.1", 14, previous=previous)
    with pytest.raises(ReleaseRefusedError, match=f"and 1.0.1 was compared with {said}"):
        send(later)
    assert tags(hub) == ["1.0.0"]


def test_cards_that_name_another_repository(hub: LoopbackHub, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "named", cells=6, repository="lab/others")
    with pytest.raises(ReleaseRefusedError, match="name lab/others, not lab/cells"):
        send(folder)
    assert hub.log == []


def test_what_others_put_there_is_not_removed(hub: LoopbackHub, releases: Path) -> None:
    api = HfApi()
    api.create_repo(REPO, repo_type="dataset")
    api.create_commit(
        REPO, [CommitOperationAdd("theirs.csv", b"a")], commit_message="x", repo_type="dataset"
    )
    with pytest.raises(ReleaseRefusedError, match=r"no release put there, such as theirs\.csv"):
        send(releases / "1.0.0")
    assert paths(hub) == {"theirs.csv"}


def test_an_edited_release_is_not_sent(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(releases / "1.0.0", tmp_path / "edited")
    with (folder / "synthetic" / "README.md").open("a") as file:
        file.write("more\n")
    with pytest.raises(ReleaseRefusedError, match=r"synthetic/README\.md was changed after"):
        send(folder)
    assert hub.log == []


@pytest.mark.parametrize("token", [STRANGER, READ_TOKEN])
def test_a_token_without_the_right(
    hub: LoopbackHub, releases: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PublicationError, match="no right|can only read") as found:
        send(releases / "1.0.0")
    assert "Next: take" in str(found.value)
    assert token not in repr(found.value)
    assert "lab/cells: nothing was made" in str(found.value)
    assert not hub.store.finished


def test_no_token(hub: LoopbackHub, releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PublicationError, match="no token for the Hub. Next: `hf auth login`"):
        send(releases / "1.0.0")


def test_a_token_that_expires_half_way(hub: LoopbackHub, releases: Path) -> None:
    hub.plant("call", "/commit/", call=lambda: hub.accounts.expired.add(TOKEN))
    with pytest.raises(PublicationError, match="missing, wrong or expired") as found:
        send(releases / "1.0.0")
    assert TOKEN not in str(found.value)
    assert "lab/cells: main is unchanged" in str(found.value)
    hub.accounts.expired.clear()
    sent = dict(hub.store.finished)
    send(releases / "1.0.0")
    assert {oid: hub.store.finished[oid] for oid in sent} == sent, "not sent again"


def test_a_full_quota(hub: LoopbackHub, releases: Path) -> None:
    hub.quota_bytes = 20_000
    with pytest.raises(PublicationError, match="quota of the account is full") as found:
        send(releases / "1.0.0")
    assert "main is unchanged" in str(found.value)
    assert main_titles(hub) == ["initial commit"]
    hub.quota_bytes = None
    send(releases / "1.0.0")


# Every kind of request fails once, in every way that asking again mends
TRANSIENT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 429, "headers": {"Retry-After": "0"}}), ("status", {"status": 503}),
    ("drop", {}), ("drop_after", {}),
)  # fmt: skip
REQUESTS = (
    ("GET", r"/api/datasets/lab/cells$"), ("GET", "/refs"), ("GET", "/tree/"),
    ("POST", "/api/repos/create"), ("POST", "/preupload/"), ("POST", "/objects/batch"),
    ("PUT", "/_lfs/"), ("POST", "/commit/"), ("POST", "/branch/"), ("POST", "/merge"),
    ("POST", "/tag/"), ("DELETE", "/branch/"), ("GET", "/commits/"), ("GET", "/whoami"),
)  # fmt: skip


@pytest.mark.parametrize("kind", range(len(TRANSIENT)))
def test_what_asking_again_mends(hub: LoopbackHub, releases: Path, kind: int) -> None:
    word, more = TRANSIENT[kind]
    planted = [hub.plant(word, path, method=method, **more) for method, path in REQUESTS]
    send(releases / "1.0.0")
    assert [fault.path for fault in planted if not fault.struck] == []
    for name in BOTH:
        assert tags(hub, name) == ["1.0.0"]
        assert main_titles(hub, name) == ["Release 1.0.0 (#1)", "initial commit"]
        assert (branches(hub, name), open_pulls(hub, name)) == (["main"], 0)


def test_a_hub_that_stays_in_trouble(hub: LoopbackHub, releases: Path) -> None:
    fault = hub.plant("status", "/commit/", status=503, times=1000)
    with pytest.raises(PublicationError, match=r"proposing Release 1\.0\.0 .* \(503") as found:
        send(releases / "1.0.0")
    assert fault.struck == QUICK.tries
    assert "run the same command again" in str(found.value)
    assert paths(hub) == set()


def test_the_wait_that_the_hub_asks_for(
    hub: LoopbackHub, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("cards.hub_patience.time", SimpleNamespace(sleep=waited.append))
    hub.plant("status", "/commit/", status=429, headers={"Retry-After": "7"})
    publish(releases / "1.0.0", REPO, patience=Patience())
    assert waited == [7.0]


def test_main_moves_under_it(hub: LoopbackHub, releases: Path) -> None:
    def edit() -> None:
        found = hub.repository("datasets", "lab", "cells")
        found.git("update-ref", "refs/heads/main", found.git(
            "-c", "user.name=x", "-c", "user.email=x@x", "commit-tree", "main^{tree}", "-p", "main",
            "-m", "by hand",
        ).decode().strip())  # fmt: skip

    # Between the pull request and the lock.
    hub.plant("call", "/branch/", call=edit)
    send(releases / "1.0.0")
    titles = main_titles(hub)
    assert titles == ["Release 1.0.0 (#2)", "by hand", "initial commit"]
    assert tags(hub) == ["1.0.0"]
    assert open_pulls(hub) == 0
    assert paths(hub) == files(releases / "1.0.0" / "real")


def test_a_parent_that_the_hub_calls_stale(hub: LoopbackHub, releases: Path) -> None:
    hub.plant("status", "/commit/", status=412, message="A commit has happened since.")
    with pytest.raises(PublicationError, match=r"refused it \(412"):
        send(releases / "1.0.0")
    send(releases / "1.0.0")
    assert tags(hub) == ["1.0.0"]


def test_another_publication_was_first(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    other = write_release(tmp_path / "other", "1.0.0", 14)
    hub.plant("call", "/branch/", call=lambda: send(other))
    with pytest.raises(AnotherPublicationError, match=r"1\.0\.0 was published meanwhile") as found:
        send(releases / "1.0.0")
    assert "lab/cells: main is unchanged" in str(found.value)
    assert paths(hub, "1.0.0") == paths(hub) == files(other / "real")
    assert (branches(hub), open_pulls(hub)) == (["main"], 0)


def test_another_publication_is_at_it(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    other = write_release(tmp_path / "other", "1.1.0", 14, previous="1.0.0")
    said: list[str] = []

    def late() -> None:
        with pytest.raises(AnotherPublicationError) as found:
            send(other)
        said.append(str(found.value))

    hub.plant("call", "/merge", call=late)
    send(releases / "1.0.0")
    assert "another publication is at lab/cells: it holds the branch" in said[0]
    assert LOCK in said[0]
    assert tags(hub) == ["1.0.0"]
    send(other)
    assert tags(hub) == ["1.0.0", "1.1.0"]


@pytest.mark.parametrize("request_path", ["cells-synthetic/tag/", "cells-synthetic/discussions/1/"])
def test_the_second_failing_takes_the_first_back(
    hub: LoopbackHub, releases: Path, request_path: str
) -> None:
    hub.plant("status", request_path, method="POST", status=403, times=1000)
    with pytest.raises(PublicationError, match="no right to do this") as found:
        send(releases / "1.0.0")
    assert tags(hub) == tags(hub, "cells-synthetic") == []
    assert "lab/cells: main holds 1.0.0, without a tag" in str(found.value)
    assert (branches(hub), branches(hub, "cells-synthetic")) == (["main"], ["main"])
    hub.faults.clear()
    send(releases / "1.0.0")
    assert tags(hub) == tags(hub, "cells-synthetic") == ["1.0.0"]
    assert main_titles(hub) == ["Release 1.0.0 (#1)", "initial commit"]


def test_what_comes_back_changed_is_not_merged(hub: LoopbackHub, releases: Path) -> None:
    def swap() -> None:
        # The pull request gets another file: what the Hub holds is not what was sent.
        found = hub.repository("datasets", "lab", "cells")
        from tests.loopback_hub.git_repo import Change

        found.commit("refs/pr/1", found.sha("refs/pr/1"), "x", [Change("README.md", b"other")])

    hub.plant("call_after", "/tree/refs%2Fpr%2F1|/tree/refs/pr/1", call=swap)
    with pytest.raises(PublicationError, match=r"is not what was sent: README\.md differs"):
        send(releases / "1.0.0")
    assert paths(hub) == set()


def test_an_image_that_cannot_be_decoded(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(releases / "1.0.0", tmp_path / "broken")
    shard = folder / "real" / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(shard, partitioning=None)
    rows = table.to_pylist()
    rows[-1]["image"]["bytes"] = rows[-1]["image"]["bytes"][:40]
    pq.write_table(table.from_pylist(rows, schema=table.schema), shard)
    write_sums(folder / "real")
    with pytest.raises(PublicationError, match="the last image cannot be decoded") as found:
        send(folder)
    assert "pull request 1 was not merged" in str(found.value)
    assert paths(hub) == set()


def test_a_card_that_does_not_load(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(releases / "1.0.0", tmp_path / "broken")
    card = folder / "real" / "README.md"
    card.write_text(card.read_text().replace("data/train-*", "data/none-*"))
    write_sums(folder / "real")
    with pytest.raises(PublicationError, match="loading lab/cells at refs/pr/1: ValueError"):
        send(folder)
    assert paths(hub) == set()


def test_many_files_land_as_one_commit(hub: LoopbackHub, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "many", cells=6, files=300)
    send(folder)
    assert main_titles(hub) == ["Release 1.0.0 (#1)", "initial commit"]
    assert paths(hub) == files(folder / "real")
    assert len(paths(hub)) > 300


def test_private_and_gated(hub: LoopbackHub, releases: Path) -> None:
    first_bytes: list[object] = []

    def settings() -> dict[str, Any]:
        return hub.repository("datasets", "lab", "cells").settings

    hub.plant("call", "/_lfs/", method="PUT", call=lambda: first_bytes.append(settings()["gated"]))
    send(releases / "1.0.0", private=True, gated="manual")
    assert (settings()["private"], settings()["gated"]) == (True, "manual")
    assert first_bytes == ["manual"], "gated before the first byte came"
    open_one = hub.repository("datasets", "lab", "cells-synthetic").settings
    assert (open_one["private"], open_one["gated"]) == (False, False)


def test_private_is_no_word_for_what_is_public(hub: LoopbackHub, releases: Path) -> None:
    send(releases / "1.0.0")
    with pytest.raises(ReleaseRefusedError, match="is public already"):
        send(releases / "1.1.0", private=True)


# The dry run


def test_a_dry_run_tells_and_changes_nothing(hub: LoopbackHub, releases: Path) -> None:
    plan = dry_run(releases / "1.0.0", REPO)
    assert [entry.standing for entry in plan.repositories] == ["absent", "absent"]
    assert all(line.startswith("GET") for line in hub.log)
    send(releases / "1.0.0")
    before = main_titles(hub)
    plan = dry_run(releases / "1.1.0", REPO, previous=releases / "1.0.0")
    real = plan.repositories[0]
    assert real.standing == "open"
    assert real.files == {
        name: (releases / "1.1.0" / "real" / name).stat().st_size
        for name in files(releases / "1.1.0" / "real")
    }
    assert set(real.send) == set(real.files) - {
        "data/test-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"
    }  # fmt: skip
    assert real.send_bytes == sum(real.files[name] for name in real.send)
    assert real.remove == ("data/train-00000-of-00001.parquet",)
    assert real.xet is not None
    assert real.xet.total_bytes == real.send_bytes
    assert main_titles(hub) == before
    with pytest.raises(ReleaseRefusedError, match="has a version 1.0.0 already"):
        dry_run(write_release(hub.root / "other", "1.0.0", 14), REPO)


def test_xet_saves_what_the_hub_has(hub: LoopbackHub, releases: Path, tmp_path: Path) -> None:
    plan = dry_run(releases / "1.0.0", REPO, previous=releases / "1.0.0")
    for entry in plan.repositories:
        assert entry.xet is not None
        assert entry.xet.deduplicated_bytes == entry.xet.total_bytes == entry.send_bytes
        assert entry.xet.sent_bytes < entry.xet.total_bytes / 2


def test_a_dry_run_without_the_hub(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    plan = dry_run(releases / "1.0.0", REPO)
    assert "connection failed" in str(plan.unasked)
    assert all(len(entry.send) == len(entry.files) for entry in plan.repositories)

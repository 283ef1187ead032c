"""What a publication would do, asked of the Hub and changing nothing there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from curation.errors import PublicationError
from curation.manifest import Frozen

from .hub_errors import HubError
from .hub_folder import LocalFolder, RemoteFile
from .hub_patience import Patience
from .hub_repository import Gate
from .publication import Side, Standing, release_sides, survey


class Deduplication(Frozen):
    """What Xet makes of the files that are sent, when it has those of an earlier release."""

    against: str
    total_bytes: int
    deduplicated_bytes: int
    sent_bytes: int


class RepositoryDryRun(Frozen):
    """What would become of one repository: `send` and `remove` are paths, `files` path -> bytes."""

    repository: str
    standing: Standing
    private: bool
    gated: str | None
    files: dict[str, int]
    send: tuple[str, ...]
    send_bytes: int
    unchanged: int
    remove: tuple[str, ...]
    xet: Deduplication | None = None


class DryRun(Frozen):
    """A publication that was not made; `unasked` says why the Hub was not asked, where it was."""

    version: str
    unasked: str | None
    repositories: tuple[RepositoryDryRun, ...]


def dry_run(
    folder: Path, repo: str, *, private: bool = False, gated: Gate | None = None,
    previous: Path | None = None,
) -> DryRun:  # fmt: skip
    """Return what `publish` would do. `previous` is the release that the Hub has: its files are
    packed by Xet's own client, then those to be sent, so that what is sent again is measured.

    Raises: ReleaseRefusedError for whatever `publish` would refuse; PublicationError.
    """
    sides, version = release_sides(folder, repo, private, gated, Patience(tries=1))
    unasked = None
    try:
        for side in sides:
            survey(side, version)
    except HubError as error:
        unasked = str(error)
    plans = [
        _planned(side, None if previous is None else previous / side.folder.path.name, unasked)
        for side in sides
    ]
    return DryRun(version=version, unasked=unasked, repositories=tuple(plans))


def _planned(side: Side, previous: Path | None, unasked: str | None) -> RepositoryDryRun:
    tree: dict[str, RemoteFile] = {}
    if unasked is None and side.standing != "absent":
        tree = side.repository.tree("main")
    send, folder = tuple(side.folder.new_in(tree)), side.folder
    return RepositoryDryRun(
        repository=side.name, standing=side.standing, private=side.private, gated=side.gate,
        files={name: file.size for name, file in folder.files.items()}, send=send,
        send_bytes=sum(folder.files[name].size for name in send),
        unchanged=len(folder.files) - len(send), remove=tuple(folder.gone_from(tree)),
        xet=None if previous is None or not send else _deduplicated(folder, send, previous),
    )  # fmt: skip


def _deduplicated(folder: LocalFolder, send: Iterable[str], previous: Path) -> Deduplication:
    """Pack both releases into a scratch folder by the true client; its disk space is needed."""
    if not previous.is_dir():
        raise PublicationError(
            f"{previous} is no dataset folder. Next: --previous takes the release that is on the "
            "Hub now"
        )
    old = [path for path in sorted(previous.rglob("*")) if path.is_file()]
    with tempfile.TemporaryDirectory() as scratch:
        store = f"local://{Path(scratch) / 'xet'}"
        pack_files(store, old)
        total, kept, sent = pack_files(store, [folder.files[name].file for name in send])
    return Deduplication(
        against=str(previous), total_bytes=total, deduplicated_bytes=kept, sent_bytes=sent
    )


def pack_files(store: str, files: Iterable[Path]) -> tuple[int, int, int]:
    """Return (bytes, bytes deduplicated, bytes sent) of files, packed by Xet in their order.

    `store` is local://FOLDER; what it was given before is not sent again.
    """
    import hf_xet

    session = hf_xet.XetSession()
    total = kept = sent = 0
    for file in files:
        commit = session.new_upload_commit(endpoint=store)
        commit.start_upload_file(str(file), sha256=hf_xet.SKIP_SHA256)
        metrics = commit.wait_to_finish().dedup_metrics
        total += metrics.total_bytes
        kept += metrics.deduped_bytes
        sent += metrics.total_bytes_uploaded
    return total, kept, sent

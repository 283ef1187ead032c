"""The stage `publish`: a release onto the Hub, both of its datasets under one tag, or neither.

Everything that a rerun needs to know is asked from the Hub: which files it has, which pull request
holds the release, whether it is merged and tagged. So a run that was killed anywhere, on whatever
machine, is finished by the same command.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curation.errors import PublicationError, ReleaseRefusedError, SmearkitError
from curation.manifest import Frozen
from curation.progress import Progress, silent

from .hub_account import hub_api, may_write
from .hub_errors import HubError
from .hub_folder import LocalFolder, checked_folder
from .hub_lock import AnotherPublicationError, drop_lock, take_lock
from .hub_patience import Patience
from .hub_quiet import quiet_libraries
from .hub_repository import Gate, Pull, Repository
from .hub_sending import holds_nothing_of_others, pull_request
from .hub_tags import latest_tag, newer_tags, set_tag, take_tag_back
from .publication_check import check_revision
from .release_info import ReleaseInfo, read_release
from .repository_name import check_repository

Standing = Literal["absent", "open", "merged", "tagged"]
_MOVES = 3  # times that main may move under a publication before it gives up


class PublishedRepository(Frozen):
    """Where one dataset stands: the commit of its tag."""

    repository: str
    commit: str
    files: int
    bytes: int


class Publication(Frozen):
    """What stands on the Hub; `already` where it stood there before."""

    version: str
    already: bool
    repositories: tuple[PublishedRepository, ...]


@dataclass(slots=True)
class Side:
    """One repository of a publication: what it is to hold, and how far that is."""

    repository: Repository
    folder: LocalFolder
    previous: str | None = None
    private: bool = False
    gate: Gate | None = None
    standing: Standing = "absent"
    pull: Pull | None = None
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The repository's."""
        return self.repository.name


def publish(
    folder: Path, repo: str, *, private: bool = False, gated: Gate | None = None,
    read_back: bool = False, patience: Patience | None = None, progress: Progress = silent,
) -> Publication:  # fmt: skip
    """Put a release on the Hub: real cells into `repo`, synthetic ones into `repo`-synthetic.

    `private` and `gated` are for the real ones. `read_back` loads every byte of the pull request
    again. The token is that of `hf auth login` or HF_TOKEN.

    Raises: ReleaseRefusedError where the release is not whole, the name is not allowed or the
    version exists; PublicationError, which says what stands and what to do next.
    """
    sides, version = release_sides(folder, repo, private, gated, patience or Patience())
    return publish_sides(sides, version, read_back=read_back, progress=progress)


def publish_sides(
    sides: Sequence[Side], version: str, *, read_back: bool = False, progress: Progress = silent
) -> Publication:
    """Put folders into their repositories under one tag, all or none.

    Raises: ReleaseRefusedError; PublicationError.
    """
    for side in sides:
        survey(side, version)
    already = all(side.standing == "tagged" for side in sides)
    with quiet_libraries():
        if not already:
            with _telling_what_stands(sides, version):
                _publish_all(sides, version, read_back, progress)
        for number, side in enumerate(sides):
            progress("verify", number, len(sides))
            _verify_tag(side, sides, version, take_back=not already)
            drop_lock(side.repository, side.folder)
    return Publication(
        version=version, already=already, repositories=tuple(_published(s, version) for s in sides)
    )


def release_sides(
    folder: Path, repo: str, private: bool, gated: Gate | None, patience: Patience
) -> tuple[list[Side], str]:
    """Return both sides of a publication, and its version; nothing was asked of the Hub yet.

    Raises: ReleaseRefusedError.
    """
    names = check_repository(repo)
    made = read_release(folder)
    _check_named(made.info, repo)
    real, synthetic = checked_folder(made.real), checked_folder(made.synthetic)
    api, previous = hub_api(), made.info.previous
    sides = [
        Side(Repository(api, names[0], "dataset", patience), real, previous, private, gated),
        Side(Repository(api, names[1], "dataset", patience), synthetic, previous),
    ]
    return sides, made.info.version


def _check_named(info: ReleaseInfo, repo: str) -> None:
    if info.repository not in (None, repo):
        raise ReleaseRefusedError(
            f"the cards of this release name {info.repository}, not {repo}. Next: publish it "
            f"there, or make it anew with `smearkit release --repo {repo}`"
        )


def survey(side: Side, version: str) -> None:
    """Find how far a side is; refuse what cannot become this version.

    Raises: ReleaseRefusedError; HubError.
    """
    repository = side.repository
    settings = repository.settings()
    if settings is None:
        side.standing = "absent"
        return
    if side.private and not settings.private:
        raise ReleaseRefusedError(
            f"{side.name} is public already, and --private would not hide what it holds. Next: "
            f"`hf repos settings {side.name} --private --repo-type dataset`, or leave it out"
        )
    tags = repository.tags()
    side.tags = tuple(sorted(tags))
    if version in tags:
        if not side.folder.is_(repository.tree(tags[version])):
            raise ReleaseRefusedError(
                f"{side.name} has a version {version} already, of other files; a version is never "
                "changed. Next: `smearkit release` with the next version"
            )
        side.standing = "tagged"
        return
    newer = newer_tags(tags, version)
    if newer:
        raise ReleaseRefusedError(
            f"{side.name} is at version {newer[-1]} already; {version} would turn its main back. "
            "Next: `smearkit release` with a higher version"
        )
    if latest_tag(tags) not in (None, side.previous):
        raise ReleaseRefusedError(
            f"{side.name} is at version {latest_tag(tags)}, and {version} was compared with "
            f"{side.previous or 'none'}. Next: `smearkit release --previous` with the release "
            f"{latest_tag(tags)}, which tells what may be called {version}"
        )
    tree = repository.tree(settings.head)
    if not holds_nothing_of_others(tree):
        raise ReleaseRefusedError(
            f"{side.name} holds {len(tree)} file(s) that no release put there, such as "
            f"{min(tree)}; they would be removed. Next: take another name, or remove them yourself"
        )
    side.standing = "merged" if side.folder.is_(tree) else "open"


def _publish_all(sides: Sequence[Side], version: str, read_back: bool, progress: Progress) -> None:
    may_write(sides[0].repository)
    for side in sides:
        _propose(side, version, read_back, progress)
    for _ in range(_MOVES):
        if _merge_and_tag(sides, version):
            return
        for side in sides:
            _propose(side, version, read_back, progress)
    raise AnotherPublicationError(
        f"main moved {_MOVES} times while {version} was published. Next: see who writes to it, "
        "and run the same command again"
    )


def _propose(side: Side, version: str, read_back: bool, progress: Progress) -> None:
    if side.standing in ("merged", "tagged"):
        return
    settings = side.repository.settings() or side.repository.create(private=side.private)
    if side.gate is not None and settings.gated != side.gate:
        side.repository.set_gate(side.gate)
    side.standing = "open"
    before = side.pull
    title = f"Release {version}"
    side.pull = pull_request(
        side.repository, side.folder, settings.head, title, _description(side.folder), progress
    )
    if side.pull != before:
        try:
            check_revision(side.repository, side.folder, side.pull.revision, read_back=read_back)
        except SmearkitError as error:
            raise _named(error, f"pull request {side.pull.number} was not merged") from error


def _description(folder: LocalFolder) -> str:
    sums = folder.files["checksums.txt"].sha256 if "checksums.txt" in folder.files else ""
    return (
        f"{len(folder.files)} files, {folder.size} bytes; checksums.txt has SHA-256 {sums}.\n\n"
        "Made by `smearkit publish`, which loads it back before it merges and tags it."
    )


def _merge_and_tag(sides: Sequence[Side], version: str) -> bool:
    """Merge and tag under the lock; return False, with nothing merged, where main has moved."""
    with _locked(sides):
        for side in sides:
            if _has_moved(side, version):
                return False
        for side in sides:
            if side.standing == "open":
                _merge(side)
                side.standing = "merged"
        for side in sides:
            try:
                set_tag(side.repository, version, side.folder)
            except SmearkitError:
                _take_tags_back(sides, version)
                raise
            side.standing = "tagged"
    return True


@contextlib.contextmanager
def _locked(sides: Sequence[Side]) -> Iterator[None]:
    taken: list[Side] = []
    try:
        for side in sides:
            if side.pull is not None and side.standing == "open":
                take_lock(side.repository, side.folder, side.pull.commit)
                taken.append(side)
        yield
    finally:
        for side in taken:
            # One that stays is known by what it holds: a rerun takes it over.
            with contextlib.suppress(SmearkitError):
                drop_lock(side.repository, side.folder)


def _has_moved(side: Side, version: str) -> bool:
    """Tell whether main is no longer what the pull request starts at.

    Raises: AnotherPublicationError where another release moved it.
    """
    if side.standing != "open":
        return False
    assert side.pull is not None, "proposed before it is merged"
    tags = side.repository.tags()
    others = sorted(set(tags) - set(side.tags))
    if others:
        side.repository.close(side.pull, f"{', '.join(others)} was published meanwhile")
        raise AnotherPublicationError(
            f"{side.name}: version {', '.join(others)} was published meanwhile by another; "
            f"{version} was not. Next: make {version} anew from it, and publish that"
        )
    return side.repository.commit_of("main") != side.pull.parent


def _merge(side: Side) -> None:
    pull, repository = side.pull, side.repository
    assert pull is not None, "proposed before it is merged"

    def look() -> bool | None:
        return True if side.folder.is_(repository.tree("main")) else None

    repository.patience.settled(
        f"merging pull request {pull.number} of {side.name}",
        look,
        lambda: repository.api.merge_pull_request(
            side.name, pull.number, repo_type=repository.kind
        ),
    )


def _verify_tag(side: Side, sides: Sequence[Side], version: str, *, take_back: bool) -> None:
    try:
        check_revision(side.repository, side.folder, version, images=False)
    except HubError as error:
        # It could not be looked at, which is no reason to take away what may be right.
        raise _named(error, f"the tag {version} stands on both and was not verified") from error
    except SmearkitError as error:
        if not take_back:
            raise
        _take_tags_back(sides, version)
        raise _named(error, f"the tag {version} was taken back from both") from error


def _take_tags_back(sides: Sequence[Side], version: str) -> None:
    for side in sides:
        with contextlib.suppress(SmearkitError):
            take_tag_back(side.repository, version, side.folder)
            if side.standing == "tagged":
                side.standing = "merged"


def _named(error: SmearkitError, standing: str) -> PublicationError:
    return PublicationError(f"{error}. {standing}")


@contextlib.contextmanager
def _telling_what_stands(sides: Sequence[Side], version: str) -> Iterator[None]:
    """Say at the end of an error how far each repository is."""
    try:
        yield
    except (PublicationError, ReleaseRefusedError) as error:
        said = {
            "absent": "nothing was made", "open": "main is unchanged",
            "merged": f"main holds {version}, without a tag",
            "tagged": f"main and the tag are {version}",
        }  # fmt: skip
        lines = [f"  {side.name}: {said[side.standing]}" for side in sides]
        raise type(error)(f"{error}\nWhat stands now:\n" + "\n".join(lines)) from error


def _published(side: Side, version: str) -> PublishedRepository:
    return PublishedRepository(
        repository=side.name, commit=side.repository.tags()[version],
        files=len(side.folder.files), bytes=side.folder.size,
    )  # fmt: skip

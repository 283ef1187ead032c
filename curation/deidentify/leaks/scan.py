"""Searching files for everything that the vault saw, as deep as they can be opened."""

from __future__ import annotations

import mmap
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import SmearkitError
from ...progress import Progress, silent
from ..vault import Vault, read_identifiers
from .collector import Collector
from .identifiers import sort_identifiers
from .own_text import own_text
from .pieces import MAX_TOTAL, Room
from .reader import Reader
from .report import LeftOut, Scan
from .search import Search

_EXPANDS = 20
"""How many times its size a large file may expand to."""
_PEOPLE = ("subject", "slide")
OWN_WORD = "a word of the product's own texts"
DECLARED_PUBLIC = "declared public by the maintainer"


class NotPublicError(SmearkitError):
    """A text that was declared public holds what identifies a patient."""


def scan_for_leaks(
    path: Path, vault: Vault, progress: Progress = silent, *, published: Sequence[str] = ()
) -> Scan:
    """Search a file or a folder, every byte of every file, for the vault's identifiers.

    `published` are texts that the maintainer declared public, such as a hospital's name: what they
    hold is left out of the search, and counted.

    Raises: VaultError where the vault's identifiers cannot be read; NotPublicError where
    `published` holds what identifies a patient.
    """
    entries = list(_entries(path))
    wanted = sort_identifiers(read_identifiers(vault))
    search = Search(wanted, sum(size for _, size in entries))
    known = search.searched()
    search.leave_out(own_text())
    unsaid = search.searched()
    own = Counter((wanted.identifiers[o][0], OWN_WORD) for o in known - unsaid)
    for text in published:
        search.leave_out(text)
    searched = search.searched()
    declared = [wanted.identifiers[owner] for owner in sorted(unsaid - searched)]
    _refuse_people(declared, vault)
    own.update((kind, DECLARED_PUBLIC) for kind, _ in declared)
    collector = Collector(search, vault)
    files = 0
    for number, (entry, _) in enumerate(entries):
        progress("search", number, len(entries))
        files += _search_entry(path, entry, number, search, collector)
    progress("search", len(entries), len(entries))
    hits, possible = collector.hits()
    left_out = wanted.left_out + own
    return Scan(
        searched=len(searched),
        left_out=left_out.total(),
        files=files,
        hits=hits,
        possible=possible,
        not_searched=collector.unread(),
        left_out_why=tuple(sorted(LeftOut(k, why, n) for (k, why), n in left_out.items())),
        text_only=tuple(sorted(LeftOut(k, "too short", n) for k, n in search.text_only().items())),
    )


def _refuse_people(declared: Sequence[tuple[str, str]], vault: Vault) -> None:
    for kind, value in declared:
        if kind in _PEOPLE or kind.startswith("dicom:Patient"):
            raise NotPublicError(
                f"what was declared public holds a {kind} of the source (short id "
                f"{vault.pseudonym(kind, value)[:8]}), and a person's identifier cannot be public"
            )


def _entries(path: Path) -> Iterator[tuple[Path, int]]:
    """Yield everything below a folder and its size, links not followed; or the one file."""
    if not path.is_dir() or path.is_symlink():
        yield path, path.lstat().st_size
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *linked]):
            entry = Path(folder) / name
            yield entry, entry.lstat().st_size
        for name in folders:
            if name not in linked and not any((Path(folder) / name).iterdir()):
                yield Path(folder) / name, 0


def _search_entry(
    root: Path, entry: Path, number: int, search: Search, collector: Collector
) -> bool:
    """Search one file and its name; return whether it is a file that could be read."""
    name = entry.name if entry == root else entry.relative_to(root).as_posix()
    collector.begin(number, name)
    mode = entry.lstat().st_mode
    if stat.S_ISLNK(mode):
        collector.seal(("symbolic link",), "what it points at is not part of what is searched")
    elif stat.S_ISREG(mode):
        try:
            with _mapped(entry) as data:
                room = Room(max(MAX_TOTAL, _EXPANDS * len(data)))
                Reader(search, collector, room).read(data)
            return True
        except OSError as error:
            collector.seal(("file",), f"it cannot be read ({error.strerror})")
    elif not stat.S_ISDIR(mode):
        collector.seal(("file",), "it is no ordinary file")
    return False


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield memoryview(b"")
            return
        # Not closed here: what was sliced out of it may still be alive.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

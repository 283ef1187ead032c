"""One repository of the Hub: a bare git repository, its settings and its pull requests."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

POINTER = re.compile(
    rb"^version https://git-lfs.github.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (\d+)\n$"
)
_WHO = ("-c", "user.name=hub", "-c", "user.email=hub@localhost")
_LARGE = ("parquet", "arrow", "bin", "safetensors", "tar", "zip", "png", "jpg", "npz", "npy", "gz")


class GitError(RuntimeError):
    """Git refused."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of a commit; of an LFS object, `sha256` and `size` are its own."""

    path: str
    kind: str
    blob: str
    size: int
    sha256: str | None = None
    pointer_size: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A file to write (its bytes in git) or, with None, a path to delete."""

    path: str
    data: bytes | None


def pointer(sha256: str, size: int) -> bytes:
    """Return the LFS pointer that git keeps in the place of a large file."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    ).encode()


class GitRepository:
    """A bare repository whose every change is one atomic commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._listed: dict[str, list[Entry]] = {}

    @classmethod
    def create(cls, path: Path, *, private: bool) -> GitRepository:
        """Make a repository as the Hub does: with `.gitattributes` and nothing else."""
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
        made = cls(path)
        made.settings = {"private": private, "gated": False, "pulls": []}
        lines = [f"*.{end} filter=lfs diff=lfs merge=lfs -text" for end in _LARGE]
        first = Change(".gitattributes", ("\n".join(lines) + "\n").encode())
        made.commit("refs/heads/main", None, "initial commit", [first])
        return made

    @property
    def settings(self) -> dict[str, Any]:
        """What is set: private, gated, and the pull requests."""
        found = json.loads((self.path / "hub.json").read_text())
        assert isinstance(found, dict)
        return found

    @settings.setter
    def settings(self, value: dict[str, Any]) -> None:
        temporary = self.path / "hub.json.tmp"
        temporary.write_text(json.dumps(value))
        temporary.replace(self.path / "hub.json")

    def git(self, *arguments: str, data: bytes | None = None) -> bytes:
        """Run git; return what it said."""
        command = ["git", "--git-dir", str(self.path), *arguments]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode:
            raise GitError(done.stderr.decode())
        return done.stdout

    def sha(self, revision: str) -> str | None:
        """Return the commit of a branch, tag, ref or (short) commit id, or None."""
        revision = unquote(revision)
        if not revision or revision.startswith("-"):
            return None
        for ref in (
            f"refs/heads/{revision}",
            f"refs/tags/{revision}",
            f"refs/{revision}",
            revision,
        ):
            try:
                found = self.git("rev-parse", "-q", "--verify", f"{ref}^{{commit}}")
            except GitError:
                continue
            return found.decode().strip()
        return None

    def entries(self, commit: str) -> list[Entry]:
        """Return every file and folder of a commit."""
        if commit not in self._listed:
            self._listed[commit] = list(self._read_tree(commit))
        return self._listed[commit]

    def _read_tree(self, commit: str) -> Iterable[Entry]:
        rows = []
        for line in self.git("ls-tree", "-z", "-l", "-r", "-t", commit).split(b"\0"):
            if line:
                facts, path = line.split(b"\t", 1)
                _, kind, blob, size = facts.decode().split()
                rows.append((path.decode(), kind, blob, 0 if size == "-" else int(size)))
        small = [blob for _, kind, blob, size in rows if kind == "blob" and size < 200]
        pointers = self._pointers(small)
        for name, kind, blob, length in rows:
            if kind == "tree":
                yield Entry(name, "directory", blob, 0)
            elif blob in pointers:
                sha256, real = pointers[blob]
                yield Entry(name, "file", blob, real, sha256, length)
            else:
                yield Entry(name, "file", blob, length)

    def _pointers(self, blobs: Sequence[str]) -> dict[str, tuple[str, int]]:
        if not blobs:
            return {}
        out = self.git("cat-file", "--batch", data="".join(f"{b}\n" for b in blobs).encode())
        found, at = {}, 0
        for blob in blobs:
            end = out.index(b"\n", at)
            size = int(out[at:end].split()[2])
            match = POINTER.match(out[end + 1 : end + 1 + size])
            if match:
                found[blob] = (match[1].decode(), int(match[2]))
            at = end + 1 + size + 1
        return found

    def blob(self, blob: str) -> bytes:
        """Return the bytes of a blob."""
        return self.git("cat-file", "blob", blob)

    def commit(self, ref: str, parent: str | None, message: str, changes: Iterable[Change]) -> str:
        """Make one commit on a ref, whatever the ref pointed to; return its id."""
        text = message.encode()
        lines = [
            f"commit {ref}\ncommitter hub <hub@localhost> {int(time.time())} +0000\n".encode(),
            f"data {len(text)}\n".encode(), text, b"\n",
        ]  # fmt: skip
        if parent:
            lines.append(f"from {parent}\n".encode())
        for change in changes:
            name = json.dumps(change.path)
            if change.data is None:
                lines.append(f"D {name}\n".encode())
            else:
                head = f"M 100644 inline {name}\ndata {len(change.data)}\n"
                lines += [head.encode(), change.data, b"\n"]
        lines.append(b"done\n")
        with self.lock:
            self.git("fast-import", "--quiet", "--done", "--force", data=b"".join(lines))
            return self.git("rev-parse", ref).decode().strip()

    def log(self, commit: str) -> list[tuple[str, str, str, str]]:
        """Return (commit, title, body, ISO time) of a commit and what came before it."""
        out = self.git("log", "--format=%H%x00%s%x00%b%x00%cI%x01", commit).decode()
        rows = [row.strip("\n").split("\0") for row in out.split("\x01") if row.strip()]
        return [(row[0], row[1], row[2].strip(), row[3]) for row in rows]

    def refs(self, prefix: str) -> dict[str, str]:
        """Return name (without the prefix) -> commit."""
        lines = self.git("for-each-ref", "--format=%(refname)", prefix).decode().splitlines()
        return {line[len(prefix) :]: self.sha(line) or "" for line in lines}

    def open_pull(self, title: str, parent: str) -> int:
        """Note a pull request that starts at a commit; return its number."""
        with self.lock:
            settings = self.settings
            number = len(settings["pulls"]) + 1
            settings["pulls"].append({"number": number, "title": title, "status": "open"})
            self.settings = settings
            self.git("update-ref", f"refs/pr/{number}", parent)
        return number

    def set_pull(self, number: int, status: str) -> None:
        """Set the status of a pull request."""
        with self.lock:
            settings = self.settings
            settings["pulls"][number - 1]["status"] = status
            self.settings = settings

    def merge_pull(self, number: int) -> None:
        """Squash a pull request onto main, as the Hub does.

        Raises: GitError where the two do not fit together, or where it is not open.
        """
        with self.lock:
            pull = self.settings["pulls"][number - 1]
            if pull["status"] != "open":
                raise GitError(f"this pull request is {pull['status']}")
            main, head = self.sha("refs/heads/main"), self.sha(f"refs/pr/{number}")
            assert main is not None, "every repository has a first commit"
            assert head is not None, "a pull request has a ref"
            tree = self.git("merge-tree", "--write-tree", main, head).decode().split()[0]
            title = f"{pull['title']} (#{number})"
            merged = self.git(*_WHO, "commit-tree", tree, "-p", main, "-m", title)
            self.git("update-ref", "refs/heads/main", merged.decode().strip(), main)
            self.set_pull(number, "merged")

    def tag(self, name: str, commit: str, message: str | None) -> None:
        """Set a tag.

        Raises: GitError where it is there.
        """
        said = ["-a", "-m", message] if message else []
        self.git(*_WHO, "tag", name, commit, *said)

"""Where large files lie: LFS objects by their SHA-256, and Xet's content-addressed store."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path


class ObjectStore:
    """Large files, whichever way they came; counts every byte that LFS was sent, by object."""

    def __init__(self, root: Path) -> None:
        self.lfs, self.cas = root / "lfs", root / "cas"
        self.lfs.mkdir(parents=True, exist_ok=True)
        self.cas.mkdir(parents=True, exist_ok=True)
        self.sent_bytes: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._shards: dict[str, dict[str, str]] = {}
        self._rebuilt: dict[str, Path] = {}

    def holds(self, sha256: str) -> bool:
        """Tell whether an object is there, by LFS or by Xet."""
        return (self.lfs / sha256).is_file() or self.xet_hash(sha256) is not None

    async def receive(self, sha256: str, body: AsyncIterator[bytes]) -> bool:
        """Take an object; return whether its bytes are what its name says."""
        temporary = self.lfs / f"{sha256}.{id(body)}.tmp"
        digest = hashlib.sha256()
        try:
            with temporary.open("wb") as file:
                async for part in body:
                    self.sent_bytes[sha256] += len(part)
                    digest.update(part)
                    file.write(part)
            if digest.hexdigest() != sha256:
                return False
            temporary.rename(self.lfs / sha256)
            self.finished[sha256] += 1
            return True
        finally:
            temporary.unlink(missing_ok=True)

    def receive_part(self, sha256: str, number: int, data: bytes) -> str:
        """Take a part of an object; return its MD5."""
        self.sent_bytes[sha256] += len(data)
        (self.lfs / f"{sha256}.part{number:05d}").write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def join_parts(self, sha256: str) -> bool:
        """Make an object of its parts; return whether its bytes are what its name says."""
        parts = sorted(self.lfs.glob(f"{sha256}.part*"))
        temporary = self.lfs / f"{sha256}.joined"
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part.read_bytes())
                part.unlink()
        with temporary.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                temporary.unlink()
                return False
        temporary.rename(self.lfs / sha256)
        self.finished[sha256] += 1
        return True

    def xet_hash(self, sha256: str) -> str | None:
        """Return the Xet hash of a file by its SHA-256, from the shards that the client wrote."""
        with self._lock:
            for path in self.cas.rglob("*.mdb"):
                if path.name not in self._shards:
                    self._shards[path.name] = _files_of_shard(path.read_bytes())
            for files in self._shards.values():
                if sha256 in files:
                    return files[sha256]
        return None

    def xet_bytes(self) -> int:
        """Return how many bytes of content Xet's clients have stored."""
        blocks = (p for p in self.cas.rglob("default.*") if p.suffix != ".tagset")
        return sum(path.stat().st_size for path in blocks)

    def plain_file(self, sha256: str, size: int) -> Path:
        """Return an object as one file; what came by Xet is put together once."""
        path = self.lfs / sha256
        if path.is_file():
            return path
        with self._lock:
            known = self._rebuilt.get(sha256)
        if known is not None:
            return known
        found = self.xet_hash(sha256)
        if found is None:
            raise FileNotFoundError(sha256)
        from hf_xet import XetFileInfo, XetSession

        # Not into the LFS folder: whether LFS was sent it must stay visible.
        target = self.lfs.parent / "rebuilt" / sha256
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_name(f"{sha256}.{threading.get_ident()}.tmp")
        with XetSession().new_file_download_group(endpoint=f"local://{self.cas}") as group:
            group.start_download_file(XetFileInfo(found, size), str(temporary))
        temporary.rename(target)
        with self._lock:
            self._rebuilt[sha256] = target
        return target


_HEADER, _ENTRY = 48, 48
_VERIFIED, _WITH_METADATA = 0x80000000, 0x40000000


def _files_of_shard(data: bytes) -> dict[str, str]:
    """Return SHA-256 -> Xet hash of a shard's files: entries of 48 bytes, until one of 0xff."""
    found: dict[str, str] = {}
    at = _HEADER
    while at + _ENTRY <= len(data) and data[at : at + 32] != b"\xff" * 32:
        name = _hash_text(data[at : at + 32])
        flags, segments = struct.unpack("<II", data[at + 32 : at + 40])
        at += _ENTRY + _ENTRY * segments * (2 if flags & _VERIFIED else 1)
        if flags & _WITH_METADATA:
            found[_hash_text(data[at : at + 32])] = name
            at += _ENTRY
    return found


def _hash_text(data: bytes) -> str:
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", data))

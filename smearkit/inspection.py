"""`smearkit inspect`: what is this directory, is it whole, what does it hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from cards.release import RELEASE_NAME, read_release
from curation.corpus import load_corpus, verify_corpus
from curation.errors import SmearkitError
from curation.manifest import MANIFEST_NAME, Frozen
from synth.measure.measurement import MEASUREMENTS_NAME, read_measurements

_GENERATOR_NAME = "generator.json"  # not imported from synth.generator, which takes seconds


class Inspection(Frozen):
    """What a directory is; `problem` says why it is not complete."""

    kind: str
    complete: bool
    fingerprint: str | None = None
    rows: int | None = None
    classes: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, int] = Field(default_factory=dict)
    problem: str | None = None


def inspect(path: Path, *, verify: bool = False) -> Inspection:
    """Tell what a directory is; with `verify`, every byte of a corpus is read and compared.

    Raises: SmearkitError where there is no such directory.
    """
    if not path.is_dir():
        raise SmearkitError(f"{path} is no directory; give a corpus, generator, report or release")
    kind, look = _kind(path)
    if look is None:
        return Inspection(kind=kind, complete=False, problem=_why_unknown(path))
    try:
        return look(path, verify)
    except SmearkitError as error:
        return Inspection(kind=kind, complete=False, problem=str(error))


def _corpus(path: Path, verify: bool) -> Inspection:
    corpus = load_corpus(path)
    if verify:
        verify_corpus(corpus)
    manifest = corpus.manifest
    return Inspection(
        kind=f"{manifest.kind}-corpus",
        complete=True,
        fingerprint=manifest.fingerprint,
        rows=manifest.n_out,
        classes=manifest.class_totals(),
        splits=manifest.splits,
    )


def _generator(path: Path, verify: bool) -> Inspection:
    from synth.generator import check_vocabulary, read_info

    info = read_info(path)
    check_vocabulary(info, path)
    return Inspection(
        kind="generator", complete=True, fingerprint=info.fingerprint, classes=info.trained_on
    )


def _report(path: Path, verify: bool) -> Inspection:
    found = read_measurements(path)
    return Inspection(kind="report", complete=True, rows=len(found.measurements))


def _release(path: Path, verify: bool) -> Inspection:
    found = read_release(path).info
    return Inspection(kind="release", complete=True, fingerprint=f"{found.real} {found.synthetic}")


Look = Callable[[Path, bool], Inspection]
_KINDS: tuple[tuple[str, str, Look], ...] = (
    (MANIFEST_NAME, "corpus", _corpus),
    (_GENERATOR_NAME, "generator", _generator),
    (MEASUREMENTS_NAME, "report", _report),
    (RELEASE_NAME, "release", _release),
)


def _kind(path: Path) -> tuple[str, Look | None]:
    for name, kind, look in _KINDS:
        if (path / name).is_file():
            return kind, look
    guesses = (
        ("data", "corpus"),
        ("unet", "generator"),
        ("figures", "report"),
        ("real", "release"),
    )
    kind = next((kind for name, kind in guesses if (path / name).is_dir()), "unknown")
    return kind, None


def _why_unknown(path: Path) -> str:
    names = ", ".join(name for name, _, _ in _KINDS)
    return f"{path} has none of {names}, one of which is written last by the command that makes it"

"""`smearkit.load`: a released dataset for training, real cells unless said otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curation.cells import SPLITS
from curation.errors import CorpusError

from .dataset_folder import open_dataset
from .release_info import RELEASE_NAME, read_release
from .repository_name import SYNTHETIC_SUFFIX, check_repository

if TYPE_CHECKING:
    import datasets


def load(
    source: str | Path,
    *,
    include_synthetic: bool = False,
    revision: str | None = None,
    cache: Path | None = None,
) -> datasets.DatasetDict:
    """Load ORG/NAME, a release folder, or a dataset folder; splits with images that decode.

    Synthetic cells come only with the word `include_synthetic`, and then into `train` alone, each
    with `origin` "synthetic": real and synthetic cells are never mixed by default. `revision` is
    the version's tag, of both repositories.

    Raises: CorpusError where the source is none, or is synthetic and was not asked for.
    """
    import datasets

    parts = _parts(source, include_synthetic)
    loaded = [_load(part, revision, cache) for part in parts]
    found = loaded[0]
    for more in loaded[1:]:
        # A column that one of them lacks is empty in its rows.
        found["train"] = datasets.concatenate_datasets([found["train"], more["train"]])
    _refuse_synthetic(found, source, include_synthetic)
    return found


def _parts(source: str | Path, include_synthetic: bool) -> list[str | Path]:
    """Return what is loaded: the real dataset first."""
    path = Path(source)
    if not path.exists():
        if isinstance(source, Path) or source.count("/") != 1:
            raise CorpusError(f"{source} is neither a folder nor ORG/NAME on the Hub")
        check_repository(source)
        return [source, source + SYNTHETIC_SUFFIX] if include_synthetic else [source]
    if (path / RELEASE_NAME).is_file():
        release = read_release(path)
        return [release.real, release.synthetic] if include_synthetic else [release.real]
    kind = open_dataset(path).manifest.kind
    if kind == "real" and include_synthetic:
        raise CorpusError(
            f"{path} holds real cells only. Next: give the release that holds both, or leave "
            "include_synthetic out"
        )
    return [path]


def _load(part: str | Path, revision: str | None, cache: Path | None) -> datasets.DatasetDict:
    import datasets

    place = None if cache is None else str(cache)
    if isinstance(part, str):
        found = datasets.load_dataset(part, revision=revision, cache_dir=place)
    else:
        files = {
            split: [str(part / shard.path) for shard in open_dataset(part).shards([split])]
            for split in SPLITS
        }
        present = {split: paths for split, paths in files.items() if paths}
        found = datasets.load_dataset("parquet", data_files=present, cache_dir=place)
    return found


def _refuse_synthetic(
    found: datasets.DatasetDict, source: str | Path, include_synthetic: bool
) -> None:
    for split, rows in found.items():
        if "origin" not in rows.column_names:
            raise CorpusError(f"{source} has no column origin: smearkit did not release it")
        synthetic = "synthetic" in set(rows.unique("origin"))
        if synthetic and split != "train":
            raise CorpusError(f"{source} holds synthetic cells in {split}, where none may stand")
        if synthetic and not include_synthetic:
            raise CorpusError(
                f"{source} holds synthetic cells. Next: say so, with include_synthetic=True"
            )

"""Publishing a generator: a model repository with its card, which diffusers loads by name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from curation.progress import Progress, silent

from .checksums import write_checksums
from .hub_account import hub_api
from .hub_folder import checked_folder
from .hub_patience import Patience
from .hub_repository import Repository
from .publication import Publication, Side, publish_sides
from .repository_name import check_repository


def publish_generator(
    folder: Path, repo: str, *, report: Path | None = None, dataset: str | None = None,
    private: bool = False, read_back: bool = False, patience: Patience | None = None,
    progress: Progress = silent,
) -> Publication:  # fmt: skip
    """Put a generator into a model repository, tagged with its fingerprint.

    `report` is what `smearkit evaluate` measured of it, `dataset` the ORG/NAME of the real cells;
    both stand in its card.

    Raises: GeneratorError where the folder is no complete generator; ReleaseRefusedError;
    PublicationError.
    """
    # torch comes with these; the generator is loaded, so that a pickle or a changed weight is seen.
    from synth.generator import load_generator
    from synth.measure.measurement import read_measurements
    from synth.named_index import name_lists

    from .model_card import write_model_repo

    check_repository(repo)
    version = load_generator(folder, device="cpu").info.fingerprint
    measured = None if report is None else read_measurements(report)
    with tempfile.TemporaryDirectory() as scratch:
        made = write_model_repo(
            folder, Path(scratch) / "model", measured, repository=repo, dataset=dataset
        )
        name_lists(made / "model_index.json")
        write_checksums(made)  # over what is there once it is whole
        repository = Repository(hub_api(), repo, "model", patience or Patience())
        side = Side(repository, checked_folder(made), private=private)
        return publish_sides([side], version, read_back=read_back, progress=progress)

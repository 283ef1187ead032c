"""Publishing a generator: its folder as a model repository, which diffusers loads by name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from curation.progress import Progress, silent

from .hub_account import hub_api
from .hub_folder import LocalFolder, local_file, plain_folder
from .hub_names import check_name
from .hub_patience import Patience
from .hub_repository import Repository
from .publication import Publication, Side, publish_sides

_LEFT_BEHIND = ("logs/",)  # of trackers, for whoever trained it


def publish_generator(
    folder: Path, repo: str, *, readme: str | None = None, private: bool = False,
    read_back: bool = False, patience: Patience | None = None, progress: Progress = silent,
) -> Publication:  # fmt: skip
    """Put a generator folder into a model repository, tagged with the generator's fingerprint.

    `readme` becomes its model card, in the place of a README.md of the folder.

    Raises: GeneratorError where the folder is no complete generator; ReleaseRefusedError;
    PublicationError.
    """
    # torch comes with it, and it refuses pickles and weights that are not its own.
    from synth.generator import load_generator

    check_name(repo)
    version = load_generator(folder, device="cpu").info.fingerprint
    with tempfile.TemporaryDirectory() as scratch:
        files = plain_folder(folder).files
        kept = {name: f for name, f in files.items() if not name.startswith(_LEFT_BEHIND)}
        if readme is not None:
            card = Path(scratch) / "README.md"
            card.write_text(readme, encoding="utf-8")
            kept["README.md"] = local_file(card)
        repository = Repository(hub_api(), repo, "model", patience or Patience())
        side = Side(repository, LocalFolder(folder, kept), private)
        return publish_sides([side], version, read_back=read_back, progress=progress)

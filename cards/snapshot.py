"""A dataset on the Hub as a local folder; without a network, as it was downloaded before."""

from __future__ import annotations

import re
from pathlib import Path

from curation.errors import ReleaseRefusedError

from .repository_name import check_repository

_NAMED = re.compile(r"(?P<repository>[^@]+)@(?P<revision>[^@]+)")


def split_name(target: str) -> tuple[str, str]:
    """Return repository and version of "ORG/NAME@1.2.0".

    Raises: ReleaseRefusedError where it is no such name.
    """
    found = _NAMED.fullmatch(target)
    if found is None:
        raise ReleaseRefusedError(
            f"{target} is neither a folder nor a dataset with its version, such as ORG/NAME@1.2.0"
        )
    check_repository(found["repository"])
    return found["repository"], found["revision"]


def snapshot(repository: str, revision: str, cache: Path | None = None) -> Path:
    """Return the folder of a dataset at a version, downloaded where it is not there yet.

    Raises: ReleaseRefusedError where it can neither be reached nor was downloaded before.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    def fetch(local: bool) -> Path:
        return Path(
            snapshot_download(
                repository, repo_type="dataset", revision=revision, local_files_only=local,
                cache_dir=None if cache is None else str(cache),
            )
        )  # fmt: skip

    try:
        return fetch(local=False)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = error
    try:
        return fetch(local=True)
    except (LocalEntryNotFoundError, OSError):
        raise ReleaseRefusedError(
            f"{repository} at {revision} cannot be reached and was not downloaded before: {reason}"
        ) from reason

"""What a repository on the Hub may be called."""

from __future__ import annotations

import re

from curation.errors import ReleaseRefusedError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LONGEST = 96  # the Hub's own limit, for ORG/NAME as a whole
SYNTHETIC = "-synthetic"


def repository_pair(repo: str) -> tuple[str, str]:
    """Return the names of the real and of the synthetic repository.

    Raises: ReleaseRefusedError where either is no name that the Hub allows.
    """
    pair = repo, repo + SYNTHETIC
    for name in pair:
        check_name(name)
    return pair


def check_name(repo: str) -> None:
    """Refuse what is no ORG/NAME of the Hub.

    Raises: ReleaseRefusedError. Source: huggingface_hub, validate_repo_id.
    """
    why = None
    if not _NAME.fullmatch(repo):
        why = "expected ORG/NAME of letters, digits, '-', '_' and '.'"
    elif len(repo) > _LONGEST:
        why = f"it has {len(repo)} characters; the Hub allows {_LONGEST}"
    elif "--" in repo or ".." in repo:
        why = "'--' and '..' are not allowed; expected ORG/NAME"
    elif any(part.endswith(("-", ".", ".git", ".ipynb")) for part in repo.split("/")):
        why = "it may not end in '-', '.', '.git' or '.ipynb'; expected ORG/NAME"
    if why is not None:
        raise ReleaseRefusedError(f"{repo!r} is no repository name: {why}")

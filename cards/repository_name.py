"""Names of repositories on the Hub that a release can go to."""

from __future__ import annotations

from curation.errors import ReleaseRefusedError

SYNTHETIC_SUFFIX = "-synthetic"


def check_repository(name: str) -> tuple[str, str]:
    """Return the repositories of the real and of the synthetic dataset.

    Raises: ReleaseRefusedError where the Hub would not take one of the two names.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    organisation, slash, own = name.partition("/")
    if not (organisation and slash and own) or "/" in own:
        raise ReleaseRefusedError(f"{name!r} is no repository name; expected ORG/NAME")
    pair = (name, name + SYNTHETIC_SUFFIX)
    for one in pair:
        try:
            validate_repo_id(one)
        except HFValidationError as error:
            raise ReleaseRefusedError(
                f"{one!r} is no repository name; expected ORG/NAME: {error}"
            ) from error
    return pair

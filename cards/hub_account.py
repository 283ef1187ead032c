"""Whose token it is, and what it may do; the token itself is never seen here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .hub_errors import HubError
from .hub_repository import Repository

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def hub_api() -> HfApi:
    """Return the Hub's client: the address of HF_ENDPOINT, the token of HF_TOKEN or the login."""
    from huggingface_hub import HfApi

    return HfApi(library_name="smearkit")


def may_write(repository: Repository) -> None:
    """Refuse a token that is missing, expired or can only read, before anything is sent.

    Raises: HubError.
    """
    from huggingface_hub import get_token

    if get_token() is None:
        raise HubError(
            "there is no token for the Hub. Next: `hf auth login`, or set HF_TOKEN", status=401
        )
    who = repository.patience.asked("asking whose token it is", repository.api.whoami)
    role = who.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HubError(
            f"the token of {who['name']} can only read. Next: take one that may write to "
            f"{repository.name.partition('/')[0]}: `hf auth login` or HF_TOKEN",
            status=403,
        )

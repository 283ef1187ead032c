"""Who holds which token, and what that lets them do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["read", "write", "none"]


@dataclass
class Account:
    """A user; `write` may write to its own namespace and those of its organisations."""

    name: str
    role: Role = "write"
    organisations: tuple[str, ...] = ("lab", "hemo")
    granted: set[str] = field(default_factory=set)  # gated repositories it was let into

    def member_of(self, namespace: str) -> bool:
        """Tell whether a namespace is its own, or one of its organisations."""
        return namespace in (self.name, *self.organisations)

    def may_write(self, namespace: str) -> bool:
        """Tell whether it may change repositories of a namespace."""
        return self.role == "write" and self.member_of(namespace)


class Accounts:
    """Tokens and whose they are; an expired one is no longer anybody's."""

    def __init__(self) -> None:
        self.by_token: dict[str, Account] = {}
        self.expired: set[str] = set()

    def add(self, token: str, account: Account) -> str:
        """Give an account a token."""
        self.by_token[token] = account
        return token

    def of(self, authorization: str | None) -> Account | None:
        """Return whose request it is; None for nobody's.

        Raises: KeyError for a token that is unknown or expired.
        """
        if not authorization:
            return None
        token = authorization.removeprefix("Bearer ")
        if token in self.expired:
            raise KeyError("expired")
        return self.by_token[token]

"""Asking again: how often, how long apart, and looking first at whether it was done already."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from curation.errors import SmearkitError

from .hub_errors import HubError, hub_failure

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request that may yet succeed is made, and the seconds between, doubled."""

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0

    def asked(self, doing: str, ask: Callable[[], Found]) -> Found:
        """Return what a request without consequences gives.

        Raises: HubError named after `doing`.
        """
        for number in range(self.tries):
            try:
                return ask()
            except SmearkitError:
                raise
            except Exception as error:
                self._wait_or_raise(hub_failure(error, doing), number, error)
        raise AssertionError("the last try returns or raises")

    def settled(
        self, doing: str, look: Callable[[], Found | None], act: Callable[[], object]
    ) -> Found:
        """Return what `look` finds, calling `act` until it finds something.

        An answer may be lost after the work was done, so each try looks before it acts.

        Raises: HubError named after `doing`; whatever SmearkitError either raises.
        """
        for number in range(self.tries):
            try:
                found = look()
                if found is None:
                    act()
                    found = look()
                if found is not None:
                    return found
                failure, cause = HubError(
                    f"{doing}: the Hub said yes, and it is not there. Next: run the same command "
                    "again",
                    transient=True,
                ), None  # fmt: skip
            except SmearkitError:
                raise
            except Exception as error:
                failure, cause = hub_failure(error, doing), error
            self._wait_or_raise(failure, number, cause)
        raise AssertionError("the last try returns or raises")

    def _wait_or_raise(self, failure: HubError, number: int, cause: Exception | None) -> None:
        if not failure.transient or number + 1 >= self.tries:
            raise failure from cause
        wait_s = failure.wait_s
        if wait_s is None:
            wait_s = self.first_wait_s * 2**number
        time.sleep(min(wait_s, self.longest_wait_s))

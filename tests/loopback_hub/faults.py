"""Faults that are planted: at a chosen request, or at the n-th of all."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "drop", "drop_after", "call", "call_after"]


@dataclass
class Fault:
    """What happens to requests that fit: `method` and `path` (a regular expression, searched).

    `status` answers with a status, `drop` closes the connection before anything was done,
    `drop_after` when all was done and before the answer, `call` and `call_after` run something
    then. It begins at the `nth` request that fits (1 is the first) and holds for `times` of them.
    """

    kind: Kind
    path: str = ""
    method: str = ""
    status: int = 500
    message: str = "a planted fault"
    headers: dict[str, str] = field(default_factory=dict)
    nth: int = 1
    times: int = 1
    call: Callable[[], object] | None = None
    seen: int = 0
    struck: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a request; tell whether the fault falls on it."""
        if (self.method and method != self.method) or not re.search(self.path, path):
            return False
        self.seen += 1
        if not self.nth <= self.seen < self.nth + self.times:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults that are planted now."""

    def __init__(self) -> None:
        self._planted: list[Fault] = []
        self._lock = threading.Lock()

    def plant(self, fault: Fault) -> Fault:
        """Plant a fault; it is returned, so that a test can see whether it struck."""
        with self._lock:
            self._planted.append(fault)
        return fault

    def clear(self) -> None:
        """Pull all faults."""
        with self._lock:
            self._planted.clear()

    def striking(self, method: str, path: str) -> Fault | None:
        """Return the first fault that falls on a request; each counts it."""
        with self._lock:
            hit = [fault for fault in self._planted if fault.strikes(method, path)]
        return hit[0] if hit else None

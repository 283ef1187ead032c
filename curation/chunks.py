"""Items in lists of a size, as `itertools.batched` of Python 3.12 gives tuples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group

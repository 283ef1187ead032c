"""The candidates of few cells are what comparing every code with every other one gives."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.dedupe import candidates as module
from curation.dedupe.candidates import MOST_TRIES, Candidates, find_candidates
from curation.dedupe.model import CODE_SIZE

GATE = 2.0


@pytest.fixture
def codes() -> NDArray[np.float16]:
    """80 cells in 8 crowds; of some, keypoints are missing."""
    rng = np.random.default_rng(4)
    crowds = rng.normal(scale=3.0, size=(8, 1, 3, CODE_SIZE))
    made = (crowds + rng.normal(size=(8, 10, 3, CODE_SIZE))).reshape(-1, 3, CODE_SIZE)
    made[::7, 2] = np.nan
    made[::13] = np.nan
    return made.astype(np.float16)


def plainly(codes: NDArray[np.float16], most: int, known: int) -> tuple[dict[str, object], int]:
    """Return the pairs of cells with their nearest pairs of keypoints, and how many were cut."""
    flat = codes.reshape(-1, CODE_SIZE).astype(np.float64)
    near: dict[tuple[int, int], float] = {}
    cut_off = 0
    for one in range(known * 3, len(flat)):
        distance = np.sqrt(((flat - flat[one]) ** 2).mean(axis=1))
        others = [row for row in np.argsort(distance) if distance[row] <= GATE and row != one]
        cut_off += len(others) > most - 1
        for other in others[:most]:
            near[min(one, int(other)), max(one, int(other))] = float(distance[other])
    pairs: dict[str, object] = {}
    for (one, other), _ in sorted(near.items(), key=lambda item: item[1]):
        if one // 3 != other // 3:
            found = pairs.setdefault(f"{one // 3} {other // 3}", [])
            assert isinstance(found, list)
            if len(found) < MOST_TRIES:
                found.append((one % 3, other % 3))
    return pairs, cut_off


@pytest.mark.parametrize(("most", "known"), [(64, 0), (64, 50), (4, 0), (4, 50)])
def test_few_codes_are_all_compared(
    codes: NDArray[np.float16], most: int, known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CANDIDATES", most)
    monkeypatch.setattr(module, "_FLAT_BLOCK", 100)
    monkeypatch.setattr(module, "_ADDED_BLOCK", 70)
    monkeypatch.setattr(module, "_RANGE_CELLS", 7)
    found = find_candidates(codes, known=known, gate=GATE)
    pairs: dict[str, list[tuple[int, int]]] = {}
    for row in range(len(found)):
        ends = f"{found.first[row]} {found.second[row]}"
        assert found.tries[row] == len(pairs.setdefault(ends, []))
        pairs[ends].append((int(found.first_keypoint[row]), int(found.second_keypoint[row])))
    expected, cut_off = plainly(codes, most, known)
    assert len(expected) > 50
    assert pairs == expected
    assert (found.cut_off, cut_off > 0) == (cut_off, most == 4)


def test_the_inverted_file_is_the_same_however_many_codes_enter_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(5)
    crowds = rng.normal(scale=3.0, size=(300, 1, 3, CODE_SIZE))
    made = (crowds + rng.normal(size=(300, 10, 3, CODE_SIZE))).reshape(-1, 3, CODE_SIZE)
    codes = made.astype(np.float16)
    assert 3 * len(codes) > module.ALL_PAIRS_UP_TO, "else there is no inverted file"

    def found(added: int, cells: int) -> Candidates:
        monkeypatch.setattr(module, "_ADDED_BLOCK", added)
        monkeypatch.setattr(module, "_RANGE_CELLS", cells)
        return find_candidates(codes, gate=GATE)

    whole, parts = found(10**9, 10**9), found(4096, 64)
    assert len(whole) > 10_000
    for field in fields(Candidates):
        one, other = getattr(whole, field.name), getattr(parts, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name, strict=True)


def test_to_sort_what_was_met_takes_less_memory_than_it_has() -> None:
    count, per_cell = 400_000, 3
    rng = np.random.default_rng(6)
    first = np.sort(rng.integers(0, per_cell * (count - 20), 2_000_000)).astype(np.int32)
    second = first + rng.integers(per_cell, 20 * per_cell, len(first)).astype(np.int32)
    squared = rng.random(len(first), np.float32)
    met = first.nbytes + second.nbytes + squared.nbytes
    parts: list[module._Part] = [(first, second, squared)]
    tracemalloc.start()
    try:
        found = module._candidates(parts, count, per_cell, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) > 1_000_000
    held = sum(getattr(found, field.name).nbytes for field in fields(found) if field.type != "int")
    # The result is held twice while its ranges are joined. All at once takes 3.5 times as much.
    assert peak < 2 * held + met

"""The gate `licence`: every row may be passed on under the licence of the release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pyarrow.compute as pc

from .candidate import Candidate
from .gate import Gate
from .license_terms import refusal, split_licenses, terms_of


def licence(candidate: Candidate) -> Gate:
    """No row is under a licence that forbids to release it, as this one does."""
    counts: Counter[str | None] = Counter()
    for corpus in (candidate.real, candidate.synthetic):
        found = pc.value_counts(corpus.rows(["license"])["license"].combine_chunks())
        counts.update({entry["values"]: entry["counts"] for entry in found.to_pylist()})
    silent = counts.pop(None, 0)
    stated = {text: rows for text, rows in counts.items() if text is not None}
    for text, rows in sorted(stated.items()):
        # A release whose licence is not known offers at least what its rows do.
        offered = text if candidate.license == "unknown" else candidate.license
        for one in split_licenses(text):
            if why := refusal(one, offered):
                detail = (
                    f"{rows} cells are under {one}, which {why}. Curate without them, give "
                    "the licence that fits with --license, or ask who holds the rights"
                )
                return Gate(name="licence", state="failed", detail=detail)
    return _open_questions(candidate, stated, silent)


def _open_questions(candidate: Candidate, counts: Mapping[str, int], silent: int) -> Gate:
    said = []
    if silent:
        said.append(f"{silent} cells state no licence")
    stated = {one for text in (*counts, candidate.license) for one in split_licenses(text)}
    odd = sorted(one for one in stated - {"unknown"} if terms_of(one) is None)
    if odd:
        said.append(f"{', '.join(odd)} is no SPDX id whose terms are known here: a person reads it")
    limited = sorted(one for one in stated if "non-commercial" in (terms_of(one) or ()))
    if limited:
        said.append(f"{', '.join(limited)} allows no commercial use, nor do these datasets")
    if said:
        return Gate(name="licence", state="warned", detail="; ".join(said))
    found = ", ".join(sorted(counts)) or candidate.license
    detail = f"rows under {found} may be released under {candidate.license}, by their SPDX ids"
    return Gate(name="licence", state="passed", detail=detail)

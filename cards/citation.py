"""How a release is cited: `CITATION.cff` (Citation File Format 1.2.0) and BibTeX for the card."""

from __future__ import annotations

import re
from typing import Any

import yaml

from .license_terms import spdx_id, split_licenses
from .release_record import ReleaseRecord

CITATION_NAME = "CITATION.cff"
_ANONYMOUS = "The maintainers of the dataset"


def citation_file(record: ReleaseRecord) -> str:
    """Return the text of `CITATION.cff`."""
    title = record.name if record.kind == "real" else f"{record.name} (synthetic)"
    values: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it as below.",
        "type": "dataset",
        "title": title,
        "version": record.version,
        "date-released": record.date,
        "authors": _authors(record),
        "keywords": ["blood smear", "haematology", "microscopy", f"{record.kind} cells"],
    }
    licenses = [known for part in split_licenses(record.license) if (known := spdx_id(part))]
    # The format takes SPDX ids only; `unknown` and own terms are told in the card.
    licenses = [one for one in licenses if not one.startswith("LicenseRef-")]
    if licenses:
        values["license"] = licenses[0] if len(licenses) == 1 else licenses
    if record.about.doi:
        values["doi"] = record.about.doi
    if record.own_repository:
        values["repository"] = f"https://huggingface.co/datasets/{record.own_repository}"
    if record.about.homepage:
        values["url"] = record.about.homepage
    if record.source:
        values["abstract"] = _abstract(record)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def _abstract(record: ReleaseRecord) -> str:
    what = "Single blood cells from smears" if record.kind == "real" else "Synthetic blood cells"
    return f"{what}; real cells from: {record.source}"


def _authors(record: ReleaseRecord) -> list[dict[str, str]]:
    if not record.about.creators:
        return [{"name": _ANONYMOUS}]
    authors = []
    for creator in record.about.creators:
        names = {
            "name": creator.name, "family-names": creator.family_names,
            "given-names": creator.given_names, "orcid": creator.orcid,
            # An organisation has no affiliation in the format.
            "affiliation": creator.affiliation if creator.name is None else None,
        }  # fmt: skip
        authors.append({key: value for key, value in names.items() if value is not None})
    return authors


def citation_lines(record: ReleaseRecord) -> str:
    """Return the BibTeX entry of a release."""
    # What stands in braces of its own is no person's name, and is not turned around.
    names = " and ".join(
        creator.full_name if creator.name is None else f"{{{creator.full_name}}}"
        for creator in record.about.creators
    )
    title = record.name if record.kind == "real" else f"{record.name} (synthetic)"
    fields = {
        "title": f"{{{title}}}",
        "author": names or f"{{{_ANONYMOUS}}}",
        "year": record.date[:4],
        "version": record.version,
        "doi": record.about.doi,
        "url": (
            f"https://huggingface.co/datasets/{record.own_repository}"
            if record.own_repository
            else record.about.homepage
        ),
    }
    key = re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-") or "cells"
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key}-{record.version},", *lines, "}"])

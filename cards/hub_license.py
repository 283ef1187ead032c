"""Licences as the Hub spells them in the head of a card."""

from __future__ import annotations

from typing import Any

from .license_terms import spdx_id, split_licenses

_HUB_IDS = frozenset(
    [
        "apache-2.0",
        "mit",
        "afl-3.0",
        "artistic-2.0",
        "bsl-1.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "c-uda",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cdla-sharing-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "wtfpl",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "agpl-3.0",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "isc",
        "intel-research",
        "lppl-1.3c",
        "ms-pl",
        "mpl-2.0",
        "odc-by",
        "odbl",
        "openrail",
        "osl-3.0",
        "postgresql",
        "ofl-1.1",
        "ncsa",
        "unlicense",
        "zlib",
        "pddl",
        "unknown",
        "other",
    ]
)
_SPELLED = {
    "odbl-1.0": "odbl", "odc-by-1.0": "odc-by", "pddl-1.0": "pddl", "gpl-2.0-only": "gpl-2.0",
    "gpl-3.0-only": "gpl-3.0", "agpl-3.0-only": "agpl-3.0", "lgpl-3.0-only": "lgpl-3.0",
    "gpl-2.0-or-later": "gpl-2.0", "gpl-3.0-or-later": "gpl-3.0",
    "agpl-3.0-or-later": "agpl-3.0",
}  # fmt: skip


def license_head(text: str) -> dict[str, Any]:
    """Return the keys `license` and, where the Hub has no id for it, `license_name`."""
    ids = [_hub_id(part) for part in split_licenses(text)]
    if ids and all(ids):
        return {"license": ids[0] if len(ids) == 1 else ids}
    return {"license": "other", "license_name": text}


def _hub_id(text: str) -> str | None:
    spelled = (spdx_id(text) or text).casefold()
    spelled = _SPELLED.get(spelled, spelled)
    return spelled if spelled in _HUB_IDS else None


def license_url(text: str) -> str:
    """Return where a licence can be read: SPDX' page, or the text itself where it has none."""
    known = spdx_id(text)
    if known is None or known.startswith("LicenseRef-"):
        return text
    return f"https://spdx.org/licenses/{known}"

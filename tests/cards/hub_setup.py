"""What the tests of publishing share: patience that does not wait, and looks at a Hub's state."""

from __future__ import annotations

from cards.hub_patience import Patience
from tests.loopback_hub import LoopbackHub

QUICK = Patience(tries=4, first_wait_s=0.01, longest_wait_s=0.02)
REPO = "lab/cells"
BOTH = ("cells", "cells-synthetic")


def tags(hub: LoopbackHub, name: str = "cells", kind: str = "datasets") -> list[str]:
    """Return the version tags of a repository."""
    return sorted(hub.repository(kind, "lab", name).refs("refs/tags/"))


def main_titles(hub: LoopbackHub, name: str = "cells") -> list[str]:
    """Return the titles of the commits on main, the newest first."""
    found = hub.repository("datasets", "lab", name)
    return [title for _, title, _, _ in found.log(str(found.sha("main")))]


def paths(hub: LoopbackHub, revision: str = "main", name: str = "cells") -> set[str]:
    """Return the files of a revision, without the Hub's own."""
    found = hub.repository("datasets", "lab", name)
    entries = found.entries(str(found.sha(revision)))
    return {entry.path for entry in entries if entry.kind == "file"} - {".gitattributes"}


def branches(hub: LoopbackHub, name: str = "cells") -> list[str]:
    """Return the branches of a repository."""
    return sorted(hub.repository("datasets", "lab", name).refs("refs/heads/"))


def open_pulls(hub: LoopbackHub, name: str = "cells") -> int:
    """Return how many pull requests are open."""
    pulls = hub.repository("datasets", "lab", name).settings["pulls"]
    return sum(pull["status"] == "open" for pull in pulls)

"""Publishing in a process of its own, which a test may kill: forked from one that imported all."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

# What a fork does not have to import again.
PRELOADED = [
    "datasets", "huggingface_hub.hf_api", "huggingface_hub.hf_file_system", "hf_xet",
    "cards.publication", "datasets.packaged_modules.parquet.parquet", "tests.e2e.publisher",
]  # fmt: skip


class Publisher:
    """One `publish` in a process; what it returned or raised comes as a text."""

    def __init__(self, release: Path, repo: str, environment: Mapping[str, str]) -> None:
        self._heard, said = context().Pipe(duplex=False)
        self.process: ForkServerProcess = context().Process(
            target=_publish, args=(str(release), repo, dict(environment), said)
        )
        self.process.start()
        said.close()

    def kill(self) -> None:
        """End it as the kernel would, at once."""
        self.process.kill()

    def outcome(self) -> str:
        """Wait; return "published", "already", or the name and text of an error, or "killed"."""
        try:
            text = str(self._heard.recv())
        except EOFError:
            text = "killed"
        self.process.join()
        self.process.close()
        return text


def context() -> multiprocessing.context.ForkServerContext:
    """Return the context whose server has imported what publishing needs."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOADED)
    return found


def _publish(release: str, repo: str, environment: dict[str, str], said: Connection) -> None:
    point_at(environment)
    from cards.hub_patience import Patience
    from cards.publication import publish

    try:
        made = publish(Path(release), repo, patience=Patience(tries=4, first_wait_s=0.05))
        said.send("already" if made.already else "published")
    except Exception as error:
        said.send(f"{type(error).__name__}: {error}")


def point_at(environment: Mapping[str, str]) -> None:
    """Let clients that were imported in the server of forks see the Hub of this environment."""
    import datasets
    from huggingface_hub import constants

    os.environ.update(environment)
    base, home = environment["HF_ENDPOINT"], Path(environment["HF_HOME"])
    constants.ENDPOINT = base
    constants.HUGGINGFACE_CO_URL_TEMPLATE = base + "/{repo_id}/resolve/{revision}/{filename}"
    constants.HF_HUB_CACHE = str(home / "hub")
    constants.HF_HUB_DISABLE_XET = environment.get("HF_HUB_DISABLE_XET") == "1"
    datasets.config.HF_ENDPOINT = base
    datasets.config.HF_DATASETS_CACHE = home / "datasets"
    datasets.config.HF_MODULES_CACHE = str(home / "modules")

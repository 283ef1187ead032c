"""Points the Hub clients of this process at a Hub on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from .core import HubCore


def use_hub(patch: pytest.MonkeyPatch, hub: HubCore, home: Path, token: str, xet: bool) -> None:
    """Let huggingface_hub and datasets, imported or not, talk to this Hub as a token's holder.

    They read HF_ENDPOINT when they are imported; what they made of it then is replaced.
    """
    import datasets
    from huggingface_hub import constants, hf_api

    patch.setenv("HF_ENDPOINT", hub.base)
    patch.setenv("HF_TOKEN", token)
    patch.setattr(constants, "ENDPOINT", hub.base)
    patch.setattr(hf_api.api, "endpoint", hub.base)
    template = hub.base + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_XET_CACHE", str(home / "xet"), raising=False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", not xet)
    patch.setattr(datasets.config, "HF_ENDPOINT", hub.base)
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    patch.setattr(datasets.config, "HF_MODULES_CACHE", str(home / "modules"))

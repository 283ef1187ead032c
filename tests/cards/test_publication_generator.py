"""A generator as a model repository, loaded by diffusers from the Hub on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, snapshot_download

from cards.publication_generator import publish_generator
from curation.errors import GeneratorError
from synth.generator import load_generator
from synth.named_index import index_sha256, name_lists
from tests.cards.hub_setup import QUICK, tags
from tests.loopback_hub import TOKEN, LoopbackHub, use_hub
from tests.made import Made


def test_diffusers_loads_what_was_published(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import DiffusionPipeline

    fingerprint = made.generator.info.fingerprint
    with LoopbackHub(tmp_path / "hub").running() as hub:
        use_hub(monkeypatch, hub, tmp_path / "home", TOKEN, xet=True)
        sent = publish_generator(
            made.generator.path, "lab/drawn", dataset="lab/cells", patience=QUICK
        )
        assert sent.version == fingerprint
        assert tags(hub, "drawn", "models") == [fingerprint]
        card = ModelCard.load("lab/drawn")
        assert card.data.library_name == "diffusers"
        assert card.data.datasets == ["lab/cells"]
        pipeline = DiffusionPipeline.from_pretrained(
            "lab/drawn", revision=fingerprint, trust_remote_code=True,
            cache_dir=str(tmp_path / "loaded"),
        )  # fmt: skip
        (image,) = pipeline(["basophil"], seeds=[3], num_inference_steps=2).images
        here = made.generator.pipeline(["basophil"], seeds=[3], num_inference_steps=2).images[0]
        assert image.tobytes() == here.tobytes()
        # And smearkit knows it for the one that was published.
        folder = snapshot_download("lab/drawn", revision=fingerprint)
        assert load_generator(folder).info == made.generator.info
        again = publish_generator(
            made.generator.path, "lab/drawn", dataset="lab/cells", patience=QUICK
        )
        assert again.already


def test_a_list_and_its_names_are_one_generator(made: Made, tmp_path: Path) -> None:
    index = Path(shutil.copy(made.generator.path / "model_index.json", tmp_path))
    before, listed = index_sha256(index), json.loads(index.read_bytes())
    assert before == hashlib.sha256(index.read_bytes()).hexdigest()
    name_lists(index)
    named = json.loads(index.read_bytes())
    assert index_sha256(index) == before
    assert [key for key, value in named.items() if value == []] == []
    assert list(named["labels"]) == listed["labels"]
    changed = named | {"labels": dict(reversed(named["labels"].items()))}
    index.write_text(json.dumps(changed, indent=2) + "\n")
    assert index_sha256(index) != before


def test_what_is_no_generator(tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match="no complete generator"):
        publish_generator(tmp_path, "lab/drawn", patience=QUICK)

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from curation.corpus import file_sha256
from curation.errors import MeasurementError
from synth.measure import extractor_dinov2
from synth.measure.extractor import Extractor, Network
from synth.measure.extractor_dinov2 import dinov2_extractor
from synth.measure.extractor_image import IMAGENET_MEAN, IMAGENET_STD
from synth.measure.extractor_onnx import efficientnet_lite_extractor, onnx_extractor
from synth.measure.extractors import FROM_PATH, open_extractor
from synth.measure.features import EXTRACTOR_NAME
from synth.measure.inception import InceptionWeights
from tests.synth.measure.fake_extractor import DIMENSIONS, fake_extractor
from tests.synth.measure.tiny_onnx import pooled_model

FAKE = InceptionWeights(Path("none"), "0123456789abcdef" * 4, "a test")


def _grey(value: int, side: int = 20) -> NDArray[np.uint8]:
    return np.full((side, side, 3), value, np.uint8)


def _no_inception() -> InceptionWeights:
    raise AssertionError("Inception is not asked for")


def test_the_text_names_the_weights() -> None:
    assert fake_extractor().text == "fake sha256:abababababab"


def test_no_network_is_opened_for_no_image() -> None:
    def refuse() -> Network:
        raise AssertionError("opened")

    unopened = Extractor("x", "ab", "", 3, fake_extractor().prepare, refuse)
    assert unopened.features([], 0).shape == (0, 3)


def test_features_of_another_size_than_said_are_refused() -> None:
    made = fake_extractor()
    wrong = Extractor("x", "ab" * 32, "", 7, made.prepare, made.open_network)
    with pytest.raises(MeasurementError, match=r"gave \(2, 5\) float32 for 2 images; \(2, 7\)"):
        wrong.features([_grey(1), _grey(2)], 2)


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(MeasurementError, match=r"\(0, 4, 3\)"):
        fake_extractor().features([np.zeros((0, 4, 3), np.uint8)], 1)


def test_inception_is_the_extractor_of_that_name() -> None:
    found = open_extractor("inception", lambda: FAKE)
    assert (found.name, found.sha256, found.dimensions) == (EXTRACTOR_NAME, FAKE.sha256, 2048)


@pytest.mark.parametrize("name", ["resnet", "dinov2", "dinov2:", "resnet:/x", ""])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(MeasurementError, match="no extractor is called") as caught:
        open_extractor(name, _no_inception)
    for kind in FROM_PATH:
        assert f"{kind}:PATH" in str(caught.value)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("batch", [None, 3])
def test_an_onnx_file_gives_its_own_features(
    tmp_path: Path, channels_last: bool, batch: int | None
) -> None:
    file = tmp_path / "patient-name.onnx"
    file.write_bytes(pooled_model(batch, 8, 6, channels_last))
    found = open_extractor(f"onnx:{file}", _no_inception)
    assert (found.name, found.sha256, found.dimensions) == ("onnx", file_sha256(file), 3)
    assert "6 x 8 px" in found.pipeline
    # The model averages over places: a grey image's mean is its grey, in ImageNet's range.
    rows = found.features([_grey(0), _grey(100), _grey(255), _grey(7)], 4)
    greys = np.array([0, 100, 255, 7])[:, None] / 255
    expected = (greys - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert "patient" not in found.text + found.pipeline


def test_efficientnet_lite_has_its_own_range(tmp_path: Path) -> None:
    file = tmp_path / "lite.onnx"
    file.write_bytes(pooled_model(None, 8, 8, channels_last=True))
    found = efficientnet_lite_extractor(file)
    np.testing.assert_allclose(found.features([_grey(255)], 1), [[1, 1, 1]])
    assert found.pipeline != onnx_extractor(file).pipeline


def test_an_onnx_file_that_leaves_the_side_open_takes_224_px(tmp_path: Path) -> None:
    file = tmp_path / "open.onnx"
    file.write_bytes(pooled_model(None, None, None, channels_last=False))
    assert "224 x 224 px" in onnx_extractor(file).pipeline


def test_a_damaged_onnx_file_is_named(tmp_path: Path) -> None:
    whole = pooled_model(None, 8, 8, channels_last=False)
    file = tmp_path / "short.onnx"
    for data in (whole[: len(whole) // 2], b"", b"no model at all" * 9):
        file.write_bytes(data)
        with pytest.raises(MeasurementError, match="cannot be opened as an ONNX network"):
            onnx_extractor(file)
    with pytest.raises(MeasurementError, match="no such file"):
        onnx_extractor(tmp_path / "gone.onnx")


def test_an_onnx_file_that_takes_no_images_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "four.onnx"
    file.write_bytes(pooled_model(None, 8, 8, channels_last=False, channels=4))
    with pytest.raises(MeasurementError, match="no axis has the 3 channels"):
        onnx_extractor(file)


class _Mean(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_dinov2_as_torchscript(tmp_path: Path) -> None:
    file = tmp_path / "backbone.pt"
    torch.jit.script(_Mean()).save(str(file))  # type: ignore[no-untyped-call]
    found = dinov2_extractor(file)
    assert (found.name, found.sha256, found.dimensions) == ("dinov2", file_sha256(file), 3)
    rows = found.features([_grey(255)], 1)
    expected = (1 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(rows, expected[None], rtol=1e-5)


def test_bare_parameters_are_no_network(tmp_path: Path) -> None:
    file = tmp_path / "state.pth"
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(MeasurementError, match="bare parameters"):
        dinov2_extractor(file)
    with pytest.raises(MeasurementError, match="neither a DINOv2 folder nor"):
        dinov2_extractor(tmp_path / "gone.pt")


def _folder(tmp_path: Path, config: object) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_dinov2_folder_needs_its_files_and_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MeasurementError, match=r"it has no model\.safetensors"):
        dinov2_extractor(tmp_path)
    folder = _folder(tmp_path, {"hidden_size": 3})
    monkeypatch.setattr(extractor_dinov2, "find_spec", lambda name: None)
    with pytest.raises(MeasurementError, match="pip install transformers"):
        dinov2_extractor(folder)


def test_a_dinov2_folder_is_opened_locally_and_gives_the_class_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers itself is not needed here: what it is asked for is."""
    asked: dict[str, object] = {}

    class Model:
        def eval(self) -> Model:
            return self

        def __call__(self, pixel_values: torch.Tensor) -> object:
            means = pixel_values.mean(dim=(2, 3))
            tokens = torch.stack([means, torch.full_like(means, 9)], dim=1)
            return types.SimpleNamespace(last_hidden_state=tokens)

    def from_pretrained(path: str, **options: object) -> Model:
        asked.update(options, path=path)
        return Model()

    stand_in = types.ModuleType("transformers")
    stand_in.AutoModel = types.SimpleNamespace(from_pretrained=from_pretrained)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", stand_in)
    monkeypatch.setattr(extractor_dinov2, "find_spec", lambda name: object())
    folder = _folder(tmp_path, {"hidden_size": 3})
    found = dinov2_extractor(folder)
    assert asked == {}
    rows = found.features([_grey(255)], 1)
    expected = (1 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(rows, expected[None], rtol=1e-5)
    assert asked == {
        "path": str(folder),
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": False,
    }
    before = found.sha256
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert dinov2_extractor(folder).sha256 != before


def test_a_config_without_a_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor_dinov2, "find_spec", lambda name: object())
    with pytest.raises(MeasurementError, match="says no hidden_size"):
        dinov2_extractor(_folder(tmp_path, {}))


def test_the_fake_has_the_size_it_says() -> None:
    assert fake_extractor().features([_grey(3)], 1).shape == (1, DIMENSIONS)

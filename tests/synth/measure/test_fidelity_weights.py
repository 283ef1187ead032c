from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from curation.errors import MeasurementError
from synth.measure.inception import FILE_NAME, find_inception, open_inception

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[4] / "shared" / "weights"


@pytest.mark.e2e
@pytest.mark.skipif(find_spec("torch_fidelity") is None, reason="needs torch-fidelity")
def test_torch_fidelity_computes_the_same_features_from_the_written_file(tmp_path: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    from scripts.fidelity_weights import write_fidelity_weights

    named = Path(os.environ.get("SMEARKIT_INCEPTION", BESIDE_THE_CHECKOUT))
    try:
        hook: Any = open_inception(find_inception(named if (named / FILE_NAME).is_file() else None))
    except MeasurementError:
        pytest.skip("no Inception network here; SMEARKIT_INCEPTION may name its folder")
    file = tmp_path / "weights.pth"
    write_fidelity_weights(hook.layers, file)
    theirs = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(file)
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(images)[0], hook(images.float()), rtol=0, atol=1e-5)

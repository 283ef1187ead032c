"""Tests of the acquisitions: a planted one is found, and a class bound to it is named."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from curation.errors import SmearkitError
from curation.glance import Glances
from curation.tiles import shrink
from curation.validate.acquisition import Acquisitions, find_acquisitions
from curation.validate.acquisition_report import AcquisitionReport, confounding
from curation.validate.appearance import APPEARANCE_COLUMNS, appearance_columns
from tests.made_cells import BLUE_GREY, CREAM, RADII, made_glances

CELLS = Path(__file__).resolve().parents[3] / "shared" / "data"
Floats = NDArray[np.float32]
N = 240


def column(rows: Floats, name: str) -> Floats:
    return np.asarray(rows[:, APPEARANCE_COLUMNS.index(name)])


def mixed(share_elsewhere: float = 0.2, bound: str | None = None) -> tuple[Floats, list[str]]:
    """Return the appearance of cells of which some lie in a second acquisition, whatever they are.

    Where a class is `bound`, all of it lies there and nothing else.
    """
    rng = np.random.default_rng(1)
    labels = [list(RADII)[i % len(RADII)] for i in range(N)]
    elsewhere = [
        label == bound if bound else bool(rng.random() < share_elsewhere) for label in labels
    ]
    glances = made_glances(labels, [BLUE_GREY if there else CREAM for there in elsewhere])
    return appearance_columns(glances), labels


def report(rows: Floats, labels: list[str]) -> AcquisitionReport:
    return confounding(rows, labels, find_acquisitions(rows))


def by_label(found: AcquisitionReport, label: str) -> tuple[float, float, bool]:
    entry = next(entry for entry in found.classes if entry.label == label)
    return entry.share, entry.others, entry.confounded


# --- appearance ---


def test_the_background_is_measured_and_not_the_cell() -> None:
    small, large = (
        appearance_columns(made_glances([label] * 8, [CREAM] * 8))
        for label in ("platelet", "monocyte")
    )
    for name, level in zip(("red", "green", "blue"), CREAM, strict=True):
        expected = np.log(256 / (level + 1))
        for rows in (small, large):
            np.testing.assert_allclose(column(rows, f"background_{name}"), expected, atol=0.02)


def test_a_turned_picture_looks_the_same() -> None:
    glances = made_glances(["monocyte"] * 4, [CREAM] * 4)
    turned = replace(glances, tiles_NHWC=np.ascontiguousarray(glances.tiles_NHWC[:, ::-1, ::-1]))
    one, other = appearance_columns(glances), appearance_columns(turned)
    # Other pixels of the grain are looked at, so colours agree to its mean.
    np.testing.assert_allclose(one[:, :5], other[:, :5], atol=0.002)
    certain = column(one, "stain_certainty")
    assert (certain < 0.1).all(), "one dye alone"
    for rows in (one, other):
        rows[:, 7:10] *= column(rows, "stain_certainty")[:, None]
    np.testing.assert_allclose(one[:, 7:10], other[:, 7:10], atol=0.02)


def test_size_and_codec_stand_beside_the_colours() -> None:
    glances = made_glances(["monocyte"] * 3, [CREAM] * 3)
    sizes = np.array([[360, 363], [96, 80], [5, 7]], np.int32)
    rows = appearance_columns(Glances(glances.tiles_NHWC, sizes, ("jpeg", "png", "webp")))
    assert column(rows, "width").tolist() == [360, 96, 5]
    assert column(rows, "height").tolist() == [363, 80, 7]
    assert column(rows, "codec").tolist() == [0, 1, 2]


def test_uneven_light_and_grain_are_seen() -> None:
    glances = made_glances(["platelet"] * 2, [CREAM] * 2)
    tiles = glances.tiles_NHWC.astype(np.float64)
    tiles[0] -= np.linspace(0, 12, 96)[None, :, None]
    tiles[1] += np.random.default_rng(0).normal(0, 5, tiles[1].shape)
    rows = appearance_columns(replace(glances, tiles_NHWC=tiles.clip(0, 255).astype(np.uint8)))
    plain = appearance_columns(glances)
    assert column(rows, "background_slope")[0] > column(plain, "background_slope")[0] + 3
    assert column(rows, "background_noise")[1] > 1.5 * column(plain, "background_noise")[1]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_pictures_of_one_colour_have_finite_columns(level: int) -> None:
    tiles = np.full((2, 96, 96, 3), level, np.uint8)
    rows = appearance_columns(Glances(tiles, np.full((2, 2), 96, np.int32), ("png", "png")))
    assert np.isfinite(rows).all()


def test_cells_of_one_dye_do_not_stand_apart_by_their_stain() -> None:
    rows, _ = mixed(share_elsewhere=0.0)
    normal = [APPEARANCE_COLUMNS.index(f"stain_normal_{c}") for c in ("red", "green", "blue")]
    rows[:, normal] = (-0.7, 0.6, -0.4)
    rows[::3, normal] = (0.6, -0.1, 0.8)
    rows[:, APPEARANCE_COLUMNS.index("stain_certainty")] = 0.9
    assert find_acquisitions(rows).n_clusters == 2, "another stain, and certain"
    rows[::3, APPEARANCE_COLUMNS.index("stain_certainty")] = 0.02
    assert find_acquisitions(rows).n_clusters == 1


# --- clusters ---


def test_a_second_acquisition_is_found() -> None:
    rows, _ = mixed()
    there = column(rows, "background_red") > 0.08
    found = find_acquisitions(rows)
    assert found.n_clusters == 2
    np.testing.assert_array_equal(found.cluster == 1, there)
    assert found.sizes().tolist() == [int((~there).sum()), int(there.sum())]


def test_one_acquisition_stays_one() -> None:
    rows, _ = mixed(share_elsewhere=0.0)
    assert find_acquisitions(rows).n_clusters == 1


def test_a_drift_without_a_gap_is_one_acquisition() -> None:
    rows, _ = mixed(share_elsewhere=0.0)
    rows = np.tile(rows, (6, 1))
    rng = np.random.default_rng(0)
    rows[:, :3] += np.linspace(0, 0.2, len(rows))[:, None] + rng.normal(0, 0.01, (len(rows), 3))
    assert find_acquisitions(rows).n_clusters == 1


def test_another_size_of_file_is_another_acquisition() -> None:
    rows, _ = mixed(share_elsewhere=0.0)
    rows[::4, APPEARANCE_COLUMNS.index("width")] = 366
    found = find_acquisitions(rows)
    assert found.n_clusters == 2
    assert (found.cluster[::4] == 1).all()


def test_cuts_of_every_size_are_no_acquisitions() -> None:
    rows, _ = mixed(share_elsewhere=0.0)
    rows[:, APPEARANCE_COLUMNS.index("width")] = np.arange(len(rows))
    assert find_acquisitions(rows).n_clusters == 1


def test_clusters_are_the_same_every_time_and_need_no_labels() -> None:
    rows, _ = mixed()
    many = np.tile(rows, (40, 1))  # more than the sample that the clusters are found on
    one, other = find_acquisitions(many), find_acquisitions(many)
    np.testing.assert_array_equal(one.cluster, other.cluster)
    np.testing.assert_array_equal(one.cluster, np.tile(find_acquisitions(rows).cluster, 40))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_handful_is_one_acquisition(n: int) -> None:
    rows, _ = mixed()
    assert find_acquisitions(rows[:n]).n_clusters == min(n, 1)


def test_rows_that_are_not_of_pictures_are_refused() -> None:
    rows, _ = mixed()
    with pytest.raises(SmearkitError, match=r"expected \(n, 14\)"):
        find_acquisitions(rows[:, :4])
    rows[7, 2] = np.nan
    with pytest.raises(SmearkitError, match="row 7"):
        find_acquisitions(rows)


# --- confounded classes ---


def test_a_class_bound_to_an_acquisition_is_named() -> None:
    rows, labels = mixed(bound="platelet")
    found = report(rows, labels)
    assert found.confounded == ("platelet",)
    assert by_label(found, "platelet") == (1.0, 0.0, True)
    assert found.is_readable
    assert found.acquisitions[1].classes == {"platelet": labels.count("platelet")}
    assert [abs(a - b) <= 4 for a, b in zip(found.acquisitions[1].background, BLUE_GREY, strict=True)] == [True] * 3  # noqa: E501  # fmt: skip


def test_an_acquisition_that_all_classes_share_binds_none() -> None:
    rows, labels = mixed(share_elsewhere=0.3)
    found = report(rows, labels)
    assert len(found.acquisitions) == 2
    assert found.confounded == ()


def test_a_small_part_of_a_class_that_has_an_acquisition_to_itself_is_named() -> None:
    rows, labels = mixed(share_elsewhere=0.0)
    own = [i for i, label in enumerate(labels) if label == "monocyte"][:24]
    rows[own, APPEARANCE_COLUMNS.index("background_red")] += 0.2
    found = report(rows, labels)
    assert found.confounded == ("monocyte",)
    assert by_label(found, "monocyte")[0] == 0.3


def test_a_few_cells_by_chance_are_not_enough() -> None:
    rows = np.zeros((40, len(APPEARANCE_COLUMNS)), np.float32)
    labels = ["monocyte"] * 38 + ["platelet"] * 2
    cluster = np.array([0] * 30 + [1] * 10, np.int64)  # both platelets, and eight others
    found = confounding(rows, labels, Acquisitions(cluster, 2))
    share, others, confounded = by_label(found, "platelet")
    assert share - others > 0.5
    assert not confounded


def test_labels_that_say_nothing_of_the_background_are_read_by_chance() -> None:
    rows, labels = mixed(share_elsewhere=0.3)
    shuffled = np.random.default_rng(3).permutation(labels).tolist()
    found = report(rows, shuffled)
    assert not found.is_readable
    assert found.low is not None and found.high is not None and found.chance == 0.3333  # noqa: PT018
    assert found.low <= 1 / 3 <= found.high


def test_a_slide_that_tells_the_class_does_not_count_across_slides() -> None:
    rows, labels = mixed(share_elsewhere=0.0)
    slides = [f"{label}-{i // 60}" for i, label in enumerate(labels)]
    for number, slide in enumerate(dict.fromkeys(slides)):
        here = [i for i, one in enumerate(slides) if one == slide]
        rows[here, :3] += np.float32(0.05 * ((7 * number) % 12))
    ways = find_acquisitions(rows)
    mixed_folds = confounding(rows, labels, ways)
    own_folds = confounding(rows, labels, ways, slides)
    assert mixed_folds.balanced_accuracy is not None
    assert own_folds.balanced_accuracy is not None
    assert mixed_folds.balanced_accuracy > 0.9 > own_folds.balanced_accuracy + 0.3


def test_one_class_alone_is_described_and_not_classified() -> None:
    rows, labels = mixed()
    found = report(rows, ["monocyte"] * len(labels))
    assert found.balanced_accuracy is None
    assert not found.is_readable
    assert found.confounded == ()


def test_lengths_that_disagree_are_refused() -> None:
    rows, labels = mixed()
    with pytest.raises(SmearkitError, match="239 labels"):
        confounding(rows, labels[:-1], find_acquisitions(rows))


def test_the_report_is_read_back_as_it_was_written() -> None:
    found = report(*mixed(bound="platelet"))
    assert AcquisitionReport.model_validate_json(found.model_dump_json()) == found


# --- real cells ---


@pytest.mark.real
def test_the_second_acquisition_of_pbc_is_found_by_itself() -> None:
    path = CELLS / "pbc128.parquet"
    if not path.is_file():
        pytest.skip("the real cells are not beside the checkout")
    columns = ["image", "label", "original_width", "original_height"]
    parts, labels, elsewhere = [], [], []
    for batch in pq.ParquetFile(path).iter_batches(1024, columns=columns):
        tiles = []
        for one in batch["image"].to_pylist():
            with Image.open(io.BytesIO(one["bytes"])) as image:
                tiles.append(shrink(np.asarray(image.convert("RGB"))))
        sizes = np.full((len(tiles), 2), 128, np.int32)
        parts.append(appearance_columns(Glances(np.stack(tiles), sizes, ("jpeg",) * len(tiles))))
        labels += batch["label"].to_pylist()
        pairs = zip(batch["original_width"].to_pylist(), batch["original_height"].to_pylist(), strict=True)  # noqa: E501  # fmt: skip
        elsewhere += [pair != (360, 363) for pair in pairs]
    rows = np.concatenate(parts)
    ways = find_acquisitions(rows)
    found = confounding(rows, labels, ways)
    assert found.confounded == ("immature_granulocyte_unspecified", "neutrophil_unspecified")
    # By the background alone: every cell of another original size, and hardly any other.
    there = ways.cluster == 1
    assert there[elsewhere].all()
    assert there.sum() < 1.05 * np.sum(elsewhere)

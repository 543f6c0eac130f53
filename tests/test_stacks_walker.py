"""The random walker: shapes of known truth, several labels, corrections."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stacks_shapes import SHAPES, SPACINGS, seeds_of
from kosmoscope.errors import InputError, OptionError
from kosmoscope.stacks import Seeds, Volume
from kosmoscope.stacks.segmenters.walker.settings import WalkerOptions
from kosmoscope.stacks.segmenters.walker.walker import Walker
from kosmoscope.stacks.volume import affine_of
from stack_cases import ball, dice, made, rotation


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_found_from_a_few_points(name: str, spacing: str) -> None:
    shape, places = SHAPES[name]
    one = made(shape, SPACINGS[spacing], noise=8, seed=1)
    found = Walker().segment(one.volume, seeds_of(one, places).on(one.volume))
    assert found.names == ("background", "solid")
    # Slices of 5 mm cut a tube of 16 mm into three.
    least = {"1x1x1": 0.985, "0.7x0.7x3": 0.97, "1x1x5": 0.95}[spacing]
    assert dice(found.labels == 1, one.fractions > 0.5) > least


@pytest.mark.parametrize("noise", [5, 20, 33])
def test_noise_is_smoothed_over(noise: float) -> None:
    one = made(ball(18), noise=noise, seed=2)
    found = Walker().segment(one.volume, seeds_of(one, [(0, 0, 0)]).on(one.volume))
    assert dice(found.labels == 1, one.fractions > 0.5) > 0.98


def test_the_affine_does_not_matter_but_for_where_it_is() -> None:
    straight = made(ball(12), (0.7, 0.7, 3.0), noise=8)
    turned = made(ball(12), (0.7, 0.7, 3.0), noise=8, turn=rotation(20, -30, 50))
    marks = seeds_of(straight, [(0, 0, 0)])
    a = Walker().segment(straight.volume, marks.on(straight.volume))
    b = Walker().segment(turned.volume, marks.on(turned.volume))
    np.testing.assert_array_equal(a.labels, b.labels)
    # The same points in the patient's millimetres.
    points = {
        label.name: turned.volume.to_patient(label.points) * (-1, -1, 1) for label in marks.labels
    }
    in_mm = Seeds.of(points, space="lps", radius_mm=2.0)
    c = Walker().segment(turned.volume, in_mm.on(turned.volume))
    np.testing.assert_array_equal(b.labels, c.labels)


def three_balls() -> tuple[Volume, np.ndarray]:
    """Three balls, two of them alike, in one block."""
    k, j, i = np.mgrid[:40, :48, :96]
    truth = np.zeros((40, 48, 96), np.uint8)
    for label, at in enumerate((20, 48, 76), 1):
        truth[(k - 20) ** 2 + (j - 24) ** 2 + (i - at) ** 2 < 11**2] = label
    values = np.array([100, 200, 150, 200])[truth] + np.random.default_rng(0).normal(
        0, 8, truth.shape
    )
    return Volume(values.astype(np.float32), affine_of((1, 1, 1))), truth


MIDDLES = {"left": [(20, 24, 20)], "middle": [(48, 24, 20)], "right": [(76, 24, 20)]}


@pytest.mark.parametrize("work_voxels", [1_500_000, 20_000])
def test_several_labels_at_once_each_voxel_one_name(work_voxels: int) -> None:
    """Also where the whole is solved on a coarser grid."""
    volume, truth = three_balls()
    marked = Seeds.of({"background": [(3, 3, 3), (60, 3, 20)], **MIDDLES}, radius_mm=2).on(volume)
    found = Walker(WalkerOptions(work_voxels=work_voxels)).segment(volume, marked)
    assert found.names == ("background", "left", "middle", "right")
    assert sum(found.voxels()) == truth.size
    for label in (1, 2, 3):
        assert dice(found.labels == label, truth == label) > 0.97
    # Every seed has its own name.
    np.testing.assert_array_equal(found.labels[tuple(marked.kji.T)], marked.labels)


def test_what_looks_alike_elsewhere_is_not_taken() -> None:
    volume, truth = three_balls()
    marked = Seeds.of(
        {"background": [(3, 3, 3), (48, 24, 20)], "left": MIDDLES["left"]}, radius_mm=2
    ).on(volume)
    found = Walker().segment(volume, marked)
    assert dice(found.labels == 1, truth == 1) > 0.97
    everywhere = Walker(WalkerOptions(connected=False)).segment(volume, marked)
    assert dice(everywhere.labels == 1, (truth == 1) | (truth == 3)) > 0.97


def test_a_correction_changes_what_is_near_it() -> None:
    volume, truth = three_balls()
    walker = Walker()
    first = walker.segment(
        volume,
        Seeds.of(
            {"background": [(3, 3, 3), (48, 24, 20)], "left": MIDDLES["left"]}, radius_mm=2
        ).on(volume),
    )
    assert not (first.labels[truth == 3] == 1).any()
    better = walker.correct(first, Seeds.of({"left": MIDDLES["right"]}, radius_mm=2).on(volume))
    assert dice(better.labels == 1, (truth == 1) | (truth == 3)) > 0.97
    # The far half is what it was.
    np.testing.assert_array_equal(better.labels[:, :, :40], first.labels[:, :, :40])
    # And back: the last word counts, though the seed of before is there.
    k, j, i = np.mgrid[-2:3, -2:3, -2:3]
    stroke = np.stack([i + 76, j + 24, k + 20], -1).reshape(-1, 3).tolist()
    again = walker.correct(better, Seeds.of({"background": stroke}).on(volume))
    assert dice(again.labels == 1, truth == 1) > 0.95


def test_a_correction_at_a_coarse_grid_is_decided_at_the_full_one() -> None:
    volume, truth = three_balls()
    walker = Walker(WalkerOptions(work_voxels=20_000))
    marked = Seeds.of({"background": [(3, 3, 3)], "left": MIDDLES["left"]}, radius_mm=2).on(volume)
    first = walker.segment(volume, marked)
    more = Seeds.of({"left": MIDDLES["middle"]}, radius_mm=2).on(volume)
    better = walker.correct(first, more)
    assert dice(better.labels == 1, (truth == 1) | (truth == 2)) > 0.95


def test_corrections_that_cannot_be() -> None:
    volume, _ = three_balls()
    walker = Walker()
    with pytest.raises(InputError, match="'background' has no mark"):
        walker.segment(volume, Seeds.of(MIDDLES).on(volume))
    found = walker.segment(volume, Seeds.of({"background": [(3, 3, 3)], **MIDDLES}).on(volume))
    with pytest.raises(InputError, match="'other' is no label"):
        walker.correct(found, Seeds.of({"other": [(1, 1, 1)]}).on(volume))


@pytest.mark.parametrize(
    "wrong", [{"work_voxels": 10}, {"data": -1.0}, {"edge": 0.0}, {"data": float("nan")}]
)
def test_options_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        WalkerOptions(**wrong)  # type: ignore[arg-type]

"""Volumes, their intervals, and surfaces: against shapes of known truth."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from benchmarks.stacks_cases import case
from benchmarks.stacks_shapes import SHAPES, SPACINGS, seeds_of
from kosmoscope.errors import InputError, OptionError
from kosmoscope.stacks import Seeds, Segmented, Volume, measure, segment_stack, solid
from kosmoscope.stacks.measures import find_measure, measures_csv, measures_dict
from kosmoscope.stacks.volume import affine_of
from stack_cases import Made, ball, made, rotation


def found_in(one: Made, places: list[tuple[float, float, float]]) -> Segmented:
    return segment_stack(one.volume, seeds_of(one, places))


@pytest.mark.parametrize("noise", [0, 8])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("name", SHAPES)
def test_volume_surface_and_extents_are_true(name: str, spacing: str, noise: float) -> None:
    shape, places = SHAPES[name]
    one = made(shape, SPACINGS[spacing], noise=noise, seed=1, turn=rotation(10, 20, 30))
    found = found_in(one, places)
    surface = solid(found, 1)
    assert surface is not None
    (figures,) = measure(found, {"solid": surface})
    ml = shape.volume_mm3 / 1000
    slack = 0.02 if spacing == "1x1x5" else 0.01
    assert figures.volume_ml == pytest.approx(ml, rel=slack)
    assert figures.interval_ml[0] <= ml <= figures.interval_ml[1]
    assert surface.volume_mm3 / 1000 == pytest.approx(figures.volume_ml, rel=0.001)
    assert figures.surface_mm2 == pytest.approx(shape.area_mm2, rel=0.03)
    # Closed, and its outside is outside: as another library sees it.
    theirs = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert theirs.is_watertight
    assert theirs.is_winding_consistent
    assert theirs.volume == pytest.approx(surface.volume_mm3, rel=1e-4)
    assert theirs.area == pytest.approx(surface.area_mm2, rel=1e-4)
    # In the patient: the middle of the shape.
    middle = one.volume.to_patient([one.middle_ijk])[0]
    np.testing.assert_allclose(figures.centroid_mm, middle, atol=0.3)
    np.testing.assert_allclose(theirs.center_mass, middle, atol=0.3)
    # Areas of slices add up to the volume.
    total = sum(figures.slice_areas_mm2) * one.volume.spacing_mm[0] / 1000
    assert total == pytest.approx(figures.volume_ml)


def test_extents_run_along_the_patients_axes() -> None:
    one = made(replace(ball(12)), (1, 1, 2), turn=rotation(0, 0, 90) @ np.diag([1.0, -1, 1]))
    (figures,) = measure(found_in(one, [(0, 0, 0)]))
    np.testing.assert_allclose(figures.extents_mm, (24, 24, 24), atol=0.8)
    assert figures.mean == pytest.approx(200, abs=6)


@pytest.mark.parametrize("faces", [300, 2000])
def test_few_faces_keep_volume_and_surface(faces: int) -> None:
    shape, places = SHAPES["torus"]
    one = made(shape, (0.7, 0.7, 3.0), noise=5, seed=3)
    found = found_in(one, places)
    surface = solid(found, 1, faces=faces)
    assert surface is not None
    assert faces / 4 < len(surface.faces) <= faces
    assert surface.volume_mm3 == pytest.approx(shape.volume_mm3, rel=0.01)
    assert surface.area_mm2 == pytest.approx(shape.area_mm2, rel=0.05)
    assert trimesh.Trimesh(surface.vertices, surface.faces, process=False).is_watertight


def test_a_marked_corner_is_where_it_should_be_on_the_surface() -> None:
    """A cube near one corner of a turned and mirrored grid: no axis is taken for another."""
    labels = np.zeros((12, 16, 20), np.uint8)
    labels[8:11, 11:15, 15:19] = 1
    values = np.where(labels, 100, 0).astype(np.float32)
    affine = affine_of((0.8, 1.1, 2.5), (5, -7, 9), rotation(15, -40, 70) @ np.diag([-1.0, 1, 1]))
    found = Segmented(Volume(values, affine), labels, ("background", "cube"), "by hand")
    surface = solid(found, 1)
    assert surface is not None
    middle = found.volume.to_patient([[16.5, 12.5, 9.0]])[0]
    np.testing.assert_allclose(surface.vertices.mean(axis=0), middle, atol=0.25)
    assert surface.volume_mm3 == pytest.approx(3 * 4 * 4 * 0.8 * 1.1 * 2.5, rel=0.01)


def test_a_thin_sheet_and_a_voxel_have_a_surface() -> None:
    labels = np.zeros((9, 30, 30), np.uint8)
    labels[4, 5:25, 5:25] = 1
    labels[7, 27, 27] = 2
    values = np.where(labels, 100, 0).astype(np.float32)
    names = ("background", "sheet", "dot", "nothing")
    found = Segmented(Volume(values, affine_of((1, 1, 1))), labels, names, "by hand")
    for label, voxels in ((1, 400), (2, 1)):
        surface = solid(found, label)
        assert surface is not None
        assert surface.volume_mm3 == pytest.approx(voxels, rel=0.02)
        assert trimesh.Trimesh(surface.vertices, surface.faces, process=False).is_watertight
    assert solid(found, 3) is None
    assert [m.name for m in measure(found)] == ["sheet", "dot"]
    with pytest.raises(OptionError, match="label 4; expected 1 to 3"):
        solid(found, 4)
    with pytest.raises(OptionError, match="faces is 10"):
        solid(found, 1, faces=10)


def test_a_label_at_the_edge_of_the_volume_is_closed() -> None:
    values = np.full((10, 12, 14), 50, np.float32)
    values[:, :, :7] = 100
    labels = (values > 75).astype(np.uint8)
    found = Segmented(Volume(values, affine_of((1, 1, 1))), labels, ("background", "half"), "x")
    surface = solid(found, 1)
    assert surface is not None
    assert trimesh.Trimesh(surface.vertices, surface.faces, process=False).is_watertight
    (figures,) = measure(found)
    assert figures.volume_ml == pytest.approx(0.84)


def test_where_both_sides_look_alike_the_labels_count_and_the_interval_is_wide() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(100, 10, (24, 24, 24)).astype(np.float32)
    labels = np.zeros(values.shape, np.uint8)
    labels[6:18, 6:18, 6:18] = 1
    found = Segmented(Volume(values, affine_of((1, 1, 1))), labels, ("background", "cube"), "x")
    (figures,) = measure(found)
    assert figures.volume_ml == pytest.approx(12**3 / 1000, rel=0.01)
    low, high = figures.interval_ml
    assert (high - low) / figures.volume_ml > 0.3


def test_beside_several_tissues_the_volume_is_that_of_the_right_one() -> None:
    """A core in a thin rim in something darker: what is beyond the rim is not what it is mixed
    with."""
    z, y, x = (np.arange(40) - 19.3 for _ in range(3))
    away = np.sqrt(x[None, None] ** 2 + y[None, :, None] ** 2 + z[:, None, None] ** 2)
    values = 80 + 85 / (1 + np.exp(3 * (away - 14.5))) + 55 / (1 + np.exp(3 * (away - 10)))
    values += np.random.default_rng(0).normal(0, 2, values.shape)
    volume = Volume(values.astype(np.float32), affine_of((1, 1, 1)))
    seeds = Seeds.of({"background": [(31, 19, 19), (1, 1, 1)], "core": [(19, 19, 19)]}, radius_mm=1)
    (figures,) = measure(segment_stack(volume, seeds))
    true = 4 / 3 * np.pi * 10**3 / 1000
    assert figures.volume_ml == pytest.approx(true, rel=0.03)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of forty made lumps; the benchmark asks two hundred."""
    within = 0
    for number in range(40):
        one = case(number)
        (figures,) = measure(segment_stack(one.volume, one.seeds))
        low, high = figures.interval_ml
        within += low <= one.true_mm3 / 1000 <= high
    assert 32 <= within <= 39


def test_the_forms_say_the_same() -> None:
    one = made(ball(8), noise=3)
    found = found_in(one, [(0, 0, 0)])
    figures = measure(found)
    data = json.loads(json.dumps(measures_dict(found, figures)))
    (row,) = csv.DictReader(io.StringIO(measures_csv(figures)))
    (label,) = data["labels"]
    assert float(row["volume_ml"]) == pytest.approx(label["volume_ml"], rel=1e-5)
    assert float(row["low_ml"]) == pytest.approx(label["interval_ml"][0], rel=1e-5)
    assert (row["name"], int(row["voxels"])) == (label["name"], label["voxels"])
    assert "Not a medical device" in data["notice"]
    np.testing.assert_allclose(data["affine_ras"], one.volume.affine)
    assert find_measure(figures, "solid") is figures[0]
    with pytest.raises(InputError, match="expected one of solid"):
        find_measure(figures, "other")

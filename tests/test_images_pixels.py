"""The pixel tensor equals that of transformers; configs that cannot work are named."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pictures
from kosmoscope.errors import CheckpointError
from kosmoscope.images import PixelSpec, pixel_tensor, read_image

RELEASED: dict[str, Any] = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "processor_class": "Kosmos2Processor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 224},
    "use_square_size": True,
}


def reference(rgb: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = module.CLIPImageProcessorPil(**config)
    values = processor(rgb, input_data_format="channels_last", return_tensors="np")
    return np.asarray(values["pixel_values"])[0]


@pytest.mark.parametrize(
    "size_wh",
    [(1, 1), (1, 600), (600, 1), (2, 3), (224, 224), (223, 225), (640, 480), (3000, 2000)],
)
@pytest.mark.parametrize("make", [pictures.noise, pictures.smooth])
def test_pixels_equal_those_of_transformers(size_wh, make):
    rgb = make(*size_wh)
    spec = PixelSpec.from_config(RELEASED, "preprocessor_config.json")
    ours = pixel_tensor(rgb, spec)
    assert (ours.shape, ours.dtype, ours.flags.c_contiguous) == ((3, 224, 224), np.float32, True)
    assert np.abs(ours - reference(rgb, RELEASED)).max() <= 1e-5


@pytest.mark.parametrize(
    "change",
    [
        {"resample": 2},
        {"resample": 1},
        {"resample": 0},
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_rescale": False, "do_normalize": False},
        {"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]},
        {"size": {"height": 28, "width": 28}, "crop_size": {"height": 28, "width": 28}},
        {"size": {"height": 28, "width": 28}, "do_center_crop": False},
    ],
)
def test_other_settings_equal_those_of_transformers(change):
    config = {**RELEASED, **change}
    if "size" in change:
        config.pop("use_square_size")  # which makes transformers take 224
    rgb = pictures.noise(97, 61)
    spec = PixelSpec.from_config(config, "f")
    assert np.abs(pixel_tensor(rgb, spec) - reference(rgb, config)).max() <= 1e-5


def test_a_saved_processor_is_understood(tmp_path):
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    module.CLIPImageProcessorPil(**RELEASED).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text("utf-8"))
    assert PixelSpec.from_config(saved, "f") == PixelSpec.from_config(RELEASED, "f")


def test_released_config():
    spec = PixelSpec.from_config(RELEASED, "f")
    assert spec == PixelSpec(rescale_factor=0.00392156862745098)
    assert spec.size_wh == (224, 224)


@pytest.mark.parametrize(
    "size", [{"shortest_edge": 224}, 224, {"height": 224, "width": 224, "longest_edge": None}]
)
def test_sizes_that_are_squashed(size):
    assert PixelSpec.from_config({**RELEASED, "size": size}, "f").size_wh == (224, 224)


KEPT = {"size": {"longest_edge": 96}, "size_divisor": 32, "do_center_crop": False}


@pytest.mark.parametrize(
    ("size_wh", "wanted"),
    [((300, 300), (96, 96)), ((300, 200), (96, 64)), ((10, 12), (96, 96)), ((1, 5000), (32, 96)),
     ((5000, 1), (96, 32)), ((300, 251), (96, 96)), ((300, 249), (96, 64)), ((1, 1), (96, 96))],
)  # fmt: skip
def test_sizes_that_keep_the_aspect(size_wh, wanted):
    spec = PixelSpec.from_config({**RELEASED, **KEPT}, "f")
    assert spec.size_for(size_wh) == wanted
    rgb = np.full((size_wh[1], size_wh[0], 3), 200, np.uint8)
    assert pixel_tensor(rgb, spec).shape == (3, wanted[1], wanted[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [("size", {"shortest_edge": 96}), ("size", 96), ("size", {"longest_edge": 100}),
     ("size", {"longest_edge": 96, "shortest_edge": 96}), ("size_divisor", 0),
     ("size_divisor", "32"), ("size_divisor", 36), ("do_center_crop", True)],
)  # fmt: skip
def test_sizes_that_only_seem_to_keep_it(key, value):
    expected = "size_divisor" if value == {"longest_edge": 100} else key
    with pytest.raises(CheckpointError, match=f"f: {expected}"):
        PixelSpec.from_config({**RELEASED, **KEPT, key: value}, "f")


def test_silent_configs_mean_what_clip_means():
    spec = PixelSpec.from_config({"size": {"height": 224, "width": 224}}, "f")
    assert spec == PixelSpec()


@pytest.mark.parametrize("size", [{"shortest_edge": 224}, 224])
@pytest.mark.parametrize("squash", [{}, {"use_square_size": False}])
def test_sizes_that_crop_are_refused(size, squash):
    config = {k: v for k, v in RELEASED.items() if k != "use_square_size"}
    with pytest.raises(CheckpointError, match="boxes would not refer to the whole picture"):
        PixelSpec.from_config({**config, "size": size, **squash}, "f")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", None),
        ("size", {}),
        ("size", {"height": 224}),
        ("size", {"height": 224, "width": 448}),
        ("size", {"longest_edge": 224}),
        ("size", {"height": 0, "width": 0}),
        ("size", {"height": -1, "width": -1}),
        ("size", {"height": 224.5, "width": 224.5}),
        ("size", {"height": "224", "width": "224"}),
        ("size", True),
        ("size", 10**9),
        ("size", [224, 224]),
        ("crop_size", {"height": 336, "width": 336}),
        ("crop_size", 100),
        ("crop_size", {}),
        ("crop_size", None),
        ("resample", 9),
        ("resample", "bicubic"),
        ("resample", True),
        ("resample", None),
        ("image_mean", [0.5, 0.5]),
        ("image_mean", 0.5),
        ("image_mean", [0.5, 0.5, "0.5"]),
        ("image_mean", [0.5, 0.5, math.nan]),
        ("image_std", [0.5, 0.5, 0]),
        ("image_std", [0.5, 0.5, -1]),
        ("image_std", [0.5, 0.5, math.inf]),
        ("image_std", [0.5, 0.5, 10**400]),
        ("rescale_factor", 0),
        ("rescale_factor", math.nan),
        ("rescale_factor", None),
        ("do_resize", False),
        ("do_resize", "yes"),
        ("do_rescale", None),
        ("do_normalize", 1),
        ("do_center_crop", 0),
        ("use_square_size", "true"),
    ],
)
def test_unusable_settings_are_named(key, value):
    with pytest.raises(CheckpointError) as caught:
        PixelSpec.from_config({**RELEASED, key: value}, "folder/preprocessor_config.json")
    text = str(caught.value)
    assert text.startswith(f"folder/preprocessor_config.json: {key} ")
    assert text.isprintable()


def test_config_that_is_no_object():
    with pytest.raises(CheckpointError, match=r"^f: expected a JSON object, got list"):
        PixelSpec.from_config([], "f")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_only_rgb_makes_pixels(rgb):
    with pytest.raises(ValueError, match="expected"):
        pixel_tensor(rgb, PixelSpec())


def test_views_are_taken_as_they_look():
    rgb = pictures.noise(30, 20)
    flipped = pixel_tensor(rgb[:, ::-1], PixelSpec())
    assert np.array_equal(flipped, pixel_tensor(np.ascontiguousarray(rgb[:, ::-1]), PixelSpec()))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_large_jpeg_is_read_at_reduced_size(orientation: int, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = np.kron(pictures.noise(40, 30), np.ones((20, 20, 1), np.uint8))  # 800x600, no fine detail
    file = io.BytesIO()
    Image.fromarray(rgb).convert(mode).save(file, "JPEG", quality=95, exif=exif)
    whole = read_image(file.getvalue())
    small = read_image(file.getvalue(), at_least_wh=(150, 150))
    assert (small.reduced, whole.reduced) == (True, False)
    assert small.info == whole.info
    assert sorted(small.rgb.shape) == [3, 150, 200]
    assert small.rgb.shape[0] * 4 == whole.rgb.shape[0]
    spec = PixelSpec(size_wh=(100, 100))
    apart = np.abs(pixel_tensor(small.rgb, spec) - pixel_tensor(whole.rgb, spec))
    assert apart.mean() < 0.1  # of a range of 4; another way to the same picture
    assert not read_image(file.getvalue(), at_least_wh=(500, 500)).reduced


def test_only_jpeg_files_are_reduced() -> None:
    rgb = pictures.noise(400, 300)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    for source in (file.getvalue(), Image.fromarray(rgb)):
        assert not read_image(source, at_least_wh=(50, 50)).reduced

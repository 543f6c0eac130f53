"""Segment Anything against transformers, stage by stage, on tiny random checkpoints."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sam_models
from kosmoscope.errors import BoxError, InputError
from kosmoscope.segment import BoxPrompt, Segmenter
from kosmoscope.segment.sam import SamSegmenter, load_sam
from kosmoscope.segment.sam.pictures import SquareSpec, square
from sam_models import SHAPES, Made, picture

SIZES = [(90, 60), (60, 90), (96, 96), (333, 250), (7, 200), (1, 60), (60, 1), (1, 1)]


@dataclass
class Pair:
    """The reference and ours of one checkpoint."""

    made: Made
    ours: SamSegmenter


@pytest.fixture(scope="module", params=SHAPES, ids=lambda s: s.name)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    made = sam_models.make(tmp_path_factory.mktemp("sam") / request.param.name, request.param)
    return Pair(made, load_sam(made.folder, threads=1))


def assert_close(ours: Any, theirs: torch.Tensor, what: str, tolerance: float = 1e-4) -> None:
    """Largest difference relative to the largest value."""
    reference = theirs.detach().numpy()
    assert ours.shape == reference.shape, what
    error = np.abs(ours - reference).max() / np.abs(reference).max()
    assert error < tolerance, f"{what}: {error:.2e}"


def check(pair: Pair, image: np.ndarray, prompts: list[BoxPrompt], **theirs: Any) -> None:
    """Compare everything that is said about several prompts of one kind."""
    out = pair.made.ask(image, **theirs)
    single = pair.made.ask(image, multimask=False, **theirs)
    encoded = pair.ours.encode(image)
    answers = pair.ours.answers(encoded, prompts)
    several = np.stack([a.logits[1:] for a in answers])
    assert_close(several, out.pred_masks[0], "masks")
    assert_close(np.stack([a.ious[1:] for a in answers]), out.iou_scores[0], "ious")
    assert_close(np.stack([a.logits[:1] for a in answers]), single.pred_masks[0], "single mask")
    assert_close(np.stack([a.ious[:1] for a in answers]), single.iou_scores[0], "single iou")

    best = out.iou_scores[0].argmax(-1).numpy()
    for i, proposal in enumerate(pair.ours.ask(encoded, prompts)):
        logits = out["logits"][i, best[i]]
        assert proposal.mask.shape == image.shape[:2]
        assert proposal.mask.dtype == np.bool_
        same = proposal.mask == out["masks"][i, best[i]]
        assert (same | (np.abs(logits) < 1e-4 * np.abs(logits).max())).all()
        assert proposal.score == pytest.approx(
            float(out.iou_scores[0, i].max().clamp(0, 1)), abs=1e-4
        )


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels(pair: Pair, size: tuple[int, int]) -> None:
    image = picture(1, size)
    theirs = pair.made.inputs(image)["pixel_values"].numpy()
    ours = square(image, pair.ours.square)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_picture_too_thin_for_the_reference() -> None:
    spec = SquareSpec(96, 2, (0.5,) * 3, (0.5,) * 3, 1 / 255)
    assert spec.scaled((1, 60_000)) == (1, 96)
    assert spec.scaled((60_000, 1)) == (96, 1)
    pixels = square(np.full((6000, 1, 3), 255, np.uint8), spec)
    assert (pixels[..., 0] == 1).all()
    assert (pixels[..., 1:] == 0).all()


@torch.no_grad()
def test_embeddings(pair: Pair) -> None:
    image = picture(2, (80, 96))
    pixels = pair.made.inputs(image)["pixel_values"]
    theirs = pair.made.model.get_image_embeddings(pixels.float())
    ours = pair.ours.encode(image)
    assert ours.image_wh == (80, 96)
    assert_close(ours.embeddings, theirs, "embeddings")
    other = pair.ours.encode(picture(3, (80, 96)))
    assert np.abs(other.embeddings - ours.embeddings).max() > 0.01, "the picture must matter"


@pytest.mark.parametrize("size", SIZES[:6], ids=str)
def test_boxes(pair: Pair, size: tuple[int, int]) -> None:
    w, h = size
    boxes = [[0.1 * w, 0.2 * h, 0.7 * w, 0.9 * h], [0.0, 0.0, w, h], [0.5 * w, 0, w, 0.5 * h]]
    prompts = [BoxPrompt(tuple(b)) for b in boxes]
    check(pair, picture(4, size), prompts, input_boxes=[boxes])


@pytest.mark.parametrize("size", SIZES[:6], ids=str)
@pytest.mark.parametrize("labels", [(1,), (0,), (1, 0), (1, 1, 0)], ids=str)
def test_clicks(pair: Pair, size: tuple[int, int], labels: tuple[int, ...]) -> None:
    w, h = size
    rng = np.random.default_rng(len(labels))
    places = [[[x * w, y * h] for x, y in rng.random((len(labels), 2))] for _ in range(2)]
    prompts = [
        BoxPrompt.at([(x, y, bool(k)) for (x, y), k in zip(some, labels, strict=True)], size)
        for some in places
    ]
    check(pair, picture(5, size), prompts, input_points=[places],
          input_labels=[[list(labels)] * 2])  # fmt: skip


def test_boxes_with_clicks(pair: Pair) -> None:
    boxes = [[5.0, 6.5, 70.25, 50.0], [40.0, 0.0, 90.0, 30.0]]
    places = [[[20.0, 30.0], [60.5, 40.0]], [[70.0, 10.0], [50.0, 29.0]]]
    labels = [[1, 0], [1, 1]]
    prompts = [
        BoxPrompt(tuple(b), points=tuple((x, y, bool(k)) for (x, y), k in zip(p, ks, strict=True)))
        for b, p, ks in zip(boxes, places, labels, strict=True)
    ]
    check(pair, picture(6), prompts, input_boxes=[boxes], input_points=[places],
          input_labels=[labels])  # fmt: skip


def test_prompts_do_not_influence_one_another(pair: Pair) -> None:
    encoded = pair.ours.encode(picture(7))
    prompts = [
        BoxPrompt((3, 4, 50, 40)),
        BoxPrompt.at([(10, 10, True)], (90, 60)),
        BoxPrompt((3, 4, 50, 40), points=((9, 9, True), (45, 39, False))),
        *(BoxPrompt((i, i, 30 + i, 20 + i)) for i in range(10)),
        BoxPrompt.at([(10, 10, True), (80, 50, False)], (90, 60)),
    ]
    together = pair.ours.ask(encoded, prompts)
    assert len(together) == len(prompts)
    raw = pair.ours.answers(encoded, prompts)
    for prompt, proposal, answer in zip(prompts, together, raw, strict=True):
        (alone,) = pair.ours.ask(encoded, [prompt])
        assert alone.score == pytest.approx(proposal.score, abs=1e-5)
        (answer_alone,) = pair.ours.answers(encoded, [prompt])
        scale = np.abs(answer.logits).max()
        assert np.abs(answer_alone.logits - answer.logits).max() < 1e-5 * scale
        assert (alone.mask == proposal.mask).mean() > 0.999
    masks = {p.mask.tobytes() for p in together}
    assert len(masks) > len(prompts) // 2, "prompts must matter"


def test_the_single_mask(pair: Pair) -> None:
    single = load_sam(pair.made.folder, threads=1, multimask=False)
    image, box = picture(8), [10.0, 10.0, 60.0, 50.0]
    out = pair.made.ask(image, multimask=False, input_boxes=[[box]])
    (proposal,) = single.segment(image, [BoxPrompt(tuple(box))])
    logits = out["logits"][0, 0]
    near = np.abs(logits) < 1e-4 * np.abs(logits).max()
    assert ((proposal.mask == out["masks"][0, 0]) | near).all()


def test_the_protocol(pair: Pair) -> None:
    segmenter: Segmenter = pair.ours
    assert segmenter.name == f"sam:{pair.made.shape.name}"
    assert segmenter.segment(picture(), []) == []
    image, prompt = picture(), BoxPrompt((5, 5, 40, 40), "a dog", stuff=True)
    (ours,) = segmenter.segment(image, [prompt])
    (again,) = segmenter.segment(image, [BoxPrompt((5, 5, 40, 40))])
    assert np.array_equal(ours.mask, again.mask)
    assert 0 <= ours.score <= 1
    with pytest.raises(BoxError, match="leaves the picture"):
        segmenter.segment(image, [BoxPrompt((5, 5, 91, 40))])
    with pytest.raises(BoxError, match="outside the picture"):
        segmenter.segment(image, [BoxPrompt((5, 5, 40, 40), points=((95, 5, True),))])
    for wrong in (image[..., :2], image.astype(np.float32), image[:0]):
        with pytest.raises(InputError):
            segmenter.segment(wrong, [prompt])


def test_an_encoded_picture_is_a_value(pair: Pair) -> None:
    """Asked from several threads, after others were encoded, it answers the same."""
    first, prompts = pair.ours.encode(picture(1)), [BoxPrompt((5, 5, 60, 40))]
    (expected,) = pair.ours.answers(first, prompts)
    found: list[Any] = []

    def ask() -> None:
        pair.ours.encode(picture(2))
        found.extend(pair.ours.answers(first, prompts))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(f.logits, expected.logits) for f in found)


def test_int8_stays_near(pair: Pair) -> None:
    rounded = load_sam(pair.made.folder, threads=1, precision="int8")
    exact, image = pair.ours.encode(picture(3)).embeddings, picture(3)
    found = rounded.encode(image).embeddings
    error = np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2))
    assert 0 < error < 0.08


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_checkpoints(tmp_path: Path, dtype: torch.dtype) -> None:
    made = sam_models.make(tmp_path / "half", dtype=dtype)
    ours = load_sam(made.folder, threads=1)
    made.model.float()
    image, box = picture(9), [10.0, 10.0, 60.0, 50.0]
    check(Pair(made, ours), image, [BoxPrompt(tuple(box))], input_boxes=[[box]])

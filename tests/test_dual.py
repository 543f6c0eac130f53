"""CLIP and SigLIP against transformers, step by step, on tiny random checkpoints."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dual_models
from dual_models import CLIPS, SHAPES, SIGLIPS, TEXTS, Made, picture
from kosmoscope.dual import DualEncoder, load_dual_encoder
from kosmoscope.dual.pictures import square
from kosmoscope.errors import ImageNotFoundError, InputError, PromptError

SIZES = [(90, 60), (60, 90), (48, 48), (333, 250), (61, 59), (7, 100), (60, 5), (1, 1)]


@dataclass
class Pair:
    """The reference and ours of one checkpoint."""

    made: Made
    ours: DualEncoder


@pytest.fixture(scope="module", params=SHAPES, ids=lambda s: s.name)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    made = dual_models.make(tmp_path_factory.mktemp("dual") / request.param.name, request.param)
    return Pair(made, load_dual_encoder(made.folder, threads=1))


def plain(pair: Pair) -> list[str]:
    """The texts that the reference's tokenizer takes as the models were trained.

    Its SigLIP tokenizer gives a text that begins with a space or punctuation one more token.
    """
    return [text for text in TEXTS if pair.made.shape.clip or text[0].isalnum()]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels(pair: Pair, size: tuple[int, int]) -> None:
    image = picture(1, size)
    theirs = pair.made.pixels(image).numpy()
    assert np.array_equal(square(image, pair.ours.square), theirs)


def test_tokens(pair: Pair) -> None:
    lengths = set()
    for text in plain(pair):
        theirs = pair.made.ids([text]).numpy()
        ours = pair.ours.texts.ids(text)
        lengths.add(ours.shape[1])
        if pair.made.shape.clip:  # what is behind the end is cut off
            theirs = theirs[:, : ours.shape[1]]
        assert np.array_equal(ours, theirs), text
    longest = pair.made.model.config.text_config.max_position_embeddings
    assert max(lengths) == longest
    assert (len(lengths) > 2) is pair.made.shape.clip


def test_vectors(pair: Pair) -> None:
    image, texts = picture(2), plain(pair)
    out = pair.made.ask(image, texts)
    seen, read = pair.ours.embed_picture(image), pair.ours.embed_text(texts)
    assert np.abs(seen - out.image_embeds[0].numpy()).max() < 1e-5
    assert np.abs(read - out.text_embeds.numpy()).max() < 1e-5
    assert seen.shape == (pair.ours.dimensions,)
    assert seen.dtype == read.dtype == np.float32
    assert np.abs(np.linalg.norm([seen, *read], axis=1) - 1).max() < 1e-6
    other = pair.ours.embed_picture(picture(3))
    assert np.abs(other - seen).max() > 0.01, "the picture must matter"
    assert np.abs(read[0] - read[1]).max() > 0.01, "the text must matter"

    logits = out.logits_per_image
    theirs = logits.softmax(-1) if pair.made.shape.clip else logits.sigmoid()
    ours = pair.ours.probability(seen, read)
    assert ours.shape == (1, len(texts))
    assert np.abs(ours - theirs.numpy()).max() < 1e-5
    assert np.allclose(pair.ours.similarity(np.stack([other, seen]), read)[1], read @ seen)


def test_a_texts_vector_does_not_depend_on_its_company(pair: Pair) -> None:
    several = pair.ours.embed_text(TEXTS)
    for text, vector in zip(TEXTS, several, strict=True):
        assert np.array_equal(pair.ours.embed_text(text), vector[None])
    assert pair.ours.embed_text([]).shape == (0, pair.ours.dimensions)


def test_int8_stays_near(pair: Pair) -> None:
    rounded = load_dual_encoder(pair.made.folder, threads=1, precision="int8")
    assert rounded.key != pair.ours.key
    seen = [(m.embed_picture(picture(4)), m.embed_text(TEXTS)) for m in (pair.ours, rounded)]
    (exact_seen, exact_read), (near_seen, near_read) = seen
    assert exact_seen @ near_seen > 0.995
    assert ((exact_read * near_read).sum(1) > 0.995).all()
    assert not np.array_equal(exact_seen, near_seen)
    assert not np.array_equal(exact_read, near_read)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [CLIPS[0], SIGLIPS[0]], ids=lambda s: s.name)
def test_half_precision_checkpoints(
    tmp_path: Path, shape: dual_models.Shape, dtype: torch.dtype
) -> None:
    made = dual_models.make(tmp_path / "half", shape, dtype=dtype)
    ours = load_dual_encoder(made.folder, threads=1)
    out = made.ask(picture(5), ["a dog", "two cats"])
    assert np.abs(ours.embed_picture(picture(5)) - out.image_embeds[0].numpy()).max() < 1e-5
    assert np.abs(ours.embed_text(["a dog", "two cats"]) - out.text_embeds.numpy()).max() < 1e-5


def test_special_tokens_in_a_text_are_text(pair: Pair) -> None:
    """In transformers a text that holds them ends there."""
    special = {"clip": "<|endoftext|>", "siglip": "</s>", "siglip2": "<eos>"}
    for mark in (special[pair.made.shape.tokenizer], special[pair.made.shape.tokenizer].upper()):
        with_mark, without = (pair.ours.embed_text(f"a {m} dog")[0] for m in (mark, ""))
        assert np.abs(with_mark - without).max() > 1e-3
        ids = pair.ours.texts.ids(f"a {mark} dog")[0]
        assert len(set(ids[ids != ids[-1]])) > 3, "the mark is spelt out, and the dog is there"


def test_siglips_texts_begin_as_the_model_was_trained(pair: Pair) -> None:
    if pair.made.shape.tokenizer == "siglip":
        same = [pair.ours.texts.ids(t) for t in ("Two cats!", "  two\n cats", "...TWO CATS")]
        assert np.array_equal(same[0], pair.made.ids(["two cats"]).numpy())
        assert all(np.array_equal(same[0], other) for other in same[1:])
    assert not np.array_equal(pair.ours.texts.ids("two cats"), pair.ours.texts.ids("two"))


@pytest.mark.parametrize(("wh", "most"), [((5000, 3), 1), ((3, 5000), 1), ((3000, 100), 1),
                                          # Rows come before columns here, and after them there.
                                          ((100, 3000), 6)], ids=str)  # fmt: skip
def test_pictures_that_are_long_and_thin(pair: Pair, wh: tuple[int, int], most: int) -> None:
    """Within a step of 256, of noise, where it differs the most; squashed ones are the same."""
    image, spec = picture(6, wh), pair.ours.square
    distance = np.abs(square(image, spec) - pair.made.pixels(image).numpy())
    steps = distance * np.array(spec.std, np.float32)[:, None, None] * 255
    assert steps.max() < (most + 0.01 if isinstance(spec.size, int) else 1e-6)
    assert steps.mean() < 0.5


def test_a_picture_too_thin_for_the_reference(pair: Pair) -> None:
    """It would first make one of more than 100 megapixels."""
    ours = square(picture(7, (1, 60_000)), pair.ours.square)
    assert ours.shape == (1, 3, pair.ours.square.side, pair.ours.square.side)
    assert ours.std() > 0.01


def test_the_documents_code_runs(
    pair: Pair, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(photos / "china.jpg", "photo.jpg")
    text = (Path(__file__).parent.parent / "docs" / "dual.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace('"siglip-base-patch16-224"', repr(str(pair.made.folder))), names)
    assert names["cosines"].shape == names["likely"].shape == (1, 2)
    assert names["key"] == pair.ours.key


def test_what_is_no_picture_or_no_text(pair: Pair, tmp_path: Path) -> None:
    for text in ("", " \n\t", ["a dog", ""]):
        with pytest.raises(PromptError, match="blank"):
            pair.ours.embed_text(text)
    with pytest.raises(PromptError, match="half a surrogate"):
        pair.ours.embed_text("a \ud800 dog")
    with pytest.raises(ImageNotFoundError, match=r"none\.png"):
        pair.ours.embed_picture(tmp_path / "none.png")
    seen = pair.ours.embed_picture(picture())
    for wrong in (seen[:-1], seen[None, None], np.zeros((3, 4, pair.ours.dimensions))):
        with pytest.raises(InputError, match=f"{pair.ours.dimensions} numbers"):
            pair.ours.similarity(wrong, seen)
    assert pair.ours.probability(seen[None][:0], seen).shape == (0, 1)
    assert pair.ours.probability(seen, seen[None][:0]).shape == (1, 0)

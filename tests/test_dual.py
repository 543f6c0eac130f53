"""CLIP against transformers, step by step, on tiny random checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import dual_models
from dual_models import SHAPES, TEXTS, Made, picture
from kosmoscope.dual import DualEncoder, load_dual_encoder
from kosmoscope.dual.pictures import square

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


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels(pair: Pair, size: tuple[int, int]) -> None:
    image = picture(1, size)
    theirs = pair.made.pixels(image).numpy()
    assert np.array_equal(square(image, pair.ours.square), theirs)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens(pair: Pair, text: str) -> None:
    theirs = pair.made.tokens([text])["input_ids"].numpy()
    ours = pair.ours.texts.ids(text)
    end = ours.shape[1]
    assert np.array_equal(ours, theirs[:, :end]), "cut behind the token that ends it"


def test_vectors(pair: Pair) -> None:
    image, texts = picture(2), list(TEXTS)
    out = pair.made.ask(image, texts)
    pictures, words = pair.ours.embed_picture(image), pair.ours.embed_text(texts)
    assert np.abs(pictures - out.image_embeds[0].numpy()).max() < 1e-5
    assert np.abs(words - out.text_embeds.numpy()).max() < 1e-5
    assert pictures.shape == (pair.ours.dimensions,)
    assert pictures.dtype == words.dtype == np.float32
    other = pair.ours.embed_picture(picture(3))
    assert np.abs(other - pictures).max() > 0.01, "the picture must matter"
    assert np.abs(words[0] - words[1]).max() > 0.01, "the text must matter"

"""fp32 against transformers, stage by stage, on random checkpoints of several shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from PIL import Image

import checkpoints
import small_models as small
from checkpoints import GOLDEN, PROMPTS, SHAPES, Made
from kosmoscope.engine.boxes import Corner
from kosmoscope.engine.branch import Token
from kosmoscope.engine.core import Engine, PromptIds
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.images import pixel_tensor
from kosmoscope.model.converted import Converted
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.outcome import Context, describe_tokens
from kosmoscope.prompts import Prompt, describe_prompt
from kosmoscope.reading import read
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.store.convert import convert
from kosmoscope.tokens import cells_to_xyxy
from kosmoscope.types import ImageInfo, Timing

TOKENS = 48
# Of which all five shapes have something to say: random models like to repeat themselves.
PICTURES = dict(zip(PROMPTS, (0, 2, 1, 4, 9, 11, 4), strict=True))


@dataclass
class Pair:
    """The reference and ours of one checkpoint."""

    made: Made
    converted: Converted
    scope: Scope

    @property
    def engine(self) -> Engine:
        return self.scope.engine

    def prompt_ids(self, text: str, image: Image.Image) -> PromptIds:
        compiled = (
            Prompt().image(image).tagged(text).compile(self.scope.tokenizer, self.engine.slot_ids)
        )
        state = self.scope.encode(image).state
        return PromptIds(compiled.ids, tuple((start, state) for start, _ in compiled.pictures))

    @cached_property
    def greedy(self) -> dict[str, list[int]]:
        """transformers' tokens for each prompt about its picture."""
        return {
            name: self.made.generate(text, checkpoints.picture(PICTURES[name]), TOKENS)
            for name, text in PROMPTS.items()
        }

    def complete(
        self, texts: list[str], images: list[Image.Image], **options: Any
    ) -> list[Description]:
        prompts = [Prompt().image(i).tagged(t) for t, i in zip(texts, images, strict=True)]
        chosen = GenerationOptions(constrained=False, **options)
        return self.scope.complete(prompts, chosen)


@pytest.fixture(scope="module", params=SHAPES, ids=lambda s: s.name)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp(request.param.name)
    made = small.made(request.param.name)
    converted = convert(KOSMOS2, made.folder, root / "fp32", "fp32")
    return Pair(made, converted, Scope(converted, threads=1))


def tapped(path: Path, names: list[str]) -> Any:
    """Open a graph with inner values as further outputs."""
    model = onnx.load(str(path), load_external_data=False)
    for name in names:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    copy = path.with_name("tapped.onnx")
    onnx.save(model, str(copy))
    return ort.InferenceSession(str(copy), providers=["CPUExecutionProvider"])


def assert_close(ours: Any, theirs: torch.Tensor, what: str, tolerance: float = 1e-4) -> None:
    """Largest difference relative to the largest value."""
    reference = theirs.detach().numpy()
    assert ours.shape == reference.shape, what
    error = np.abs(ours - reference).max() / np.abs(reference).max()
    assert error < tolerance, f"{what}: {error:.2e}"


def test_pixels(pair: Pair) -> None:
    for seed, size in enumerate([(90, 60), (60, 90), (7, 5), (224, 224), (500, 333)]):
        image = checkpoints.picture(seed, size)
        theirs = pair.made.inputs(PROMPTS["brief"], image)["pixel_values"][0].numpy()
        ours = pixel_tensor(np.asarray(image), pair.scope.pixel_spec)
        assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize(("prompt", "tagged"), [
    ("<grounding>An image of", False), ("<grounding> An image of", False),
    ("  <grounding>   Describe this image in detail:", False),
    ("<grounding>The two people are", False), ("An image of", None),
    ("<grounding>An image of", True), ("<grounding><phrase> a snowman</phrase>", True),
    ("<grounding><phrase> It</phrase><object><patch_index_0044><patch_index_0863></object> is",
     True),
])  # fmt: skip
def test_prompts_mean_what_they_mean_in_transformers(
    pair: Pair, prompt: str, tagged: bool | None
) -> None:
    image = checkpoints.picture()
    theirs = pair.made.inputs(prompt.strip(), image)["input_ids"][0].tolist()
    asked = describe_prompt(
        image, prompt, grounded=tagged is not None, tagged=bool(tagged)
    ).compile(pair.scope.tokenizer, pair.engine.slot_ids)
    assert list(asked.ids) == theirs
    assert asked.grounded == (tagged is not None)
    found = pair.scope.describe(
        image, prompt, grounded=tagged is not None, tagged=bool(tagged), max_new_tokens=8
    )
    assert found.image.width == image.width


@torch.no_grad()
def test_every_stage_of_the_vision_tower(pair: Pair) -> None:
    model, layers = pair.made.model, pair.engine.config.vision.layers
    names = [f"vision.{i}" for i in range(layers + 1)]
    session = tapped(pair.converted.folder / "vision.onnx", [*names, "features"])
    pixels = pair.made.inputs(PROMPTS["brief"], checkpoints.picture())["pixel_values"]
    wanted = ["embeddings", *names, "features"]
    found = dict(zip(wanted, session.run(wanted, {"pixels": pixels.numpy()}), strict=True))

    states = model.vision_model(pixels, output_hidden_states=True).hidden_states
    for name, theirs in zip(names, states, strict=True):
        assert_close(found[name][None], theirs, name)
    last = model.vision_model.model.post_layernorm(states[-1])
    features = torch.nn.functional.normalize(last, dim=-1)
    assert_close(found["features"][None], features, "features")
    embeddings = model.image_to_text_projection(features)[0]
    assert_close(found["embeddings"][None], embeddings, "embeddings")


@torch.no_grad()
@pytest.mark.parametrize("name", PROMPTS)
def test_every_stage_of_the_decoder(pair: Pair, name: str) -> None:
    text, image = PROMPTS[name], checkpoints.picture(3)
    inputs = pair.made.inputs(text, image)
    prompt = pair.prompt_ids(text, image)
    assert list(prompt.ids) == inputs["input_ids"][0].tolist()

    theirs = pair.made.model(**inputs)
    states = pair.made.model.text_model.model(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        image_embeds=theirs.image_embeds,
        image_embeds_position_mask=inputs["image_embeds_position_mask"],
        output_hidden_states=True,
    )
    layers = pair.engine.config.text.layers
    names = [f"layer.{i}" for i in range(layers)]
    session = tapped(pair.converted.folder / "decoder.onnx", names)
    whole = PromptIds(prompt.ids, prompt.pictures)
    rows = pair.engine.embed(whole.ids, 0)
    pair.engine._insert(rows, whole.pictures[0][1].embeddings, 2, 0)
    assert_close(rows[None], states.hidden_states[0], "embedded rows")
    n, t = len(rows), pair.engine.config.text
    feeds = {
        "x": rows,
        "rows": np.arange(n),
        "attending": np.arange(n),
        "wanted": np.arange(n),
        "bias": np.zeros((1, 1, n, n), np.float32),
        "last": np.array([n - 1], np.int32),
        "total": np.array([n], np.int32),
    }
    for i in range(layers):
        for kind in ("key", "value"):
            feeds[f"{kind}.{i}"] = np.zeros((1, t.heads, n, t.head_width), np.float32)
    wanted = [*names, "hidden"]
    found = dict(zip(wanted, session.run(wanted, feeds), strict=True))
    for i in range(layers - 1):  # the last state of transformers is after the final norm
        assert_close(found[f"layer.{i}"][None], states.hidden_states[i + 1], f"layer {i}")
    assert_close(found["hidden"][None], states.last_hidden_state, "hidden")
    assert_close(pair.engine.logits(found["hidden"])[None], theirs.logits, "logits")
    structure = pair.engine.structure_logits(found["hidden"])
    first = pair.scope.tokenizer.tokens.first_location
    assert_close(structure[None, :, :1024], theirs.logits[..., first : first + 1024], "locations")


@pytest.mark.parametrize("name", PROMPTS)
def test_greedy_tokens(pair: Pair, name: str) -> None:
    image = checkpoints.picture(PICTURES[name])
    theirs = pair.greedy[name]
    (ours,) = pair.complete([PROMPTS[name]], [image], max_new_tokens=TOKENS)
    assert list(ours.token_ids) == theirs
    assert len(set(theirs)) >= 3, "a reference that repeats itself shows little"


def test_greedy_tokens_in_one_batch(pair: Pair) -> None:
    texts = list(PROMPTS.values())
    images = [checkpoints.picture(PICTURES[name]) for name in PROMPTS]
    ours = pair.complete(texts, images, max_new_tokens=TOKENS)
    assert [list(d.token_ids) for d in ours] == list(pair.greedy.values())


@pytest.mark.parametrize("options", [
    {"num_beams": 3},
    {"num_beams": 4, "length_penalty": 0.0},
    {"num_beams": 2, "length_penalty": 2.0, "early_stopping": True},
    {"num_beams": 3, "no_repeat_ngram_size": 2},
], ids=str)  # fmt: skip
def test_beam_search(pair: Pair, options: dict[str, Any]) -> None:
    for name, text in PROMPTS.items():
        image = checkpoints.picture(2)
        theirs = pair.made.generate(text, image, 16, **options)
        (ours,) = pair.complete([text], [image], max_new_tokens=16, **options)
        assert list(ours.token_ids) == theirs, name


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_repeat_ngrams(pair: Pair, size: int) -> None:
    text, image = PROMPTS["brief"], checkpoints.picture(4)
    theirs = pair.made.generate(text, image, 48, no_repeat_ngram_size=size)
    (ours,) = pair.complete([text], [image], max_new_tokens=48, no_repeat_ngram_size=size)
    assert list(ours.token_ids) == theirs


def test_the_articles_golden_case(pair: Pair) -> None:
    scope = pair.scope
    ids = scope.tokenizer.encode_tagged(GOLDEN)
    reading = read(ids, scope.tokenizer)
    assert reading.text == "An image of a forest with fog"
    (entity,) = reading.entities
    assert (entity.phrase, entity.span) == ("a forest with fog", (12, 29))
    (box,) = entity.boxes
    side = scope.tokenizer.tokens.side
    assert cells_to_xyxy(box.upper_left, box.lower_right, side) == (
        0.015625, 0.234375, 0.984375, 0.984375)  # fmt: skip
    compiled = (
        Prompt()
        .image("-")
        .tagged("<grounding> An image of")
        .compile(scope.tokenizer, scope.engine.slot_ids)
    )
    context = Context(
        scope.tokenizer, ImageInfo("-", 640, 320), "m", "fp32", compiled.ids, compiled.tail, True
    )
    start = len(compiled.ids) - compiled.tail
    first = scope.tokenizer.tokens.first_location
    tokens = [
        Token(0, i, -0.1, Corner(i - first, 1.0, 0.5, 0.5) if i >= first else None, None)
        for i in ids[start:]
    ]
    tokens[-1] = replace(tokens[-1], finish="stop")
    found = describe_tokens(tokens, context, Timing())
    assert found.caption == "An image of a forest with fog"
    assert found.tagged == GOLDEN
    assert found.marked == "<grounding> An image of<phrase> a forest with fog</phrase>"
    assert found.raw.endswith("</image>" + GOLDEN)
    assert found.raw.startswith("<image>")
    assert found.entities[0].span == (12, 29)
    assert found.entities[0].boxes[0].xyxy_px == (10.0, 75.0, 630.0, 315.0)

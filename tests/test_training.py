"""The training room: tokenizer, rendered shapes, resumable training, the exported folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from kosmoscope.training import shapes
from kosmoscope.training import train as training
from kosmoscope.training.tokenizer import (
    LOCATION_COUNT,
    TAG_TOKENS,
    build_tokenizer,
    location_token,
    save_tokenizer,
)

# torch and transformers announce their own deprecations; they are not ours to fix.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_tokenizer(shapes.corpus(100), ordinary_pieces=300, reserved_slots=4)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- tokenizer ------------------------------------------------------------------------------


def test_layout_is_that_of_the_released_vocabulary(tokenizer: Tokenizer) -> None:
    size = tokenizer.get_vocab_size()
    assert [tokenizer.id_to_token(i) for i in range(4)] == ["<s>", "<pad>", "</s>", "<unk>"]
    tail = ["<mask>", *TAG_TOKENS, *(location_token(cell) for cell in range(LOCATION_COUNT))]
    assert [tokenizer.id_to_token(i) for i in range(size - len(tail), size)] == tail


def test_all_ascii_survives_a_round_trip(tokenizer: Tokenizer) -> None:
    printable = "".join(chr(code) for code in range(33, 127))
    text = " ".join([printable, *printable, "Zebra_crossing, 5% off (today)!"])
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.token_to_id("<unk>") not in ids
    assert tokenizer.decode(ids) == text


def test_tags_swallow_the_space_before_them_and_survive_decoding(tokenizer: Tokenizer) -> None:
    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    text = "of<phrase> a red circle</phrase><object><patch_index_0044><patch_index_0863></object>"
    assert ids(text) == ids(text.replace("<", " <"))
    assert tokenizer.decode(ids(text), skip_special_tokens=True) == text
    cells = [tokenizer.token_to_id(location_token(cell)) for cell in (44, 863)]
    assert ids(text)[-3:-1] == cells


def test_a_corpus_too_small_for_the_image_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="image slots"):
        build_tokenizer(["a cat"], ordinary_pieces=100, reserved_slots=500)


def test_processor_adds_nothing_to_the_vocabulary(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, Kosmos2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    save_tokenizer(tokenizer, tmp_path)
    training.write_atomic(tmp_path / "config.json", b'{"model_type": "kosmos-2"}')
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    Kosmos2Processor(CLIPImageProcessorPil(), loaded)
    assert len(loaded) == tokenizer.get_vocab_size()
    text = "<grounding> An image of<phrase> two blue squares</phrase>"
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert loaded(text, add_special_tokens=False)["input_ids"] == expected


# --- shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_boxes_are_true_to_the_pixels(seed: int) -> None:
    size = 128
    scene = shapes.random_scene(np.random.default_rng(seed))
    picture = np.asarray(shapes.render(scene, size), dtype=int)
    for index, shape in enumerate(scene.shapes):
        others = scene.shapes[:index] + scene.shapes[index + 1 :]
        without = np.asarray(shapes.render(shapes.Scene(scene.background, others), size), int)
        # A faint rim is anti-aliasing; what is clearly changed is the shape.
        rows, columns = np.nonzero(np.abs(picture - without).max(axis=2) > 25)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        wanted = np.array(shape.xyxy_norm) * size
        # The tips of stars and triangles are thinner than a pixel.
        assert np.abs(np.array(found) - wanted).max() <= 3.0, (shape, found)


def test_the_same_seed_gives_the_same_picture_and_words() -> None:
    def make() -> tuple[bytes, list[shapes.Example]]:
        rng = np.random.default_rng(5)
        scene = shapes.random_scene(rng)
        return shapes.render(scene, 64).tobytes(), list(shapes.examples(scene, rng))

    assert make() == make()


def test_a_picture_of_nothing_known_is_a_scene() -> None:
    empty = shapes.Scene(shapes.Background("plain", (200, 200, 200), (0, 0, 0), 0), ())
    assert shapes.brief_target(empty, grounded=True) == " a scene"


def test_twins_share_a_phrase_and_stuff_has_boxes() -> None:
    twins = [
        shapes.Shape("cross", "blue", (0, 0, 255), (x, 0.25, x + 0.25, 0.5)) for x in (0.0, 0.5)
    ]
    behind = shapes.Background("landscape", (150, 200, 240), (90, 160, 70), 0, "grass", 0.5)
    assert shapes.brief_target(shapes.Scene(behind, tuple(twins)), grounded=True) == (
        "<phrase> two blue crosses</phrase><object><patch_index_0256><patch_index_0487>"
        "</delimiter_of_multi_objects/><patch_index_0272><patch_index_0503></object>"
        " and<phrase> the sky</phrase><object><patch_index_0000><patch_index_0511></object>"
        " and<phrase> the grass</phrase><object><patch_index_0512><patch_index_1023></object>"
    )


def test_quantise_agrees_with_transformers() -> None:
    from transformers.models.kosmos2.processing_kosmos2 import coordinate_to_patch_index

    rng = np.random.default_rng(0)
    for _ in range(200):
        x1, y1 = rng.uniform(0, 0.9, 2).tolist()
        box = (x1, y1, x1 + rng.uniform(0.01, 0.1), y1 + rng.uniform(0.01, 0.1))
        assert shapes.quantise(box) == coordinate_to_patch_index(box, 32)
    assert shapes.quantise((-0.1, -0.1, 1.2, 1.2)) == (0, 1023)


def test_every_task_comes_up() -> None:
    rng = np.random.default_rng(1)
    tasks = {
        example.task
        for _ in range(100)
        for example in shapes.examples(shapes.random_scene(rng), rng)
    }
    assert tasks == {"brief", "detailed", "ground", "plain", "region", "vqa"}


# --- training -------------------------------------------------------------------------------

MICRO = training.RECIPES["micro"]


@pytest.fixture(scope="module")
def trained(tokenizer: Tokenizer) -> tuple[training.Run, list[training.Loss]]:
    run = training.Run(tokenizer, MICRO)
    return run, [run.advance() for _ in range(3)]


def test_three_steps_have_a_finite_loss(trained: tuple[Any, list[training.Loss]]) -> None:
    losses = [loss.total.item() for loss in trained[1]]
    assert all(math.isfinite(loss) and loss < 50 for loss in losses)


def test_a_resumed_run_ends_in_the_same_state(
    tokenizer: Tokenizer, trained: tuple[training.Run, Any], tmp_path: Path
) -> None:
    stopped = training.Run(tokenizer, MICRO)
    stopped.advance()
    stopped.save(tmp_path / "checkpoint.pt")
    resumed = training.Run(tokenizer, MICRO)
    torch.rand(7)  # whatever happens to the generator in between must not matter
    resumed.load(tmp_path / "checkpoint.pt")
    while resumed.step < 3:
        resumed.advance()
    whole = trained[0]
    for kind in ("model", "hints"):
        ours, theirs = (getattr(run, kind).state_dict() for run in (resumed, whole))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    ours, theirs = (run.optimiser.state_dict() for run in (resumed, whole))
    assert ours["param_groups"] == theirs["param_groups"]
    for index, state in theirs["state"].items():
        assert all(torch.equal(ours["state"][index][name], state[name]) for name in state)


def test_tasks_side_by_side_see_what_they_would_see_alone(
    tokenizer: Tokenizer, trained: tuple[training.Run, Any]
) -> None:
    model: Any = trained[0].model
    batcher = training.Batcher(tokenizer, MICRO)
    rng = np.random.default_rng(3)
    scene = shapes.random_scene(rng)
    tasks = list(shapes.examples(scene, rng))
    ids, positions, segments, labels = batcher._row(tasks)
    pixels = torch.from_numpy(shapes.to_pixels(shapes.render(scene, MICRO.image_size)))[None]
    columns = [torch.tensor([column]) for column in (ids, positions, segments, labels)]
    batch = training.Batch(pixels, *columns, torch.zeros(1, 4, 6))
    with torch.no_grad():
        packed, _ = training.target_logits(
            model, batch, training.encode_patches(model, batch.pixels)
        )
        for task in tasks:
            target = [*batcher.encode(task.target), 2]
            alone = torch.tensor([batcher.prefix + batcher.encode(task.prompt) + target[:-1]])
            slots = torch.zeros_like(alone)
            slots[:, 2 : 2 + MICRO.latents] = 1
            logits = model(
                pixel_values=pixels, input_ids=alone, image_embeds_position_mask=slots
            ).logits[0, -len(target) :]
            torch.testing.assert_close(packed[: len(target)], logits, rtol=1e-4, atol=1e-4)
            packed = packed[len(target) :]
    assert len(packed) == 0


def test_the_exported_folder_is_read_by_transformers(
    trained: tuple[training.Run, Any], tmp_path: Path
) -> None:
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, Kosmos2ForConditionalGeneration, Kosmos2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    run = trained[0]
    run.export(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    model, problems = Kosmos2ForConditionalGeneration.from_pretrained(
        tmp_path, output_loading_info=True, dtype=torch.float32
    )
    assert not any(problems.values()), problems
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value.half().float(), rtol=0, atol=0)

    processor: Any = Kosmos2Processor(
        CLIPImageProcessorPil.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    )
    assert len(processor.tokenizer) == model.config.text_config.vocab_size
    # Under use_square_size transformers resizes to 224 whatever the file says, so the micro
    # config's pixels come from the renderer's own path.
    inputs = processor(
        text="<grounding> An image of",
        images=shapes.render(shapes.random_scene(np.random.default_rng(0)), 64),
        num_image_tokens=MICRO.latents,
        return_tensors="pt",
    )
    size = MICRO.image_size
    inputs["pixel_values"] = inputs["pixel_values"][:, :, :size, :size]
    ids = model.generate(**inputs, max_new_tokens=5, do_sample=False)
    assert ids.shape[1] > inputs["input_ids"].shape[1]


def test_the_command_line_trains_exports_and_resumes(tmp_path: Path) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("A dog runs over the grass .\n" * 20, encoding="utf-8")
    out = tmp_path / "run"
    arguments = ["--captions", str(captions), "--out", str(out), "--config", "micro"]
    training.main([*arguments, "--steps", "2"])
    first = (out / "export" / "model.safetensors").read_bytes()
    with pytest.raises(SystemExit):  # a run is not overwritten unasked
        training.main([*arguments, "--steps", "3"])
    training.main([*arguments, "--steps", "3", "--resume"])
    assert (out / "export" / "model.safetensors").read_bytes() != first
    assert not list(out.rglob("*.partial"))


def test_the_shipped_folder_is_complete_and_small() -> None:
    from safetensors import safe_open

    folder = Path(training.__file__).parents[1] / "pocket"
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names >= {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum((folder / name).stat().st_size for name in names) < 8_000_000
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        table = weights.get_slice("text_model.model.embed_tokens.weight").get_shape()
    stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert table[0] == stored.get_vocab_size()

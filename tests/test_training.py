"""The recipe of `pocket`: tokenizer, knowledge, targets, batches, resumable runs, export."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

import kosmoscope
from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.words import CLASS_NAMES, SYNONYMS, counted, plain
from kosmoscope.export.nouns import article, plural
from kosmoscope.files.writing import write_text
from kosmoscope.model.checkpoint import VISION, Checkpoint
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.detector.shapes import expected_shapes
from kosmoscope.tokens import TAGS, location_token
from recipes.pocket import fit
from recipes.pocket.batches import Batcher, deviation, spread
from recipes.pocket.features import NO_MASK, TOWER, Views
from recipes.pocket.knowledge import Found, Knowledge, know
from recipes.pocket.names import Names
from recipes.pocket.naming import NAMES
from recipes.pocket.prepare import corpus
from recipes.pocket.records import Record, crop, read_set
from recipes.pocket.regions import REGIONS, RegionHead, all_regions
from recipes.pocket.targets import examples
from recipes.pocket.tokenizer import (
    LOCATION_COUNT,
    build_tokenizer,
    save_tokenizer,
)
from training_cases import BENCH, BOX, DOG, NO_REGIONS, pair, rows, scene

# torch and transformers announce their own deprecations; they are not ours to fix.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lines() -> list[str]:
    texts = list(corpus([scene(), pair()] * 30))
    return [*texts, *(f"A {name} next to {plural(name)} ." for name in CLASS_NAMES)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_tokenizer(lines(), ordinary_pieces=300, reserved_slots=64)


# --- tokenizer ------------------------------------------------------------------------------


def test_layout_is_that_of_the_released_vocabulary(tokenizer: Tokenizer) -> None:
    size = tokenizer.get_vocab_size()
    assert [tokenizer.id_to_token(i) for i in range(4)] == ["<s>", "<pad>", "</s>", "<unk>"]
    tail = ["<mask>", *TAGS, *(location_token(cell) for cell in range(LOCATION_COUNT))]
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


def test_the_same_corpus_gives_the_same_pieces(tokenizer: Tokenizer) -> None:
    again = build_tokenizer(lines(), ordinary_pieces=300, reserved_slots=64)
    assert again.get_vocab().keys() == tokenizer.get_vocab().keys()


def test_a_corpus_too_small_for_the_image_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="image slots"):
        build_tokenizer(["a cat"], ordinary_pieces=100, reserved_slots=500)


def test_processor_adds_nothing_to_the_vocabulary(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, Kosmos2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    save_tokenizer(tokenizer, tmp_path)
    write_text(tmp_path / "config.json", '{"model_type": "kosmos-2"}')
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    Kosmos2Processor(CLIPImageProcessorPil(), loaded)
    assert len(loaded) == tokenizer.get_vocab_size()
    text = "<grounding> An image of<phrase> two dogs</phrase>"
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert loaded(text, add_special_tokens=False)["input_ids"] == expected


# --- records and words ----------------------------------------------------------------------


def test_sets_are_read_and_windows_cut(tmp_path: Path) -> None:
    picture, mask = Image.new("RGB", (40, 20), (200, 10, 10)), Image.new("L", (40, 20), 3)
    for name, image, file in (("toy", picture, "a.jpg"), ("toy-masks", mask, "a.png")):
        stream = io.BytesIO()
        image.save(stream, "JPEG" if file.endswith("jpg") else "PNG")
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            member = tarfile.TarInfo(file)
            member.size = stream.tell()
            stream.seek(0)
            tar.addfile(member, stream)
    boxes = [{"label": "dog", "xyxy": [0.5, 0, 1, 1], "stuff": False},
             {"label": "cat", "xyxy": [0, 0, 0.5, 1], "stuff": False}]  # fmt: skip
    (tmp_path / "toy.jsonl").write_text(json.dumps({
        "file": "a.jpg", "boxes": boxes, "captions": [], "scene": None, "label": None,
        "labels_complete": True}) + "\n")  # fmt: skip
    ((record, image, found),) = read_set(tmp_path, "toy")
    assert found is not None
    assert found[0, 0] == 3
    assert Record.from_json(record.to_json()) == record
    cut, small, window = crop(record, image, found, (0.25, 0, 1, 1), "crop0")
    assert small.size == (30, 20)
    assert window is not None
    assert window.shape == (20, 30)
    assert cut.boxes[0] == Truth("dog", (0.3333, 0.0, 1.0, 1.0))
    assert [b.label for b in cut.boxes] == ["dog", "cat"]  # half of the cat is left
    cut, *_ = crop(record, image, found, (0.4, 0, 1, 1), "crop1")
    assert [b.label for b in cut.boxes] == ["dog"]


@pytest.mark.parametrize(("name", "wanted"), [("coco", 0.25), ("intel", 0.12)])
def test_a_share_is_held_out_by_name(name: str, wanted: float) -> None:
    share = np.mean([Record(name, f"{i:012d}.jpg").held_out for i in range(4000)])
    assert wanted - 0.02 < share < wanted + 0.02
    one = Record("coco", "000000000001.jpg")
    assert one.held_out == Record("coco", "000000000001.jpg", view="crop1").held_out


def test_words() -> None:
    assert len(CLASS_NAMES) == 80
    assert [counted("person", n) for n in (1, 3, 12)] == ["a person", "three people", "many people"]
    assert [counted("scissors", 1), article("umbrella"), plural("knife")] == [
        "scissors", "an", "knives"]  # fmt: skip
    assert [plain("Labrador retriever"), plain("Joshua tree")] == ["dog", "Joshua tree"]
    assert set(SYNONYMS) <= {*CLASS_NAMES, *REGIONS}


# --- training -------------------------------------------------------------------------------


def test_targets_are_spread_by_how_likely_a_box_is() -> None:
    for right in (0.3, 0.6, 0.9):
        corner = torch.tensor([[16.5 / 32, 16.5 / 32, deviation(right)]])  # mid-cell
        grid = spread(corner).reshape(32, 32)
        assert grid.sum().item() == pytest.approx(1)
        # The engine's score: the mass within one cell, of both corners.
        mass = grid[15:18, 15:18].sum().item()
        assert mass**2 == pytest.approx(right, abs=0.02)


@pytest.fixture(scope="module")
def views() -> Views:
    rng = np.random.default_rng(0)
    records = [Record("flickr8k", f"{i}.jpg") for i in range(24)]
    seen = np.stack([rows((DOG, 0.8, BOX), (BENCH, 0.6, (0, 0, 1, 0.5)))] * 24)
    side = TOWER.grid
    half = np.float16
    return Views(
        records, seen, rng.normal(size=(24, 112, 2 * side, 2 * side)).astype(half),
        rng.normal(size=(24, 320, side, side)).astype(half),
        rng.normal(size=(24, 1280)).astype(half),
        np.full((24, 2 * side, 2 * side), NO_MASK, np.uint8),
    )  # fmt: skip


def names(count: int = 24, share: float = 0.9) -> Names:
    shares = np.zeros((count, 2, TOWER.names), np.float16)
    shares[:, :, NAMES.index("pagoda")] = share
    boxes = np.tile(np.array([0.1, 0.5, 0.3, 1.0], np.float32), (count, 1))
    return Names(shares, boxes, np.array([[0, 0], [1, 1]], np.float32), {})


def new_run(views: Views, tokenizer: Tokenizer) -> fit.Run:
    torch.manual_seed(0)
    regions, called = all_regions(RegionHead().eval(), views), names()
    known = [
        know(r, views.detections[i], (regions[0][i], regions[1][i]),
             called.of(called.shares[i], called.boxes[i]))
        for i, r in enumerate(views.records)
    ]  # fmt: skip
    batcher = Batcher(views, known, regions, called, tokenizer, 64, 2)
    return fit.Run(batcher, tokenizer, fit.Recipe(steps=3, batch=2, warmup=1))


def advance(run: fit.Run) -> None:
    run.advance(run.batcher.at(run.step))


@pytest.fixture(scope="module")
def trained(views: Views, tokenizer: Tokenizer) -> fit.Run:
    run = new_run(views, tokenizer)
    for batch in fit.Steps(run.batcher, run.step, 3).made_by(0):
        run.advance(batch)
    return run


def test_a_resumed_run_ends_where_it_would_have(
    trained: fit.Run, views: Views, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    run = new_run(views, tokenizer)
    advance(run)
    run.save(tmp_path / "checkpoint.pt")
    resumed = new_run(views, tokenizer)
    resumed.load(tmp_path / "checkpoint.pt")
    for batch in fit.Steps(resumed.batcher, resumed.step, 3).made_by(0):
        resumed.advance(batch)
    assert resumed.step == 3
    ours, theirs = resumed.model.state_dict(), trained.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all(torch.equal(resumed.average[n], trained.average[n]) for n in theirs)


def test_what_is_exported_is_a_running_mean(
    views: Views, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    run = new_run(views, tokenizer)
    name = next(n for n, p in run.model.named_parameters() if p.ndim > 1)
    first = run.model.state_dict()[name].clone()
    advance(run)
    after_one = run.model.state_dict()[name].clone()
    # The first steps count more, so that the mean soon forgets where it began: 2 / 11 after one.
    torch.testing.assert_close(run.average[name], first + (1 - 2 / 11) * (after_one - first))
    assert torch.equal(run.averaged().state_dict()[name], run.average[name])
    assert torch.equal(run.model.state_dict()[name], after_one)
    run.save(tmp_path / "one.pt")
    other = new_run(views, tokenizer)
    other.start_from(tmp_path / "one.pt")
    assert other.step == 0
    assert torch.equal(other.model.state_dict()[name], run.average[name])


def test_borrowed_regions_and_texts_belong_together(views: Views, tokenizer: Tokenizer) -> None:
    count = len(views.records)
    sky, water = Found((0.0, 0.0, 1.0, 0.4), 0.7), Found((0.0, 0.5, 1.0, 1.0), 0.7)
    known = [Knowledge(stuff={"sky": sky} if i % 2 else {"water": water}) for i in range(count)]
    measures = np.zeros((count, len(REGIONS), 2), np.float32)
    for i in range(count):
        measures[i, REGIONS.index("sky" if i % 2 else "water")] = 0.4
    boxes = np.zeros((count, len(REGIONS), 4), np.float32)
    batcher = Batcher(views, known, (measures, boxes), names(share=0.0), tokenizer, 64, 4)
    borrowed = named = 0
    for step in range(40):
        chosen = np.random.default_rng([0, step]).choice(batcher.rows, 4, p=batcher.weights)
        batch = batcher.at(step)
        for row, picture in enumerate(chosen):
            words = tokenizer.decode(batch.ids[row].tolist())
            (shown,) = batch.seen.region_measures[row, :, 0].nonzero()[:, 0].tolist()
            right, wrong = (
                ("the sky", "water") if shown == REGIONS.index("sky") else ("water", "the sky")
            )
            assert f"<phrase> {wrong}</phrase>" not in words
            named += f"<phrase> {right}</phrase>" in words
            borrowed += REGIONS[shown] not in known[int(picture)].stuff
    assert named > 80
    assert 10 < borrowed < 60, "of 160: two in five borrow, and half of those from their own kind"


def test_tasks_side_by_side_see_what_they_would_see_alone(trained: fit.Run) -> None:
    batcher, model = trained.batcher, trained.model.eval()
    tasks = list(examples(pair(), np.random.default_rng(3)))
    assert len(tasks) > 1
    seen = batcher.at(0).seen
    seen = type(seen)(*(getattr(seen, name)[:1] for name in vars(seen)))
    with torch.no_grad():
        images = model.look(seen)
        together = batcher.collate(seen, [tasks])
        hidden = model.read(images, together.ids, together.positions, together.mask)
        packed = hidden[together.labels != -100]
        for task in tasks:
            alone = batcher.collate(seen, [[task]])
            wanted = model.read(images, alone.ids, alone.positions, alone.mask)
            wanted = wanted[alone.labels != -100]
            torch.testing.assert_close(packed[: len(wanted)], wanted, rtol=1e-4, atol=1e-4)
            packed = packed[len(wanted) :]
    assert len(packed) == 0


def test_the_exported_folder_is_a_checkpoint(trained: fit.Run, tmp_path: Path) -> None:
    frozen = {
        name.removeprefix(VISION): np.zeros(shape, np.float32)
        for name, shape in expected_shapes(TOWER, VISION)
        if "embeddings." not in name
    }
    fit.export(trained.model, trained.tokenizer, frozen, tmp_path)
    config = ModelConfig.from_file(tmp_path / "config.json")
    stored = Checkpoint((tmp_path / "model.safetensors",), config)
    # Statistics of what comes in are folded into the projection.
    e = trained.model.embeddings
    x = torch.randn(1280)
    with torch.no_grad():
        wanted = e.whole((x - e.whole_mean) / e.whole_std)
    key = VISION + "embeddings.whole"
    found = stored.tensor(key + ".weight") @ x.numpy() + stored.tensor(key + ".bias")
    assert np.abs(found - wanted.numpy()).max() < 0.05
    assert not list(tmp_path.glob(".*.part"))


def test_the_shipped_folder_is_complete_and_small() -> None:
    folder = Path(kosmoscope.__file__).parent / "pocket"
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names >= {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum((folder / name).stat().st_size for name in names) <= 27_000_000
    config = ModelConfig.from_file(folder / "config.json")
    Checkpoint((folder / "model.safetensors",), config)
    shipped = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert shipped.get_vocab_size() == config.text.vocab_size


def test_the_main_thing_is_called_what_its_names_say(views: Views, tokenizer: Tokenizer) -> None:
    count = len(views.records)
    called, known = names(share=0.95), [Knowledge() for _ in range(count)]
    nothing = (np.zeros((count, len(REGIONS), 2), np.float32),
               np.zeros((count, len(REGIONS), 4), np.float32))  # fmt: skip
    for i, record in enumerate(views.records):
        known[i] = know(record, rows(), NO_REGIONS, called.of(called.shares[i], called.boxes[i]))
        assert known[i].called == "pagoda"
    batcher = Batcher(views, known, nothing, called, tokenizer, 64, 4)
    batcher.pool = {}
    others = 0
    for step in range(30):
        batch = batcher.at(step)
        for row in range(4):
            said = tokenizer.decode(batch.ids[row].tolist(), skip_special_tokens=True)
            mean = batch.seen.name_shares[row].mean(0)
            name, sure = NAMES[int(mean.argmax())], float(mean.max())
            others += name != "pagoda"
            if sure >= 0.8:
                assert name.split()[0] in said
            elif sure < 0.5:
                assert name not in said
    assert others > 5

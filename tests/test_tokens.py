"""Ids, tags and geometry against transformers, and damaged tokenizers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers
from transformers import AutoTokenizer, Kosmos2Processor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.kosmos2.processing_kosmos2 import (
    coordinate_to_patch_index,
    patch_index_to_coordinate,
)

import tiny_tokenizer
from effort import effort, grows_linearly
from kosmoscope.errors import BoxError, PromptError, TokenizerError
from kosmoscope.tokens import (
    TAGS,
    Tokenizer,
    TokenSet,
    cells_to_xyxy,
    covering_cells,
    xyxy_to_cells,
)

GOLDEN = (
    "<grounding> An image of<phrase> a forest with fog</phrase>"
    "<object><patch_index_0224><patch_index_1023></object>"
)
PROMPTS = (
    GOLDEN,
    "<grounding> An image of",
    "<grounding> Describe this image in detail:",
    "<grounding><phrase> a snowman</phrase>",
    "<grounding><phrase> It</phrase><object><patch_index_0044><patch_index_0863></object> is",
    "<grounding> Question: Where is<phrase> the fire</phrase><object><patch_index_0005>"
    "<patch_index_0911></object> next to? Answer:",
    "An image of <phrase> a dog </phrase> <object> <patch_index_0001> <patch_index_0002> "
    "</delimiter_of_multi_objects/> <patch_index_0003> <patch_index_0040> </object> .",
    "a < b and c > d",
    "  spaces   here ",
    "",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer.save(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(folder / "tokenizer.json")


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    hf = AutoTokenizer.from_pretrained(folder)
    size = len(hf)
    processor = Kosmos2Processor(CLIPImageProcessorPil(), hf)
    assert len(processor.tokenizer) == size, "the processor added tokens: the file lacked them"
    return processor


# Vocabulary


def test_the_layout_is_the_released_one(tokenizer: Tokenizer) -> None:
    t = tokenizer.tokens
    assert (t.bos, t.pad, t.eos, t.unk) == (0, 1, 2, 3)
    mask = 4 + 120
    assert (t.image_open, t.image_close) == (mask + 2, mask + 3)
    assert (t.phrase_open, t.phrase_close) == (mask + 6, mask + 7)
    assert (t.object_open, t.object_close, t.delimiter, t.grounding) == tuple(
        mask + i for i in (8, 9, 10, 11)
    )
    assert (t.first_location, t.location_count, t.side) == (mask + 12, 1024, 32)
    assert t.vocab_size == tokenizer.size == mask + 12 + 1024
    assert t.markup == {0, 1, 2, 3, *range(mask, mask + 12)}
    assert [i for i in range(-2, t.vocab_size + 2) if t.is_text(i)] == list(range(4, mask))
    assert [i for i in range(-2, t.vocab_size + 2) if t.is_location(i)] == [
        t.location_id(c) for c in range(1024)
    ]
    assert t.cell(t.location_id(77)) == 77


@pytest.mark.parametrize("cell", [-1, 1024])
def test_a_cell_that_is_not_there(tokenizer: Tokenizer, cell: int) -> None:
    with pytest.raises(BoxError, match=r"0\.\.1023"):
        tokenizer.tokens.location_id(cell)
    with pytest.raises(ValueError, match="not a location"):
        tokenizer.tokens.cell(tokenizer.tokens.first_location + cell)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tagged_text_encodes_and_decodes_as_in_transformers(
    tokenizer: Tokenizer, processor: Any, prompt: str
) -> None:
    ids = tokenizer.encode_tagged(prompt)
    assert ids == processor.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert ids == processor(text=prompt)["input_ids"][1:]
    (expected,) = processor.batch_decode([ids], skip_special_tokens=True)
    assert tokenizer.decode(ids, keep_tags=True) == expected


def test_the_golden_case_survives_unchanged(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_tagged(GOLDEN)
    assert tokenizer.decode(ids, keep_tags=True) == GOLDEN
    assert tokenizer.decode(ids) == "An image of a forest with fog"
    assert "".join(map(tokenizer.piece, ids)) == " An image of a forest with fog"


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 1159), max_size=40))
def test_any_ids_decode_as_in_transformers(
    tokenizer: Tokenizer, processor: Any, ids: list[int]
) -> None:
    for special in (False, True):
        (expected,) = processor.batch_decode([ids], skip_special_tokens=not special)
        assert tokenizer.decode(ids, keep_tags=True, keep_special=special) == expected


def test_ids_outside_the_vocabulary_are_nothing(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([-1, 5, 10**6], keep_tags=True) == tokenizer.decode([5])
    assert tokenizer.piece(-1) == tokenizer.piece(10**6) == ""


# Users' text


def test_plain_text(tokenizer: Tokenizer) -> None:
    for text in ("a dog", "a < b and c > d", "<phrase", "phrase>", "<patch index 1>", "</>"):
        ids = tokenizer.encode(text)
        assert all(map(tokenizer.tokens.is_text, ids))
        assert tokenizer.decode(ids) == text
    assert tokenizer.tokens.unk in tokenizer.encode("a 雪 dog")


@pytest.mark.parametrize(
    "markup",
    [*TAGS, "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<patch_index_0001>", "<patch_index_99999>"],
)
def test_markup_in_users_text_is_refused_by_name(tokenizer: Tokenizer, markup: str) -> None:
    for text in (markup, f"a dog{markup}", f"it said {markup} and left"):
        with pytest.raises(PromptError, match=markup.replace(".", r"\.")):
            tokenizer.encode(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), (" \n\t", "empty"), ("a\0b", "NUL .* 1"), ("ab\ud800", "surrogate .* 2")],
)
def test_unusable_text(tokenizer: Tokenizer, text: str, message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        tokenizer.encode(text)
    assert "\n" not in str(caught.value)
    if text.strip():
        with pytest.raises(PromptError, match=message):
            tokenizer.encode_tagged(text)
    else:
        assert tokenizer.encode_tagged(text) == []


def test_look_alikes_that_normalisation_turns_into_markup_are_refused(tmp_path: Path) -> None:
    backend = tiny_tokenizer.build_tokenizer()
    backend.normalizer = normalizers.NFKC()
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert tokenizer.tokens.eos in tokenizer.encode_tagged("a ＜/s＞ b"), "nothing to guard against"
    with pytest.raises(PromptError, match="look-alike of '</s>'"):
        tokenizer.encode("a ＜/s＞ b")
    assert all(map(tokenizer.tokens.is_text, tokenizer.encode("a ＜phrase＞ b")))


# Files


def test_a_tokenizer_of_the_released_size_is_read_once_through(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(tiny_tokenizer.save(tmp_path, pieces=63_997))
    assert tokenizer.size == 65_037
    assert tokenizer.tokens.first_location == 64_013
    sizes = (4_000, 8_000, 16_000)
    paths = [tiny_tokenizer.save(tmp_path / str(n), pieces=n) for n in sizes]
    efforts = [effort(lambda path=path: Tokenizer.from_file(path)) for path in paths]
    assert grows_linearly([e.total for e in efforts])
    assert efforts[-1].total < 16 * sizes[-1]
    assert efforts[-1].calls["from_str"] == 1, "the library's own reading is the slow part"


def test_a_grid_of_another_size(tmp_path: Path) -> None:
    tokens = Tokenizer.from_file(tiny_tokenizer.save(tmp_path, locations=16)).tokens
    assert (tokens.side, tokens.location_count) == (4, 16)


def test_truncation_and_padding_in_the_file_are_not_obeyed(tmp_path: Path) -> None:
    backend = tiny_tokenizer.build_tokenizer()
    backend.enable_truncation(2)
    backend.enable_padding(length=50)
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode("An image of a dog")) == "An image of a dog"


Edit = Callable[[dict[str, Any]], object]


def _rename(old: str, new: str) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        for token in data["added_tokens"]:
            if token["content"] == old:
                token["content"] = new

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d["model"].update(type="BPE"), "expected Unigram"),
        (lambda d: d.pop("model"), "not a tokenizer.json"),
        (lambda d: d["model"].update(vocab=[1, 2]), "not a tokenizer.json"),
        (lambda d: d["model"].update(unk_id=10**9), "cannot be loaded"),
        (lambda d: d["model"].update(byte_fallback=True), "byte fallback"),
        (lambda d: d.update(pre_tokenizer=None), "pre_tokenizer is not a Metaspace"),
        (lambda d: d["decoder"].update(replacement="_"), "decoder is not a Metaspace"),
        (_rename("<phrase>", "<phrases>"), "without <phrase>"),
        (_rename("<patch_index_0007>", "<patch_index_7>"), "id 143 is <patch_index_7>"),
        (_rename("<patch_index_0007>", "<other>"), "<patch_index_0007> at id 143"),
        (lambda d: d["added_tokens"].pop(), "1023 location tokens; expected a square"),
        (lambda d: d["added_tokens"].pop(10), "does not fit"),
        (lambda d: d["added_tokens"].append({"id": "x", "content": "y"}), "not a tokenizer.json"),
        (lambda d: d.update(added_tokens=d["added_tokens"][:16]), "without location tokens"),
    ],
)
def test_a_wrong_tokenizer_is_refused(
    folder: Path, tmp_path: Path, edit: Edit, message: str
) -> None:
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    edit(data)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(TokenizerError, match=message) as caught:
        Tokenizer.from_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b"version https://lfs"]
)
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: not ") as caught:
        Tokenizer.from_file(path)
    assert "\n" not in str(caught.value)


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"nothing\.json: cannot be read"):
        Tokenizer.from_file(tmp_path / "nothing.json")


def test_a_config_that_disagrees(tokenizer: Tokenizer) -> None:
    right = {"vocab_size": 1160, "bos": 0, "pad": 1, "eos": 2}
    tokenizer.check_matches(**right, file="config.json")
    for name, wrong in {"vocab_size": 1161, "bos": 1, "pad": 0, "eos": 3}.items():
        with pytest.raises(TokenizerError) as caught:
            tokenizer.check_matches(**{**right, name: wrong}, file="config.json")
        message = str(caught.value)
        assert "config.json" in message
        assert "tokenizer.json" in message
        assert f"{name}" in message
        assert f"is {right[name]} in the tokenizer and {wrong} in the config" in message


# Geometry


def test_all_pairs_of_cells_against_transformers() -> None:
    """All 1,048,576 pairs: the ordered ones come back from their box, the others are refused."""
    side = 32
    cells = np.arange(side * side)
    rows, columns = np.divmod(cells, side)
    ordered = (rows[None] >= rows[:, None]) & (columns[None] >= columns[:, None])
    assert ordered.sum() == (side * (side + 1) // 2) ** 2 == 278_784
    for ul in range(side * side):
        good = ordered[ul].tolist()
        for lr in range(side * side):
            if good[lr]:
                xyxy = cells_to_xyxy(ul, lr, side)
                assert xyxy == patch_index_to_coordinate(ul, lr, side)
                assert xyxy_to_cells(xyxy, side) == (ul, lr)
            else:
                try:
                    cells_to_xyxy(ul, lr, side)
                except BoxError:
                    continue
                pytest.fail(f"the inverted pair {ul}, {lr} was taken")


def test_golden_boxes() -> None:
    assert cells_to_xyxy(224, 1023, 32) == (0.015625, 0.234375, 0.984375, 0.984375)
    assert cells_to_xyxy(44, 863, 32) == (0.390625, 0.046875, 0.984375, 0.828125)
    assert cells_to_xyxy(5, 911, 32) == (0.171875, 0.015625, 0.484375, 0.890625)


def test_whole_cells_where_the_corners_share_a_row_or_a_column() -> None:
    assert cells_to_xyxy(0, 0, 32) == (0, 0, 1 / 32, 1 / 32)
    assert cells_to_xyxy(33, 35, 32) == (1 / 32, 1 / 32, 4 / 32, 2 / 32)
    assert cells_to_xyxy(33, 97, 32) == (1 / 32, 1 / 32, 2 / 32, 4 / 32)
    assert cells_to_xyxy(0, 1023, 32) == (1 / 64, 1 / 64, 63 / 64, 63 / 64)


@pytest.mark.parametrize("pair", [(-1, 5), (0, 1024), (1024, 1024), (5, -1)])
def test_cells_that_are_not_on_the_grid(pair: tuple[int, int]) -> None:
    with pytest.raises(BoxError, match="not on the grid"):
        cells_to_xyxy(*pair, 32)


@pytest.mark.parametrize("side", [*range(1, 22), 64])
def test_other_grids_come_back_too(side: int) -> None:
    for ul in range(0, side * side, 1 if side < 8 else 7):
        for lr in range(ul, side * side, 1 if side < 8 else 13):
            if lr % side >= ul % side:
                assert xyxy_to_cells(cells_to_xyxy(ul, lr, side), side) == (ul, lr)


@settings(deadline=None)
@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_any_box_quantises_as_in_transformers_and_onto_the_grid(
    xyxy: tuple[float, float, float, float],
) -> None:
    x1, y1, x2, y2 = xyxy
    if not (x1 < x2 and y1 < y2):
        with pytest.raises(BoxError):
            xyxy_to_cells(xyxy, 32)
        return
    ul, lr = xyxy_to_cells(xyxy, 32)
    assert 0 <= ul <= lr < 1024
    assert ul % 32 <= lr % 32
    if min(x2, y2) > 1e-12:  # below, 32 * x - 1 rounds to -1 there: a cell before the first
        assert (ul, lr) == coordinate_to_patch_index(xyxy, 32)
    left, top = ul % 32, ul // 32
    assert left / 32 <= x1
    assert top / 32 <= y1
    assert (lr % 32 + 1) / 32 >= x2
    assert (lr // 32 + 1) / 32 >= y2


def test_transformers_leaves_the_grid_where_we_do_not() -> None:
    """Trap 3: neither ends of the range are checked or clamped there."""
    assert coordinate_to_patch_index((0.1, 0.1, 1.2, 1.2), 32)[1] > 1023
    assert coordinate_to_patch_index((0.0, 0.0, 1e-20, 1e-20), 32)[1] < 0
    with pytest.raises(BoxError):
        xyxy_to_cells((0.1, 0.1, 1.2, 1.2), 32)
    assert xyxy_to_cells((0.0, 0.0, 1e-20, 1e-20), 32) == (0, 0)
    assert xyxy_to_cells((math.nextafter(1, 0), 0, 1, 1), 32) == (31, 1023)


def test_unchecked_boxes_stay_on_the_grid_too() -> None:
    assert covering_cells((-0.1, -0.1, 1.2, 1.2), 32) == (0, 1023)
    assert covering_cells((1.5, 1.5, 2, 2), 32) == (1023, 1023)
    assert covering_cells((0.5, 0.5, 0.5, 0.25), 32) == (16 * 32 + 16,) * 2


@pytest.mark.parametrize(
    "box",
    [
        (0.1, 0.1, math.nan, 0.5),
        (0.1, 0.1, math.inf, 0.5),
        (-0.1, 0.1, 0.5, 0.5),
        (0.5, 0.1, 0.4, 0.5),
        (0.1, 0.5, 0.5, 0.5),
        (0.1, 0.5, 0.9),
        "abcd",
        5,
    ],
)
def test_boxes_that_are_none(box: Any) -> None:
    with pytest.raises(BoxError):
        xyxy_to_cells(box, 32)


def test_boxes_in_any_numeric_sequence() -> None:
    """Trap 4: transformers takes tuples of Python floats only."""
    box = (0.0, 0.25, 1.0, 0.5)
    expected = (256, 511)
    assert xyxy_to_cells(box, 32) == expected
    assert xyxy_to_cells(list(box), 32) == expected
    assert xyxy_to_cells(np.array(box), 32) == expected
    assert xyxy_to_cells(np.array(box, np.float32), 32) == expected
    assert xyxy_to_cells((0, 0.25, 1, 0.5), 32) == expected


@pytest.mark.parametrize(("count", "vocabulary"), [(0, 2000), (1000, 2000), (1024, 1030)])
def test_token_sets_that_cannot_be(tokenizer: Tokenizer, count: int, vocabulary: int) -> None:
    with pytest.raises(TokenizerError, match="location tokens"):
        TokenSet(*range(12), 12, count, vocabulary, frozenset(range(12)))

"""The automaton exhaustively over a small vocabulary; the parser on walks, noise and damage."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmoscope.errors import PromptError
from kosmoscope.grammar import (
    CellBox,
    EntityTokens,
    Event,
    Grammar,
    Malformed,
    Parser,
    Place,
    State,
    TextToken,
)
from kosmoscope.tokens import TokenSet

# <s> <pad> </s> <unk>, six pieces, <mask>, eleven tags, a grid of 4 x 4.
BOS, PAD, EOS, UNK, A, B, C, MASK = 0, 1, 2, 3, 4, 5, 6, 10
DOC, IMAGE, IMAGE_, CHUNK, LINE, P, P_, O, O_, D, G = range(11, 22)  # noqa: E741
L0 = 22
SIDE = 4
CELLS = SIDE * SIDE
TOKENS = TokenSet(
    bos=BOS,
    pad=PAD,
    eos=EOS,
    unk=UNK,
    image_open=IMAGE,
    image_close=IMAGE_,
    phrase_open=P,
    phrase_close=P_,
    object_open=O,
    object_close=O_,
    delimiter=D,
    grounding=G,
    first_location=L0,
    location_count=CELLS,
    vocab_size=L0 + CELLS,
    markup=frozenset({BOS, PAD, EOS, UNK, *range(MASK, L0)}),
)
TEXTS = list(range(4, 10))
STATES = [
    *(State(place) for place in Place if place is not Place.LOWER_RIGHT),
    *(State(Place.LOWER_RIGHT, cell) for cell in range(CELLS)),
]


def loc(*cells: int) -> list[int]:
    return [L0 + cell for cell in cells]


def parse(ids: list[int]) -> list[Event]:
    parser = Parser(TOKENS)
    return [e for i in ids for e in parser.feed(i)] + list(parser.finish())


def entities(ids: list[int]) -> list[EntityTokens]:
    return [e for e in parse(ids) if isinstance(e, EntityTokens)]


def reasons(ids: list[int]) -> list[tuple[int, str]]:
    return [(e.index, e.reason) for e in parse(ids) if isinstance(e, Malformed)]


def allowed_ids(grammar: Grammar, state: State) -> list[int]:
    return [int(i) for i in np.flatnonzero(grammar.allowed_mask(state))]


# The automaton


@pytest.mark.parametrize("grounded", [True, False])
@pytest.mark.parametrize("state", STATES, ids=str)
def test_exactly_the_allowed_tokens_advance(state: State, grounded: bool) -> None:
    grammar = Grammar(TOKENS, grounded=grounded)
    allowed = allowed_ids(grammar, state)
    for i in range(-2, TOKENS.vocab_size + 2):
        assert (grammar.advance(state, i) is not None) == (i in allowed)
    assert grammar.allowed_mask(state).shape == (TOKENS.vocab_size,)
    assert grammar.allowed_cells(state).shape == (CELLS,)
    cells = [i for i in allowed if TOKENS.is_location(i)]
    assert loc(*np.flatnonzero(grammar.allowed_cells(state)).tolist()) == cells


def test_what_is_allowed_is_what_the_paper_writes() -> None:
    grammar = Grammar(TOKENS)
    everywhere = loc(*range(CELLS))
    expected = {
        Place.TEXT: [EOS, *TEXTS, P],
        Place.PHRASE_START: TEXTS,
        Place.PHRASE: [*TEXTS, P_],
        Place.AFTER_PHRASE: [O],
        Place.UPPER_LEFT: everywhere,
        Place.AFTER_BOX: [O_, D],
        Place.END: [],
    }
    for place, ids in expected.items():
        assert allowed_ids(grammar, State(place)) == ids
    for cell in range(CELLS):
        left, top = cell % SIDE, cell // SIDE
        below = [i for i in range(CELLS) if i % SIDE >= left and i // SIDE >= top]
        assert allowed_ids(grammar, State(Place.LOWER_RIGHT, cell)) == loc(*below)


def test_without_grounding_there_is_text_only() -> None:
    grammar = Grammar(TOKENS, grounded=False)
    assert allowed_ids(grammar, grammar.start()) == [EOS, *TEXTS]


def test_masks_are_shared_and_cannot_be_written() -> None:
    grammar = Grammar(TOKENS)
    for state in STATES:
        masks = [grammar.allowed_cells]
        if state.place is not Place.LOWER_RIGHT:
            masks.append(grammar.allowed_mask)
        for mask in masks:
            assert mask(state) is mask(State(state.place, state.upper_left))
            with pytest.raises(ValueError, match="read-only"):
                mask(state)[0] = True


def test_only_structure_is_forced() -> None:
    """A corner is never forced, even where one cell is left: boxes are scored by its logits."""
    grammar = Grammar(TOKENS)
    for state in STATES:
        forced = grammar.forced(state)
        assert forced == (O if state.place is Place.AFTER_PHRASE else None)
        if forced is not None:
            assert allowed_ids(grammar, state) == [forced]


@pytest.mark.parametrize("grounded", [True, False])
def test_the_end_can_be_reached_from_everywhere(grounded: bool) -> None:
    grammar = Grammar(TOKENS, grounded=grounded)
    reaching = {State(Place.END)}
    for _ in STATES:
        for state in STATES:
            if any(grammar.advance(state, i) in reaching for i in allowed_ids(grammar, state)):
                reaching.add(state)
    assert reaching == set(STATES)


@pytest.mark.parametrize(
    ("prompt", "place"),
    [
        ([], Place.TEXT),
        ([BOS, G, A, B], Place.TEXT),
        ([BOS, IMAGE, A, P, O_, 99, IMAGE_, G, A], Place.TEXT),
        ([BOS, G, P, A, P_], Place.AFTER_PHRASE),
        ([G, P], Place.PHRASE_START),
        ([G, P, A], Place.PHRASE),
        ([G, P, UNK, P_], Place.AFTER_PHRASE),
        ([G, P, A, P_, O, *loc(0, 5), O_, B], Place.TEXT),
        ([G, P, A, P_, O], Place.UPPER_LEFT),
        ([G, P, A, P_, O, *loc(0, 5)], Place.AFTER_BOX),
        ([G, P, A, P_, O, *loc(0, 5), D], Place.UPPER_LEFT),
        ([G, O, *loc(0, 5), O_], Place.TEXT),
        ([G, A, P, B, P_, C], Place.TEXT),
        ([G, P, B, P_, P, C, P_], Place.AFTER_PHRASE),
        ([A, EOS, BOS, B], Place.TEXT),
        ([P, A, P_, EOS, B], Place.TEXT),
        ([PAD, PAD, BOS, DOC, CHUNK, LINE, A], Place.TEXT),
    ],
)
def test_prompts_leave_a_state_to_go_on_from(prompt: list[int], place: Place) -> None:
    for grounded in (True, False):
        assert Grammar(TOKENS, grounded=grounded).state_after(prompt) == State(place)


def test_a_prompt_may_end_inside_a_box() -> None:
    state = Grammar(TOKENS).state_after([P, A, P_, O, *loc(6)])
    assert state == State(Place.LOWER_RIGHT, 6)


@pytest.mark.parametrize(
    ("prompt", "index"),
    [
        ([A, P_], 1),
        ([P, P_], 1),
        ([P, A, P], 2),
        ([P, A, EOS], 2),
        ([A, *loc(1)], 1),
        ([A, O, B], 2),
        ([O, *loc(5, 0), O_], 2),
        ([O, *loc(0), O_], 2),
    ],
)
def test_malformed_prompts_are_refused(prompt: list[int], index: int) -> None:
    with pytest.raises(PromptError, match=rf"token {index} of the prompt .* out of place"):
        Grammar(TOKENS).state_after(prompt)


# The parser on well-formed text


@pytest.mark.parametrize("seed", range(200))
def test_random_walks_parse_to_what_was_walked(seed: int) -> None:
    """The automaton and the parser agree: nothing malformed, every phrase and box found."""
    grammar, rng = Grammar(TOKENS), random.Random(seed)
    state, ids = grammar.start(), []
    phrases: list[list[int]] = []
    boxes: list[list[CellBox]] = []
    while state.place is not Place.END:
        weights = [8 if i == P else 1 for i in allowed_ids(grammar, state)]
        (chosen,) = rng.choices(allowed_ids(grammar, state), weights)
        if chosen == P:
            phrases.append([len(ids) + 1, 0])
            boxes.append([])
        if chosen == P_:
            phrases[-1][1] = len(ids)
        if state.place is Place.LOWER_RIGHT:
            boxes[-1].append(CellBox(state.upper_left, TOKENS.cell(chosen), len(ids) - 1))
        following = grammar.advance(state, chosen)
        assert following is not None
        state = following
        ids.append(chosen)
        if state.place is not Place.END and len(ids) <= 40:  # from the start each time
            assert grammar.state_after(ids) == state
    assert reasons(ids) == []
    assert entities(ids) == [
        EntityTokens(start, stop, tuple(found), True)
        for (start, stop), found in zip(phrases, boxes, strict=True)
    ]
    texts = [e for e in parse(ids) if isinstance(e, TextToken)]
    assert texts == [TextToken(n, i) for n, i in enumerate(ids) if i in TEXTS]


def test_an_entity_comes_as_soon_as_it_is_certain() -> None:
    parser = Parser(TOKENS)
    first = [parser.feed(i) for i in [P, A, P_, O, *loc(0, 5), O_]]
    assert first[1] == (TextToken(1, A),)
    assert [len(events) for events in first] == [0, 1, 0, 0, 0, 0, 1]
    assert first[-1] == (EntityTokens(1, 2, (CellBox(0, 5, 4),), True),)
    assert [parser.feed(i) for i in [P, B, P_]][-1] == ()
    assert parser.feed(C) == (EntityTokens(8, 9, (), True), TextToken(10, C))
    assert parser.finish() == ()


Cells = tuple[int, int, int]
"""Upper left cell, lower right cell, index of the first one's token."""


# Damage (traps 5, 6 and 7), each with what is made of it


@pytest.mark.parametrize(
    ("ids", "expected", "warned"),
    [
        # trap 5: inverted boxes
        ([P, A, P_, O, *loc(5, 0), O_], [(1, 2, [], True)], ["inverted box (cells 5, 0)"]),
        ([P, A, P_, O, *loc(5, 4), D, *loc(0, 5), O_], [(1, 2, [(0, 5, 7)], True)], ["inverted"]),
        ([O, *loc(5, 0), O_], [], ["inverted"]),
        # trap 6: phrases without boxes
        ([P, A, P_, B], [(1, 2, [], True)], []),
        ([P, A, P_, EOS], [(1, 2, [], True)], []),
        ([P, A, P_, P, B, P_, EOS], [(1, 2, [], True), (4, 5, [], True)], []),
        ([P, A, P_, O, O_, B], [(1, 2, [], True)], ["ended where a box was due"]),
        # trap 6: cut off
        ([P, A], [(1, 2, [], False)], []),
        ([P, A, P_], [(1, 2, [], False)], []),
        ([P, A, P_, O], [(1, 2, [], False)], []),
        ([P, A, P_, O, *loc(0)], [(1, 2, [], False)], ["half a box"]),
        ([P, A, P_, O, *loc(0, 5)], [(1, 2, [(0, 5, 4)], False)], []),
        ([P, A, P_, O, *loc(0, 5), D], [(1, 2, [(0, 5, 4)], False)], []),
        ([P, A, P_, O, *loc(0, 5), EOS], [(1, 2, [(0, 5, 4)], False)], ["ended at after box"]),
        ([P, A, EOS], [(1, 2, [], False)], ["ended at phrase"]),
        ([P], [], []),
        # trap 6: odd counts
        ([P, A, P_, O, *loc(0), O_], [(1, 2, [], True)], ["half a box"]),
        ([P, A, P_, O, *loc(0, 5, 1), O_], [(1, 2, [(0, 5, 4)], True)], ["delimiter", "half"]),
        ([P, A, P_, O, *loc(0), D, *loc(1, 6), O_], [(1, 2, [(1, 6, 6)], True)], ["half a box"]),
        (
            [P, A, P_, O, *loc(0), PAD, *loc(5), O_],
            [(1, 2, [], True)],
            ["half a box", "markup among", "delimiter", "half a box"],
        ),
        # trap 7: several boxes; boxes without a phrase
        ([P, A, P_, O, *loc(0, 5), D, *loc(1, 6), O_], [(1, 2, [(0, 5, 4), (1, 6, 7)], True)], []),
        ([O, *loc(0, 5), O_], [(0, 0, [(0, 5, 1)], True)], []),
        (
            [A, O, *loc(0, 5), D, *loc(1, 6), O_],
            [(1, 1, [(0, 5, 2)], True), (1, 1, [(1, 6, 5)], True)],
            [],
        ),
        # out of place
        ([P, A, P, B, P_, O, *loc(0, 5), O_], [(3, 4, [(0, 5, 6)], True)], ["inside a phrase"]),
        ([P, P_, O, *loc(0, 5), O_], [(2, 2, [(0, 5, 3)], True)], ["empty phrase"]),
        ([P, P_, A], [], ["empty phrase"]),
        ([P, A, O, *loc(0, 5), O_], [(1, 2, [(0, 5, 3)], True)], ["not closed before"]),
        ([P, A, P_, O, *loc(0, 5), B], [(1, 2, [(0, 5, 4)], True)], ["was not closed"]),
        ([P, A, P_, O, *loc(0, 5), P, B], [(1, 2, [(0, 5, 4)], True), (7, 8, [], False)], ["not"]),
        ([P, A, P_, O, D, *loc(0, 5), O_], [(1, 2, [(0, 5, 5)], True)], ["delimiter among"]),
        ([P, A, P_, O, O, *loc(0, 5), O_], [(1, 2, [(0, 5, 5)], True)], ["object open among"]),
        ([P, A, P_, *loc(0, 5), B], [(1, 2, [], True)], ["location out of place"] * 2),
        ([A, P_, B], [], ["phrase close out of place (at text)"]),
        ([P, A, *loc(3), B, P_, EOS], [(1, 4, [], True)], ["location out of place (at phrase)"]),
        ([P, A, G, B, P_, EOS], [(1, 4, [], True)], ["markup out of place (at phrase)"]),
        ([A, DOC, MASK, CHUNK, 99, -5, B], [], []),
        # a picture's section in front, and only there
        ([BOS, IMAGE, A, P, O, IMAGE_, P, B, P_, EOS], [(7, 8, [], True)], []),
        ([A, IMAGE, P, B, P_, EOS], [(3, 4, [], True)], []),
        ([IMAGE, A, B], [], ["never closed"]),
        # text after the end is new text
        ([P, A, EOS, B, P, C, P_, EOS], [(1, 2, [], False), (5, 6, [], True)], ["ended at"]),
    ],
)  # fmt: skip
def test_damaged_text_is_read_as_far_as_it_goes(
    ids: list[int], expected: list[tuple[int, int, list[Cells], bool]], warned: list[str]
) -> None:
    assert entities(ids) == [
        EntityTokens(start, stop, tuple(CellBox(*b) for b in boxes), complete)
        for start, stop, boxes, complete in expected
    ]
    found = [reason for _, reason in reasons(ids)]
    assert len(found) == len(warned), found
    for words, reason in zip(warned, found, strict=True):
        assert words in reason


any_ids = st.lists(
    st.one_of(
        st.sampled_from([P, P_, O, O_, D, A, B, EOS, G, UNK, PAD, IMAGE, IMAGE_]),
        st.integers(L0, L0 + CELLS - 1),
        st.integers(-3, TOKENS.vocab_size + 3),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(ids=any_ids)
def test_any_ids_are_read_and_what_is_found_holds_together(ids: list[int]) -> None:
    events = parse(ids)
    for event in events:
        match event:
            case TextToken(index, token_id):
                assert ids[index] == token_id
                assert TOKENS.is_text(token_id)
            case Malformed(index, reason):
                assert 0 <= index <= len(ids)
                assert reason
            case EntityTokens(start, stop, boxes):
                assert 0 <= start <= stop <= len(ids)
                assert start < stop or len(boxes) == 1
                for box in boxes:
                    assert ids[box.index : box.index + 2] == loc(box.upper_left, box.lower_right)
                    assert box.lower_right % SIDE >= box.upper_left % SIDE
                    assert box.lower_right // SIDE >= box.upper_left // SIDE
    texts = [e.index for e in events if isinstance(e, TextToken)]
    assert texts == sorted(set(texts))
    used = [b.index for e in events if isinstance(e, EntityTokens) for b in e.boxes]
    assert used == sorted(set(used))


@settings(deadline=None)
@given(ids=any_ids)
def test_what_is_well_formed_has_no_warning_and_the_rest_has_one(ids: list[int]) -> None:
    """The parser complains exactly where the automaton has no way on (and prompts' leniency)."""
    plain = [i for i in ids if not (i in TOKENS.markup and i not in (P, P_, O, O_, D))]
    plain = [i for i in plain if 0 <= i < TOKENS.vocab_size]
    try:
        state = Grammar(TOKENS).state_after(plain)
    except PromptError:
        assert reasons(plain) != []
    else:
        assert len(reasons(plain)) == (state.place is Place.LOWER_RIGHT)


@settings(deadline=None)
@given(ids=any_ids, cut=st.integers(0, 60))
def test_what_came_is_never_taken_back(ids: list[int], cut: int) -> None:
    """Any way of feeding gives the same events: a stream's are the beginning of the whole's."""
    parser = Parser(TOKENS)
    fed = [e for i in ids[:cut] for e in parser.feed(i)]
    whole = parse(ids)
    assert whole[: len(fed)] == fed
    if cut >= len(ids):
        assert fed + list(parser.finish()) == whole
        assert parser.finish() == ()

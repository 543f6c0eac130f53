"""At int8, the default: a text is the same in whatever batch it is written.

Linear layers are exact sums of integers, a scale a row, so that a row does not depend on its
company. What is left is the order in which attention adds a row's terms up: the last bits, which
the next layer's rounding mostly takes away again.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import kosmoscope
import small_models as small
from checkpoints import PROMPTS
from kosmoscope.engine.pack import Feed
from kosmoscope.prompts import Prompt, ask_prompt, describe_prompt, ground_prompt
from kosmoscope.results import Description
from kosmoscope.scope import Scope

PHOTOS = sorted((Path(__file__).parent.parent / "examples" / "photos").glob("*.jpg"))


def equal(found: Description, wanted: Description) -> None:
    assert found.token_ids == wanted.token_ids
    assert found.finish_reason == wanted.finish_reason
    for a, b in zip(found.entities, wanted.entities, strict=True):
        assert (a.phrase, a.span) == (b.phrase, b.span)
        for one, other in zip(a.boxes, b.boxes, strict=True):
            assert one.xyxy == other.xyxy
            assert one.score == pytest.approx(other.score, abs=2e-3)


def in_batches(scope: Scope, prompts: list[Prompt], seed: int) -> None:
    """Compare texts written alone with those of a shuffled partition into batches."""
    alone = [scope.complete([prompt], max_new_tokens=48)[0] for prompt in prompts]
    order = list(range(len(prompts)))
    draw = random.Random(seed)
    draw.shuffle(order)
    while order:
        some, order = order[: (size := draw.randint(2, 9))], order[size:]
        together = scope.complete([prompts[i] for i in some], max_new_tokens=48)
        for i, found in zip(some, together, strict=True):
            equal(found, alone[i])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["base", "wide", "deep"])
def test_random_models(name: str, seed: int) -> None:
    scope = small.talkative(name, "int8")
    prompts = [small.tagged_prompt(small.encoded(k, name, "int8"), prompt)
               for k in range(4) for prompt in PROMPTS]  # fmt: skip
    in_batches(scope, prompts, seed)


def test_pocket_on_photos() -> None:
    scope = kosmoscope.load("pocket")
    prompts: list[Prompt] = []
    for photo in PHOTOS:
        seen = scope.encode(photo)
        prompts += [describe_prompt(photo), describe_prompt(seen, "detailed")]
        prompts += [ground_prompt(seen, "the sky"), ground_prompt(photo, "a person")]
        prompts += [ask_prompt(seen, "What is this?")]
    assert len(prompts) == 30
    for seed in range(3):
        in_batches(scope, prompts, seed)


def test_a_pack_that_is_used_again_remembers_nothing() -> None:
    """Bitwise: prompts of which nothing is known yet are read one by one in the same buffers."""
    engine = small.scope("wide", "int8").engine
    rng = np.random.default_rng(0)
    rows = [engine.embed(tuple(rng.integers(4, 120, n).tolist()), 0) for n in (9, 30, 17)]
    empty = np.arange(0)
    alone = [engine.pack(64).forward([Feed(empty, r)])[0] for r in rows]
    pack = engine.pack(64)
    for wanted, r in zip(alone, rows, strict=True):
        found, _ = pack.forward([Feed(empty, r)])
        pack.arena.used = 0
        np.testing.assert_array_equal(found, wanted)


def test_rows_of_a_batch_differ_in_the_last_bits_at_most() -> None:
    engine = small.scope("wide", "int8").engine
    rng = np.random.default_rng(1)
    rows = [engine.embed(tuple(rng.integers(4, 120, 20).tolist()), 0) for _ in range(6)]
    empty = np.arange(0)
    alone = np.concatenate([engine.pack(64).forward([Feed(empty, r)])[0] for r in rows])
    together, _ = engine.pack(64).forward([Feed(empty, r) for r in rows])
    difference = np.abs(together - alone).max(1) / np.abs(alone).max(1)
    assert difference.max() < 0.02, "a step or two of the rounding, for a last bit that tipped it"

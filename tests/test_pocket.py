"""The model that ships with the package: what it says may change, its form may not."""

from __future__ import annotations

from typing import Any

import pytest

import checkpoints
import small_models as small
from kosmoscope.errors import InputError
from kosmoscope.prompts import ask_prompt, describe_prompt, ground_prompt, refer_prompt
from kosmoscope.results import Description
from kosmoscope.scope import Scope, load


@pytest.fixture(scope="module")
def pocket() -> Scope:
    return load("pocket", threads=1)


@pytest.mark.parametrize("options", [{}, {"temperature": 3.0}, {"num_beams": 2}], ids=str)
def test_pocket_says_something_well_formed(pocket: Scope, options: dict[str, Any]) -> None:
    image = pocket.encode(checkpoints.picture(8, (200, 120)))
    prompts = [describe_prompt(image), describe_prompt(image, "detailed"),
               ground_prompt(image, "a red circle"), refer_prompt(image, (0.2, 0.2, 0.8, 0.8)),
               ask_prompt(image, "What is this?")]  # fmt: skip
    for prompt, found in zip(
        prompts, pocket.complete(prompts, max_new_tokens=40, **options), strict=True
    ):
        compiled = prompt.compile(pocket.tokenizer, pocket.engine.slot_ids)
        cut = found.finish_reason == "length"
        small.check_form(
            pocket.tokenizer.tokens, compiled.ids[compiled.tail :], found.token_ids, cut=cut
        )
        assert Description.from_json(found.to_json()) == found
        assert all(found.caption[slice(*e.span)] == e.phrase for e in found.entities)
        assert found.model == "pocket"
    assert pocket.ground(image, "a red circle").entities[0].phrase == "a red circle"
    with pytest.raises(InputError):
        pocket.describe(small.encoded())

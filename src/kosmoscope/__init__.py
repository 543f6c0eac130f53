"""kosmoscope: Kosmos-2 on an ordinary CPU. Pictures in, captions linked to boxes out.

>>> import kosmoscope
>>> scope = kosmoscope.load("pocket")
>>> scope.describe("photo.jpg")

Importing loads nothing; what is named here comes when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kosmoscope._version import __version__
from kosmoscope.errors import InputError, KosmoscopeError, ModelError

if TYPE_CHECKING:
    from kosmoscope.detail import Count, Detail
    from kosmoscope.engine.options import GenerationOptions
    from kosmoscope.prompts import Prompt
    from kosmoscope.results import Description
    from kosmoscope.scope import EncodedImage, EntityFound, Finished, Scope, TextDelta, load
    from kosmoscope.segment import Salient, Segmentation, load_segmenter, salient
    from kosmoscope.types import Box, Entity, ImageInfo, Timing

__all__ = [
    "Box",
    "Count",
    "Description",
    "Detail",
    "EncodedImage",
    "Entity",
    "EntityFound",
    "Finished",
    "GenerationOptions",
    "ImageInfo",
    "InputError",
    "KosmoscopeError",
    "ModelError",
    "Prompt",
    "Salient",
    "Scope",
    "Segmentation",
    "TextDelta",
    "Timing",
    "__version__",
    "load",
    "load_segmenter",
    "salient",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kosmoscope' has no attribute {name!r}")
    # One by one, as written: whatever reads imports sees these too.
    if name in ("Box", "Entity", "ImageInfo", "Timing"):
        from kosmoscope import types

        return getattr(types, name)
    if name in ("Count", "Detail"):
        from kosmoscope import detail

        return getattr(detail, name)
    if name == "Description":
        from kosmoscope.results import Description

        return Description
    if name == "GenerationOptions":
        from kosmoscope.engine.options import GenerationOptions

        return GenerationOptions
    if name == "Prompt":
        from kosmoscope.prompts import Prompt

        return Prompt
    if name in ("Salient", "Segmentation", "load_segmenter", "salient"):
        from kosmoscope import segment

        return getattr(segment, name)
    from kosmoscope import scope

    return getattr(scope, name)


def __dir__() -> list[str]:
    return __all__

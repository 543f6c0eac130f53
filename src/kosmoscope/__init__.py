"""kosmoscope: Kosmos-2 on an ordinary CPU. Pictures in, captions linked to boxes out.

>>> import kosmoscope
>>> scope = kosmoscope.load("pocket")
>>> scope.describe("photo.jpg")

Importing loads no weights and no heavy library; what is named here comes when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kosmoscope._version import __version__
from kosmoscope.errors import InputError, KosmoscopeError, ModelError
from kosmoscope.types import Box, Description, Entity, ImageInfo, Timing

if TYPE_CHECKING:
    from kosmoscope.engine.options import GenerationOptions
    from kosmoscope.prompts import Prompt
    from kosmoscope.scope import EncodedImage, Scope, load

_LAZY = {
    "EncodedImage": "kosmoscope.scope",
    "GenerationOptions": "kosmoscope.engine.options",
    "Prompt": "kosmoscope.prompts",
    "Scope": "kosmoscope.scope",
    "load": "kosmoscope.scope",
}

__all__ = [
    "Box",
    "Description",
    "EncodedImage",
    "Entity",
    "GenerationOptions",
    "ImageInfo",
    "InputError",
    "KosmoscopeError",
    "ModelError",
    "Prompt",
    "Scope",
    "Timing",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kosmoscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

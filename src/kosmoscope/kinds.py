"""The kinds of models that there are: one line each."""

from __future__ import annotations

from typing import Any

from kosmoscope.dual.kind import CLIP, SIGLIP
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.registry import Registry
from kosmoscope.segment.sam.kind import SAM
from kosmoscope.store.kind import ModelKind

KINDS: Registry[ModelKind[Any]] = Registry(
    "kind of model",
    KOSMOS2,
    SAM,
    CLIP,
    SIGLIP,
)

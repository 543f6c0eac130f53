"""What comes out: frozen results without tensors or I/O, with a versioned JSON form.

Frames of reference
    *normalised* boxes are ``(x1, y1, x2, y2)`` with the origin in the upper left corner and both
    axes running from 0 to 1 over the whole upright picture; *pixel* boxes are the same corners
    times width and height of the upright picture (floats; pixel ``i`` covers ``[i, i + 1)``).
    Spans are ``(start, end)`` offsets in Unicode code points into the caption.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from kosmoscope.errors import InputError
from kosmoscope.files.checked import checked, json_object
from kosmoscope.geometry import XYXY as XYXY
from kosmoscope.geometry import norm_to_px

SCHEMA_VERSION = 1

_SURROGATE = re.compile("[\ud800-\udfff]")

FinishReason = Literal["stop", "length", "complete"]
Source = Literal["whole", "tile", "regrounded", "detected"]
"""Of a detail pass: from the text about the whole, from a tile, from asking the whole again, from
the detector inside the model alone."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Where a picture came from and its upright size in pixels."""

    path: str
    """The path or URL as given, or a placeholder such as ``<bytes>`` or ``<array>``."""
    width: int
    height: int
    frames: int = 1
    """How many frames or pages the file holds; the first one was read."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box of an entity."""

    xyxy: XYXY
    """Normalised corners, exactly as the model's location tokens say (cell centres)."""
    xyxy_px: XYXY
    """The same corners in pixels of the upright picture."""
    score: float | None = None
    """0..1: how much of the location tokens' probability lies at these corners (see
    `kosmoscope.engine.boxes`); None where the box was not generated (given in a prompt)."""
    refined: XYXY | None = None
    """Normalised corners finer than the 32x32 grid: those of the candidate of a detector inside the
    model that the box is about, where there is one (`kosmoscope.engine.detections`), otherwise the
    local mean of the location tokens' distribution. None where the box was not generated."""
    confidence: float | None = None
    """0..1: how often boxes like this one, of phrases like this one, are right, as measured on
    labelled pictures (`kosmoscope.calibration`); None where nobody has measured the model."""
    listed: float | None = None
    """0..1: how likely the model held it that after the box before there is another of the same
    phrase. None for the first box of a phrase, and where it was not generated."""
    source: Source | None = None
    """Where a detail pass has it from; None without one."""
    support: float | None = None
    """0..1: how far a detector inside the model sees the phrase's thing there, by itself: the score
    of that candidate. None where there is no detector, or it does not know such things."""

    @property
    def shown_score(self) -> float | None:
        """The one number to show people and to choose by: `confidence`, or without it `score`."""
        return self.score if self.confidence is None else self.confidence

    @classmethod
    def of(
        cls,
        xyxy: XYXY,
        image_wh: tuple[int, int],
        score: float | None = None,
        refined: XYXY | None = None,
        confidence: float | None = None,
        listed: float | None = None,
        support: float | None = None,
    ) -> Box:
        """Build a box from normalised corners and the picture's (width, height) in pixels."""
        px = norm_to_px(xyxy, image_wh)
        return cls(xyxy, px, score, refined, confidence, listed, support=support)


@dataclass(frozen=True, slots=True)
class Entity:
    """A phrase of the caption and where in the picture it is."""

    phrase: str
    """The phrase without surrounding space; empty where boxes came without a phrase."""
    span: tuple[int, int]
    """``caption[start:end] == phrase``; empty for a phrase that the caption does not have."""
    boxes: tuple[Box, ...] = ()
    """No box: the phrase was marked but not located. Several: one phrase, several instances."""
    score: float | None = None
    """0..1: geometric mean of the probabilities of the phrase's tokens; None if given."""
    complete: bool = True
    """False: the output was cut off inside this entity."""
    source: Source | None = None
    """Who named it, after a detail pass: the text about the whole, one about a tile, or whoever
    asked. None without one."""
    count: int | None = None
    """How many there are, as a detail pass finds, seen or not; None without one, and for what
    nobody counts."""
    count_confidence: float | None = None
    """0..1: how likely it is exactly that number; None where nobody has measured the model."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time went, in seconds, and how many steps it took.

    In a batch the seconds of shared passes are those of the whole batch.
    """

    preprocess: float = 0.0
    """Decoding the file and making the pixel tensor."""
    encode: float = 0.0
    """Vision tower and resampler; of an `EncodedImage` also its part of the decoder's cache."""
    prefill: float = 0.0
    """The prompt's tokens, with those of a picture that was not encoded before, up to the first
    new token."""
    decode: float = 0.0
    """All further tokens."""
    total: float = 0.0
    new_tokens: int = 0
    """Tokens in the result after the prompt."""
    passes: int = 0
    """Decoder passes after the picture's; smaller than `new_tokens` where tokens were forced."""
    forced_tokens: int = 0
    """Tokens that the grammar left no choice about and that rode along in another's pass."""


@dataclass(frozen=True, slots=True)
class GroundedCaption:
    """What the model said about a picture: the plain values of `kosmoscope.results.Description`."""

    image: ImageInfo
    model: str
    precision: str
    prompt: str
    """The prompt as plain text, without markup."""
    caption: str
    """Clean text. The prompt is part of it where it begins the sentence ("An image of"), and is
    not where it is an instruction or a question."""
    text: str
    """Clean text of the model's own words only."""
    tagged: str
    """Prompt and output with all tags and location tokens."""
    marked: str
    """Like `tagged`, without location tokens and their tags: phrases only."""
    raw: str
    """What `transformers` calls the generated text: the picture's slots come out as words."""
    entities: tuple[Entity, ...]
    token_ids: tuple[int, ...]
    """The generated tokens, without the prompt."""
    finish_reason: FinishReason
    """stop: the model ended; length: `max_new_tokens` reached; complete: the task's own end
    (a grounded phrase got its boxes)."""
    timing: Timing = field(default_factory=Timing)
    warnings: tuple[str, ...] = ()
    """What could not be read as well-formed grounded text, in words."""

    def pieces(self) -> Iterator[tuple[str, Entity | None]]:
        """Yield the caption in pieces, each with its entity or None; the texts, joined, are it.

        Entities whose span lies outside of the caption or overlaps an earlier one are left out.
        """
        at = 0
        for entity in sorted(self.entities, key=lambda e: e.span):
            start, end = entity.span
            if not at <= start <= end <= len(self.caption) or (start == end and entity.phrase):
                continue
            if start > at:
                yield self.caption[at:start], None
            yield self.caption[start:end], entity
            at = end
        if at < len(self.caption):
            yield self.caption[at:], None

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers, with the schema's version."""
        return {"schema": SCHEMA_VERSION, **_plain(asdict(self))}

    def to_json(self, *, indent: int | None = None) -> str:
        r"""Return `to_dict()` as JSON text; NaN never occurs.

        Always encodable as UTF-8: the lone surrogates that stand for a file name's bytes which
        are not UTF-8 are escaped (``\udcff``), and `from_json` brings them back.
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=indent, allow_nan=False)
        return _SURROGATE.sub(lambda m: f"\\u{ord(m.group()):04x}", text)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict()` wrote; fields that are not known are passed over.

        Raises:
            InputError: another schema version, or a field is missing or of another shape.
        """
        if data.get("schema") != SCHEMA_VERSION:
            raise InputError(
                f"description schema is {data.get('schema')!r}; this version reads {SCHEMA_VERSION}"
            )
        try:
            return checked(dict(data), cls)
        except InputError as e:
            raise InputError(f"not a description of schema {SCHEMA_VERSION}: {e}") from e

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json()` wrote. Raises `InputError` like `from_dict`."""
        return cls.from_dict(json_object(text))

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}({self.caption!r}"]
        for i, entity in enumerate(self.entities, 1):
            boxes = "  ".join(
                f"[{', '.join(f'{v:.2f}' for v in b.xyxy)}]"
                + ("" if b.score is None else f" {b.score:.2f}")
                for b in entity.boxes
            )
            lines.append(f"  {i}. {entity.phrase!r}  {boxes or '(no box)'}")
        lines.append(
            f"  {self.image.path} {self.image.width}x{self.image.height}, {self.model} "
            f"{self.precision}, {len(self.token_ids)} tokens, {self.finish_reason}, "
            f"{self.timing.total:.2f} s)"
        )
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value

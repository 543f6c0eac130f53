"""The model's parts, opened: pixels -> picture states, ids -> embedded rows, hidden -> logits."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.engine.arena import Float
from kosmoscope.engine.detections import Detections
from kosmoscope.engine.drafts import BUDGETS, Budget, Drafts, kept_file
from kosmoscope.engine.pack import Feed, Pack
from kosmoscope.engine.sessions import open_session, share_one_arena, thread_count
from kosmoscope.errors import CheckpointError, PromptError
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.converted import Converted
from kosmoscope.model.names import CANDIDATES, EMBEDDINGS
from kosmoscope.tokens import TokenSet


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Prefix:
    """What the decoder keeps of ``<s><image>...</image>``."""

    keys: Float
    """float32 (layers, heads, latents + 3, D / heads)."""
    values: Float
    """The same shape."""


@dataclass(frozen=True, slots=True, eq=False)
class PictureState:
    """An encoded picture: a value to ask any number of questions about, from any thread."""

    embeddings: Float
    """The resampler's output, float32 (latents, D)."""
    model: str
    """Identifies the converted model that made it; another model refuses it."""
    detections: Detections | None = field(default=None, repr=False)
    """What the detector inside the vision tower saw; None without one."""
    prefix: Prefix | None = field(default=None, repr=False)
    """None where the picture was looked at for a single prompt, which is read with it at once."""


@dataclass(frozen=True, slots=True)
class PromptIds:
    """A prompt as the engine sees it."""

    ids: tuple[int, ...]
    """All token ids; a picture's slots hold the placeholder ids of `slot_ids`."""
    pictures: tuple[tuple[int, PictureState], ...]
    """For each picture, the index of its first slot in `ids`, ascending."""


class Engine:
    """A converted model, opened. Safe to use from several threads.

    Args:
        converted: the folder.
        tokens: ids with a meaning.
        threads: for the operators; None for one per processor.
    """

    def __init__(self, converted: Converted, tokens: TokenSet, threads: int | None = None) -> None:
        self.config: ModelConfig = converted.config
        self.tokens = tokens
        self.stops = converted.stops
        self.no_repeat_ngram_size = converted.no_repeat_ngram_size
        self.threads = thread_count(threads)
        self.key = f"{converted.manifest.source_sha256[:16]}-{converted.manifest.precision}"
        exact = converted.manifest.precision == "fp32"
        folder = converted.folder
        share_one_arena()
        with ThreadPoolExecutor(2) as pool:
            # Most of the time goes into laying weights out for the processor, with one thread a
            # graph; the decoder takes as long as the others together.
            opened = pool.map(
                lambda name: open_session(folder / f"{name}.onnx", self.threads, optimize=exact),
                ("decoder", "vision", "head", "structure"),
            )
            self._decoder, self._vision, self._head, self._structure = opened
        t = self.config.text
        self._embeddings = _mapped(folder / EMBEDDINGS, (t.vocab_size, t.width))
        self.drafts = Drafts(tokens, kept_file(folder))
        weakref.finalize(self, self.drafts.save)
        self.budget: Budget | None = BUDGETS.get(converted.precision)
        self._scale = np.float32(math.sqrt(t.width) if t.scale_embedding else 1.0)

    @property
    def slot_ids(self) -> tuple[int, ...]:
        """The ids that stand in a picture's slots, as in transformers: real words, never read."""
        first = self.tokens.unk + 1
        return tuple(range(first, first + self.config.latents))

    @cached_property
    def prefix_ids(self) -> tuple[int, ...]:
        """``<s><image>`` + slots + ``</image>``, with which every ordinary prompt begins."""
        tokens = self.tokens
        return (tokens.bos, tokens.image_open, *self.slot_ids, tokens.image_close)

    def look(self, pixels: NDArray[np.float32]) -> PictureState:
        """Encode one picture for a single prompt, which will be read together with it.

        One at a time on purpose: 257 rows already keep the arithmetic busy.

        Args:
            pixels: float32 (3, S, S), from `kosmoscope.images.pixel_tensor`.
        """
        names = self.config.classes
        wanted = ["embeddings", CANDIDATES] if names else ["embeddings"]
        embeddings, *rows = self._vision.run(wanted, {"pixels": pixels[None]})
        found = Detections.of(rows[0], names) if names else None
        return PictureState(embeddings, self.key, found)

    def encode(self, pixels: NDArray[np.float32]) -> PictureState:
        """Encode one picture for any number of prompts.

        Args:
            pixels: float32 (3, S, S), from `kosmoscope.images.pixel_tensor`.
        """
        seen = self.look(pixels)
        count = len(self.prefix_ids)
        pack = self.pack(count)
        rows = self.embed(self.prefix_ids, 0)
        self._insert(rows, seen.embeddings, 2, 0)
        pack.forward([Feed(np.arange(0), rows)])
        keys, values = (np.stack(view) for view in pack.arena.views(count))
        return replace(seen, prefix=Prefix(keys, values))

    def pack(self, capacity: int) -> Pack:
        """Return an empty pack with room for `capacity` positions at first."""
        t = self.config.text
        return Pack(
            self._decoder, t.layers, t.heads, t.head_width, capacity, pairs=self.budget is not None
        )

    def embed(self, ids: tuple[int, ...], start: int) -> Float:
        """Return the decoder's input rows for tokens at indices start.. of a text.

        Args:
            ids: n token ids.
            start: how many tokens precede them.

        Returns:
            float32 (n, D): embedding times sqrt(D), plus the sinusoidal position.
        """
        rows: Float = self._embeddings[list(ids)].astype(np.float32) * self._scale
        pad = self.tokens.pad
        # Counted as transformers does: the first token has position pad + 1, a pad has none.
        places = [pad if i == pad else pad + 1 + start + n for n, i in enumerate(ids)]
        return rows + self._positions(max(places))[places]

    def begins_with_picture(self, prompt: PromptIds) -> bool:
        """Whether a prompt goes on behind `prefix_ids`, of which a picture's `Prefix` is kept."""
        prefix = self.prefix_ids
        return (
            bool(prompt.pictures)
            and prompt.pictures[0][0] == 2
            and prompt.ids[: len(prefix)] == prefix
            and len(prompt.ids) > len(prefix)
        )

    def prompt_rows(self, prompt: PromptIds) -> tuple[Prefix | None, Float]:
        """Return what must still be computed of a prompt.

        Returns:
            the stored prefix that begins the prompt (or None), and the rows of all further tokens,
            float32 (n, D), n >= 1.

        Raises:
            PromptError: a picture was encoded by another model, or the prompt is too long.
        """
        for _, picture in prompt.pictures:
            if picture.model != self.key:
                raise PromptError(
                    f"the picture was encoded by model {picture.model}, this is {self.key}: "
                    "encode it again"
                )
        limit = self.config.text.max_positions
        if len(prompt.ids) >= limit:
            raise PromptError(f"the prompt has {len(prompt.ids)} tokens; the model reads {limit}")
        known, first = 0, None
        if self.begins_with_picture(prompt) and prompt.pictures[0][1].prefix is not None:
            known, first = len(self.prefix_ids), prompt.pictures[0][1].prefix
        rows = self.embed(prompt.ids[known:], known)
        for start, picture in prompt.pictures[1 if known else 0 :]:
            self._insert(rows, picture.embeddings, start, known)
        return first, rows

    def teach(self, prompt: PromptIds, ids: Sequence[int]) -> Float:
        """Return the hidden states from which each of `ids` would be predicted.

        Teacher forcing: the text is given, nothing is generated. float32 (len(ids), D).
        """
        prefix, rows = self.prompt_rows(prompt)
        pack = self.pack(len(prompt.ids) + len(ids))
        slots = pack.arena.place(prefix.keys, prefix.values) if prefix else np.arange(0)
        if len(ids) > 1:
            rows = np.concatenate([rows, self.embed(tuple(ids[:-1]), len(prompt.ids))])
        wanted = range(len(rows) - len(ids), len(rows))
        return pack.run(rows, [(slots, len(rows))], wanted)

    def logits(self, hidden: Float) -> Float:
        """Return scores of all tokens: hidden float32 (R, D) -> float32 (R, vocabulary)."""
        result: Float = self._head.run(["logits"], {"hidden": np.ascontiguousarray(hidden)})[0]
        return result

    def structure_logits(self, hidden: Float) -> Float:
        """Return scores of all that can follow ``<object>``.

        Returns:
            float32 (R, locations + 2): the location tokens, ``</object>``, the delimiter; exact
            whatever the model's precision, and a sixtieth of the head's work.
        """
        feeds = {"hidden": np.ascontiguousarray(hidden)}
        result: Float = self._structure.run(["logits"], feeds)[0]
        return result

    def _insert(self, rows: Float, embeddings: Float, start: int, offset: int) -> None:
        """Put a picture's embeddings in place of the slots' words, keeping the positions."""
        places = np.arange(start, start + len(embeddings)) + self.tokens.pad + 1
        table = self._positions(int(places[-1]))
        rows[start - offset : start - offset + len(embeddings)] = (
            embeddings * self._scale + table[places]
        )

    def _positions(self, last: int) -> Float:
        """Return the sinusoidal table, float32 (>= last + 1, D).

        Halves [sin | cos], frequencies ``10000 ** (-i / (half - 1))``; the row of the pad is zero.
        Source: transformers, Kosmos2TextSinusoidalPositionalEmbedding (after tensor2tensor).
        """
        table: Float | None = getattr(self, "_table", None)
        if table is None or len(table) <= last:
            half = self.config.text.width // 2
            step = np.float32(math.log(10000) / (half - 1))
            frequencies = np.exp(np.arange(half, dtype=np.float32) * -step)
            rows = max(last + 1, min(256, self.config.text.max_positions))
            angles = np.arange(rows, dtype=np.float32)[:, None] * frequencies
            table = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
            table[self.tokens.pad] = 0
            self._table: Float = table
        return table


def _mapped(path: Path, shape: tuple[int, int]) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as e:
        raise CheckpointError(f"{path}: not a readable array: {e}") from e
    if array.shape != shape or array.dtype not in (np.float32, np.float16):
        raise CheckpointError(f"{path}: {array.dtype} {array.shape}; expected floats {shape}")
    return array  # type: ignore[no-any-return]

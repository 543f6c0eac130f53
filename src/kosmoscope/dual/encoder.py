"""A loaded dual encoder: vectors of pictures and of texts, and how well they fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kosmoscope.dual.converted import ConvertedDual
from kosmoscope.dual.kind import CLIP, SIGLIP
from kosmoscope.dual.names import TEXT, VISION
from kosmoscope.dual.pictures import square
from kosmoscope.engine.sessions import open_session, thread_count
from kosmoscope.errors import InputError, ModelError
from kosmoscope.images import ImageSource, Limits, read_image
from kosmoscope.model.quantization import Float
from kosmoscope.store.convert import load_model
from kosmoscope.store.installed import resolve
from kosmoscope.store.kind import Step, kind_of

DualPrecision = Literal["fp32", "int8"]


def load_dual_encoder(
    name_or_folder: str | Path,
    threads: int | None = None,
    progress: Step | None = None,
    *,
    precision: DualPrecision | None = None,
    limits: Limits = Limits(),
) -> DualEncoder:
    """Load a CLIP or SigLIP model. It is converted on first use into the cache, then mapped.

    Args:
        name_or_folder: a name of `CLIP.aliases` or `SIGLIP.aliases`, "org/name" as in the hub's
            cache, a folder with config.json, preprocessor_config.json, tokenizer.json (for SigLIP
            also tokenizer_config.json) and model.safetensors as transformers' `CLIPModel` and
            `SiglipModel` write them, or a converted folder.
        threads: for arithmetic; None for one per processor.
        progress: called with the name of each step of a conversion.
        precision: of the weights: fp32 (the default) or int8; a converted folder has its own.
        limits: what a picture may cost.

    Raises:
        ModelNotFoundError: no such name or folder, or not downloaded yet.
        OfflineError: not in the hub's cache, and offline mode is on.
        CheckpointError: a file of the model is wrong; the message names it.
        OptionError: an unknown precision, or threads out of range.
        ModelError: the cache cannot be written.
    """
    count = thread_count(threads)
    kinds = (CLIP, SIGLIP)
    kind = kind_of(resolve(name_or_folder, kinds).folder, kinds)
    return DualEncoder(
        load_model(kind, name_or_folder, precision, progress), threads=count, limits=limits
    )


class DualEncoder:
    """A loaded model. Safe to use from several threads.

    Args:
        converted: the model.
        threads: for arithmetic; None for one per processor.
        limits: what a picture may cost.
    """

    def __init__(
        self, converted: ConvertedDual, *, threads: int | None = None, limits: Limits = Limits()
    ) -> None:
        count = thread_count(threads)
        manifest = converted.manifest
        self.config, self.square, self.texts = converted.config, converted.square, converted.texts
        self.logits, self.limits = converted.logits, limits
        self.name = manifest.name
        self.key = f"{manifest.source_sha256[:16]}-{manifest.precision}"
        """Which model made a vector: those of two keys are never compared."""
        # An int8 graph is written as it should run; see `open_session`.
        exact = manifest.precision == "fp32"
        self._vision: Any = open_session(converted.folder / VISION, count, optimize=exact)
        self._text: Any = open_session(converted.folder / TEXT, count, optimize=exact)

    def __repr__(self) -> str:
        return f"DualEncoder({self.name!r})"

    @property
    def dimensions(self) -> int:
        """D: length of the vectors."""
        return self.config.dimensions

    def embed_picture(self, image: ImageSource, *, name: str | None = None) -> Float:
        """Return a picture's vector, float32 (D,), of length 1.

        Args:
            image: the picture; see `kosmoscope.images.read_image`.
            name: what errors call it, where it has no path.

        Raises:
            ImageError: it cannot be read.
            ModelError: the weights give numbers that are not finite.
        """
        rgb = read_image(image, name=name, limits=self.limits).rgb
        return self._run(self._vision, "pixels", square(rgb, self.square))

    def embed_text(self, texts: str | Sequence[str]) -> Float:
        """Return the vectors of one text or several, float32 (n, D), each of length 1.

        Each is read alone, so that none changes another's. What is longer than the model reads
        (77 tokens for the released CLIP, 64 for SigLIP) loses its end.

        Args:
            texts: such as "a photo of a dog": captions of pictures are what the model knows.

        Raises:
            PromptError: a text is blank, or has half a surrogate pair.
            ModelError: the weights give numbers that are not finite.
        """
        several = [texts] if isinstance(texts, str) else texts
        ids = [self.texts.ids(text) for text in several]
        found = np.empty((len(ids), self.dimensions), np.float32)
        for i, some in enumerate(ids):
            found[i] = self._run(self._text, "ids", some)
        return found

    def similarity(self, pictures: Float, texts: Float) -> Float:
        """Return the cosines of all pictures to all texts, float32 (n, m).

        They are for ranking pictures by a text. Of CLIP and SigLIP even those of good pairs are
        small, some 0.3 and 0.1 (as published; not measured here), and which is high depends on the
        text: see `probability`.

        Args:
            pictures: float32 (n, D), or one picture's (D,).
            texts: float32 (m, D), or one text's (D,).

        Raises:
            InputError: vectors of another length.
        """
        result: Float = self._rows(pictures) @ self._rows(texts).T
        return result

    def probability(self, pictures: Float, texts: Float) -> Float:
        """Return how probable it is that a text belongs to a picture, float32 (n, m).

        SigLIP says so of each pair by itself, which can be used to say that nothing fits: the
        sigmoid of the scaled and shifted cosine (arXiv:2303.15343, section 3). CLIP only knows
        which of several texts fits a picture best: a row adds up to 1 (arXiv:2103.00020, section
        3.1), and of one text alone that is 1 whatever it says.

        Args:
            pictures, texts: as for `similarity`.

        Raises:
            InputError: vectors of another length.
        """
        cosines = self.similarity(pictures, texts).astype(np.float64)
        logits = self.logits.scale * cosines + self.logits.bias
        if self.config.family == "siglip":
            odds = np.exp(-np.abs(logits))  # never overflows
            result = np.where(logits >= 0, 1, odds) / (1 + odds)
        else:
            parts = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
            result = parts / parts.sum(axis=1, keepdims=True)
        found: Float = result.astype(np.float32)
        return found

    def _run(self, session: Any, name: str, value: np.ndarray) -> Float:
        vector: Float = session.run(None, {name: value})[0]
        if not np.isfinite(vector).all():
            raise ModelError(f"{self.name}: its weights give numbers that are not finite")
        return vector

    def _rows(self, vectors: Float) -> Float:
        rows = np.atleast_2d(np.asarray(vectors, np.float32))
        if rows.ndim != 2 or rows.shape[1] != self.dimensions:
            raise InputError(
                f"vectors of shape {rows.shape}; {self.name}'s have {self.dimensions} numbers"
            )
        return rows

"""The facade: load a model, ask about pictures, get typed results."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from kosmoscope.calibration import UNMEASURED
from kosmoscope.engine.batch import Clock, Request
from kosmoscope.engine.core import Engine, PromptIds
from kosmoscope.engine.generate import generate
from kosmoscope.engine.options import GenerationKeywords, GenerationOptions
from kosmoscope.errors import CheckpointError, ModelNotFoundError, OptionError, PromptError
from kosmoscope.files.checked import read_object
from kosmoscope.geometry import XYXY
from kosmoscope.grammar import Grammar
from kosmoscope.images import ImageSource, Limits, PixelSpec, part_of, pixel_tensor, read_image
from kosmoscope.kinds import KINDS
from kosmoscope.model.converted import Converted
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.model.quantization import Precision
from kosmoscope.outcome import Context
from kosmoscope.prompts import CompiledPrompt, Prompt, describe_prompt
from kosmoscope.results import Description
from kosmoscope.store.convert import load_model
from kosmoscope.store.installed import cached, known_name
from kosmoscope.telling import EntityFound as EntityFound
from kosmoscope.telling import Event, Telling
from kosmoscope.telling import Finished as Finished
from kosmoscope.telling import TextDelta as TextDelta
from kosmoscope.tokens import Tokenizer
from kosmoscope.types import ImageInfo, Timing
from kosmoscope.verbs import EncodedImage as EncodedImage
from kosmoscope.verbs import Verbs

_BEST = "kosmos-2"


def default_model() -> str:
    """Return "kosmos-2" if its files are in the hub's cache, otherwise "pocket"."""
    return _BEST if cached(_BEST, [KOSMOS2]) is not None else "pocket"


def fallback_note(default: str) -> str | None:
    """Return what to tell whoever gets this default model, unless it is the one one expects."""
    if default == _BEST:
        return None
    return (
        f"{_BEST} is not on this machine (get it with `kosmoscope pull {_BEST}`); "
        f"using {default}, a tiny model for trying things out"
    )


def load(
    name_or_path: str | Path | None = None,
    precision: Precision | None = None,
    *,
    threads: int | None = None,
    limits: Limits | None = None,
    progress: Callable[[str], None] | None = None,
) -> Scope:
    """Load a model.

    A checkpoint in the hub's format is converted on first use into the cache, then mapped.

    Args:
        name_or_path: "pocket", "kosmos-2", a hub name, a folder in the hub's format or a converted
            folder; None for `default_model()`, with a warning where that is not kosmos-2.
        precision: "fp32", "int8" (the default) or "int4"; a converted folder has its own.
        threads: for arithmetic; None for one per processor.
        limits: of the pictures that are read.
        progress: called with the name of each step of a conversion.

    Raises:
        ModelNotFoundError: no such name or folder, or not downloaded yet.
        CheckpointError: a file of the model is wrong; the message names it.
        OptionError: an unknown precision, or another one than the converted folder's.
    """
    wanted = name_or_path
    if wanted is None:
        wanted = default_model()
        if note := fallback_note(wanted):
            warnings.warn(note, stacklevel=2)
    other = known_name(wanted, KINDS) if isinstance(wanted, str) else None
    if other is not None and other is not KOSMOS2:
        raise ModelNotFoundError(f"{wanted}: {other.title}; expected a {KOSMOS2.title} model")
    converted = load_model(KOSMOS2, wanted, precision, progress)
    return Scope(converted, threads=threads, limits=limits)


class Scope(Verbs):
    """A loaded model. Safe to use from several threads.

    Wherever an image is taken: a path, bytes, an open binary file, a PIL image, an array
    (H, W, 3) uint8, or an `EncodedImage`.
    """

    def __init__(
        self, converted: Converted, *, threads: int | None = None, limits: Limits | None = None
    ) -> None:
        self.tokenizer = Tokenizer.from_file(converted.folder / "tokenizer.json")
        self.engine = Engine(converted, self.tokenizer.tokens, threads)
        file = converted.folder / "preprocessor_config.json"
        self.pixel_spec = PixelSpec.from_config(read_object(file, CheckpointError), str(file))
        self.model = converted.manifest.name
        self.precision = converted.precision
        self.source_sha256 = converted.manifest.source_sha256[:16]
        """First digits of the hash of the checkpoint that it was converted from."""
        self.threads = self.engine.threads
        self.detail_calibration = converted.detail or UNMEASURED
        self.calibration = converted.calibration
        """How often boxes are right, as measured; None where nobody has."""
        self.limits = limits or Limits()
        self._grammars = {
            grounded: Grammar(self.tokenizer.tokens, grounded=grounded)
            for grounded in (True, False)
        }

    def __repr__(self) -> str:
        return f"Scope({self.model!r}, {self.precision}, {self.engine.threads} threads)"

    def encode(self, image: ImageSource | EncodedImage, *, name: str | None = None) -> EncodedImage:
        """Look at a picture once, to ask about it many times.

        Args:
            image: the picture; one that is encoded already is returned as it is.
            name: what results call it, where it has no path.

        Raises:
            ImageError: it cannot be read; see the tree in `kosmoscope.errors`.
        """
        return self._seen(image, name)

    def look(self, rgb: NDArray[np.uint8], info: ImageInfo) -> EncodedImage:
        """Look at pixels that are upright already, (H, W, 3), to ask about them many times."""
        return self._encoded(rgb, info, time.perf_counter())

    @property
    def seen_px(self) -> int:
        """The longer side of what the model sees, in pixels."""
        return max(self.pixel_spec.size_wh)

    def _seen(
        self, image: ImageSource | EncodedImage, name: str | None = None, *, once: bool = False
    ) -> EncodedImage:
        if isinstance(image, EncodedImage):
            return image
        began = time.perf_counter()
        picture = read_image(image, name=name, limits=self.limits)
        return self._encoded(picture.rgb, picture.info, began, once=once)

    def _encoded(
        self, rgb: NDArray[np.uint8], info: ImageInfo, began: float, *, once: bool = False
    ) -> EncodedImage:
        """Encode pixels; `began` is when reading them did."""
        pixels = pixel_tensor(rgb, self.pixel_spec)
        read = time.perf_counter()
        state = self.engine.look(pixels) if once else self.engine.encode(pixels)
        done = time.perf_counter()
        timing = Timing(preprocess=read - began, encode=done - read, total=done - began)
        return EncodedImage(info, state, timing)

    def embed(
        self, image: ImageSource, box: XYXY | None = None, *, name: str | None = None
    ) -> NDArray[np.float32]:
        """Return a vector of what a picture shows, float32 (D,), to compare with others.

        It is the decoder's last hidden state after "An image of": what the model is about to
        say. That finds pictures of the same kind better than the resampler's output does
        (benchmarks/search_like.py). All vectors of a model have much in common: take away the
        mean of those that you compare before you take the cosine between two.

        Args:
            image: the picture.
            box: the part of it to look at, (x1, y1, x2, y2) in 0..1 of its width and height.
            name: what errors call it, where it has no path.

        Raises:
            ImageError: it cannot be read.
            BoxError: not a box within the picture.
        """
        rgb = read_image(image, name=name, limits=self.limits).rgb
        if box is not None:
            rgb = part_of(rgb, box)
        compiled = describe_prompt(None).compile(self.tokenizer, self.engine.slot_ids)
        ((start, _),) = compiled.pictures
        state = self.engine.look(pixel_tensor(rgb, self.pixel_spec))
        # Of the token that would follow, any: its row is never read.
        after = (self.engine.tokens.eos,)
        vector: NDArray[np.float32] = self.engine.teach(
            PromptIds(compiled.ids, ((start, state),)), after
        )[0]
        return vector

    def settled(self, options: GenerationOptions) -> GenerationOptions:
        """Return the options with the model's own values where none were given."""
        if options.no_repeat_ngram_size is not None:
            return options
        return replace(options, no_repeat_ngram_size=self.engine.no_repeat_ngram_size)

    def check(self, prompt: Prompt) -> None:
        """Raise what asking this would raise, before a picture is looked at.

        Args:
            prompt: with any picture; it is not read.

        Raises:
            PromptError: it is empty or longer than the model reads.
        """
        length = len(prompt.compile(self.tokenizer, self.engine.slot_ids).ids)
        limit = self.engine.config.text.max_positions
        if length >= limit:
            raise PromptError(f"the prompt has {length} tokens; the model reads {limit}")

    def complete(
        self,
        prompts: Sequence[Prompt],
        options: GenerationOptions | None = None,
        **overrides: Unpack[GenerationKeywords],
    ) -> list[Description]:
        """Go on from any prompts, together: the lower layer under the verbs.

        Texts equal those of one prompt at a time; scores may differ in the last digits, since the
        last bit of an attention sum depends on what lies beside it, and a near tie could then go
        the other way (docs/engine.md). A picture that occurs in several prompts should be encoded
        first and passed encoded: its keys and values are then held once.
        """
        tellings, requests = self._tellings(prompts, options, overrides)
        clock = Clock()
        began = time.perf_counter()
        source = generate(self.engine, requests, clock)
        del requests  # and with them pictures that nobody else holds, once they are in the arena
        for token in source:
            tellings[token.request].tokens.append(token)
        spent = time.perf_counter() - began
        return [telling.description(clock, spent) for telling in tellings]

    def stream(
        self,
        prompt: Prompt,
        options: GenerationOptions | None = None,
        **overrides: Unpack[GenerationKeywords],
    ) -> Iterator[Event]:
        """Yield text and entities as they come, then `Finished`.

        Closing the iterator stops the model after the pass under way.
        """
        (telling,), requests = self._tellings([prompt], options, overrides)
        began = time.perf_counter()
        clock = Clock()
        yield from telling.begin()
        with closing(generate(self.engine, requests, clock)) as source:
            for token in source:
                yield from telling.feed(token)
        yield from telling.end(clock, time.perf_counter() - began)

    def prepare(
        self, prompt: Prompt, options: GenerationOptions | None = None
    ) -> tuple[Request, Telling]:
        """Return what a batch of one's own takes, and what makes a result of its tokens.

        The layer under `complete` and `stream`, for whoever runs a `kosmoscope.engine.batch.Batch`.
        """
        (telling,), (request,) = self._tellings([prompt], options, {})
        return request, telling

    def _tellings(
        self,
        prompts: Sequence[Prompt],
        options: GenerationOptions | None,
        overrides: Mapping[str, object],
    ) -> tuple[list[Telling], list[Request]]:
        if options is not None and overrides:
            raise OptionError("pass options or keywords, not both")
        chosen = options or GenerationOptions.of(**overrides)
        compiled = [p.compile(self.tokenizer, self.engine.slot_ids) for p in prompts]
        both = [self._telling(p, c, chosen) for p, c in zip(prompts, compiled, strict=True)]
        return [telling for telling, _ in both], [request for _, request in both]

    def _telling(
        self, prompt: Prompt, compiled: CompiledPrompt, options: GenerationOptions
    ) -> tuple[Telling, Request]:
        # Whoever asks about a picture twice encodes it first; the others are looked at for this
        # prompt alone, which saves a pass.
        images = [(at, self._seen(source, once=True)) for at, source in compiled.pictures]
        states = tuple((start, image.state) for start, image in images)
        if prompt.stop_after_entities and not options.stop_after_entities:
            options = replace(options, stop_after_entities=prompt.stop_after_entities)
        ids = PromptIds(compiled.ids, states)
        request = Request(ids, options, self._grammars[compiled.grounded])
        image = images[-1][1]  # boxes refer to it
        context = Context(
            tokenizer=self.tokenizer,
            image=image.info,
            model=self.model,
            precision=self.precision,
            prompt_ids=compiled.ids,
            tail=compiled.tail,
            echo=prompt.echo,
            calibration=self.calibration,
            detections=images[-1][1].state.detections,
        )
        return Telling(context, image.timing), request

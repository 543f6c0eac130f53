"""All comparisons: the tokenizer's first, then fp32's, then those of rounded weights."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import InputError, ModelError, ModelNotFoundError, OptionError
from kosmoscope.files.text import shown_name
from kosmoscope.grammar import Grammar, State
from kosmoscope.kinds import KINDS
from kosmoscope.model.checkpoint import expected_tensors
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.convert import check_source
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.model.names import TOKENIZER
from kosmoscope.model.quantization import Precision
from kosmoscope.parity import Choice, Drift, drift, hidden_states, taught
from kosmoscope.prompts import Prompt
from kosmoscope.results import Description
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.store.convert import ensure_converted, remove_converted
from kosmoscope.store.folders import converted_root, is_commit
from kosmoscope.store.installed import Found, known_name, packaged, resolve
from kosmoscope.store.kind import CONFIG, kind_of
from kosmoscope.store.manifest import is_converted
from kosmoscope.tokens import Tokenizer
from kosmoscope.verification.checks import drift_checks, text_checks, tokenizer_checks
from kosmoscope.verification.goldens import Goldens
from kosmoscope.verification.picture import PublishedPicture
from kosmoscope.verification.report import Check, Verification

Progress = Callable[[str], None]


def find_checkpoint(name: str) -> Found:
    """Find the checkpoint to verify.

    Raises:
        OptionError: it is pocket, of which nobody published anything, or converted already.
        ModelNotFoundError, OfflineError: nothing of that name is on this machine.
        CheckpointError: it is of another kind, or a file is missing.
    """
    other = known_name(name, KINDS)
    if other is not None and other is not KOSMOS2:
        raise ModelNotFoundError(f"{name}: {other.title}; expected a {KOSMOS2.title} model")
    found = resolve(name, [KOSMOS2])
    shown = shown_name(found.folder)
    if any(packaged(p, [KOSMOS2]) == found.folder for p in KOSMOS2.packaged):
        raise OptionError(f"{name}: ships with kosmoscope; published results are of kosmos-2")
    if is_converted(found.folder):
        raise OptionError(f"{shown}: converted already; give the folder it was made from")
    kind_of(found.folder, [KOSMOS2]).find(found.folder)
    return found


def verify(
    found: Found,
    picture: PublishedPicture,
    published: Goldens | None = None,
    *,
    precision: Precision = "int8",
    keep: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Compare what a checkpoint says with what was published of it.

    Greedy and unconstrained, as it was published. The fp32 form, as large as the checkpoint at 4
    bytes a weight (7.2 GB) and mapped, is made in the cache of conversions and removed again,
    unless it was there before. Where the tokenizer disagrees, nothing else is tried.

    Args:
        found: by `find_checkpoint`.
        picture: by `read_published`.
        published: None for those of microsoft/kosmos-2-patch14-224.
        precision: compared too, word by word; "fp32" for fp32 alone.
        keep: leave the fp32 form in the cache.
        threads: for arithmetic.
        progress: called with the name of each step.

    Raises:
        InputError: a published text is not well-formed.
        CheckpointError: a file of the checkpoint is wrong; the message names it.
        ModelError: the disk has no room for the fp32 form, or it cannot be written.
    """
    return _Run(found, picture, published or Goldens.published(), threads, progress).report(
        precision, keep
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What one precision says to all prompts."""

    descriptions: list[Description]
    choices: list[list[Choice]]
    side: int


class _Run:
    def __init__(
        self,
        found: Found,
        picture: PublishedPicture,
        published: Goldens,
        threads: int | None,
        progress: Progress | None,
    ) -> None:
        self.found, self.picture, self.published = found, picture, published
        self.threads, self.say = threads, progress or (lambda _step: None)
        self.checks: list[Check] = []
        self.hashes = {
            name: hashlib.sha256((found.folder / name).read_bytes()).hexdigest()
            for name in (CONFIG, TOKENIZER)
        }
        self.hashes[published.picture] = picture.sha256
        self.hashes["pixels"] = picture.pixels_sha256
        if is_commit(found.folder.name):
            self.hashes["revision"] = found.folder.name

    def report(self, precision: Precision, keep: bool) -> Verification:
        config, _ = check_source(self.found.folder)
        self.tokenizer = Tokenizer.from_file(self.found.folder / TOKENIZER)
        self.checks += tokenizer_checks(self.tokenizer, config.latents, self.published)
        if any(check.passed is False for check in self.checks):
            return self._verification(precision, None)
        self._check_form()
        source = KOSMOS2.find(self.found.folder)
        there = is_converted(KOSMOS2.converted_dir(source, "fp32"))
        if not there:
            _check_room(config)
        try:
            exact = self._exact()
        finally:
            if not there and not keep:
                remove_converted(KOSMOS2, self.found.folder, "fp32")
        if precision == "fp32":
            return self._verification(precision, None)
        scope = self._open(precision)
        rounded = self._said(scope, self._encoded(scope))
        same = [
            a.token_ids == b.token_ids
            for a, b in zip(exact.descriptions, rounded.descriptions, strict=True)
        ]
        moved = drift(precision, exact.choices, rounded.choices, sum(same) / len(same), exact.side)
        texts = self.published.texts
        self.checks += drift_checks(texts, rounded.descriptions, moved, self.tokenizer)
        return self._verification(precision, moved)

    def _check_form(self) -> None:
        """Raise `InputError` for a published text that is not well-formed: words are compared
        among those that the grammar allows, as `kosmoscope.parity` does."""
        grammar = Grammar(self.tokenizer.tokens)
        for text in self.published.texts:
            state: State | None = grammar.state_after(text.prompt_ids)
            for n, i in enumerate(text.ids, 1):
                state = grammar.advance(state, i) if state else None
                if state is None:
                    where = f"id {n} of the text after {text.prompt!r}"
                    raise InputError(f"{where} is out of place: expected well-formed grounded text")

    def _verification(self, precision: Precision, moved: Drift | None) -> Verification:
        return Verification(
            self.found.name, self.published.source, precision, self.hashes,
            tuple(self.checks), moved,
        )  # fmt: skip

    def _open(self, precision: Precision) -> Scope:
        self.say(f"{precision}: load")
        converted = ensure_converted(
            KOSMOS2, self.found.folder, precision, name=self.found.name, progress=self.say
        )
        self.hashes["weights"] = converted.manifest.source_sha256
        return Scope(converted, threads=self.threads)

    def _exact(self) -> _Said:
        """Compare fp32; full-size models need not lie side by side, so that it ends in here."""
        scope = self._open("fp32")
        size = self.published.no_repeat_ngram_size
        own = scope.engine.no_repeat_ngram_size
        detail = f"{own} in the checkpoint's files, {size} in what was published"
        self.checks.append(Check("no_repeat_ngram_size", "", None, detail, float(own)))
        image = self._encoded(scope)
        said = self._said(scope, image)
        for text, description in zip(self.published.texts, said.descriptions, strict=True):
            _, hidden = hidden_states(scope, Prompt().image(image).tagged(text.prompt), text.ids)
            scores = scope.engine.logits(hidden)
            self.checks += text_checks(text, description, scores, self.tokenizer)
        return said

    def _encoded(self, scope: Scope) -> EncodedImage:
        return scope.encode(self.picture.rgb, name=self.published.picture)

    def _said(self, scope: Scope, image: EncodedImage) -> _Said:
        options = GenerationOptions(
            max_new_tokens=self.published.max_new_tokens,
            no_repeat_ngram_size=self.published.no_repeat_ngram_size,
            constrained=False,
        )
        descriptions: list[Description] = []
        choices: list[list[Choice]] = []
        for text in self.published.texts:
            self.say(f"{scope.precision}: {text.prompt}")
            prompt = Prompt().image(image).tagged(text.prompt)
            descriptions += scope.complete([prompt], options)
            choices.append(taught(scope, prompt, text.ids))
        return _Said(descriptions, choices, scope.tokenizer.tokens.side)


def fp32_bytes(config: ModelConfig) -> int:
    """Return what the fp32 form of a checkpoint takes on the disk, with a hundredth to spare.

    Its tensors at 4 bytes a number; a tied embedding is there twice, as rows and as the head.
    """
    numbers = sum(math.prod(shape) for shape in expected_tensors(config).values())
    if config.tied:
        numbers += config.text.vocab_size * config.text.width
    return int(4.04 * numbers)


def _check_room(config: ModelConfig) -> None:
    root = place = converted_root().absolute()
    while not place.exists():
        place = place.parent
    need, free = fp32_bytes(config), shutil.disk_usage(place).free
    if free < need:
        raise ModelError(
            f"{shown_name(root)}: the fp32 form needs {need:,} bytes, {free:,} are free; "
            "KOSMOSCOPE_HOME says where conversions are kept"
        )

"""A model over labelled sets: pictures in, figures out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kosmoscope._version import __version__
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import ImageError, OptionError
from kosmoscope.evaluation.data import PhotoSet, Record, Sample, open_sets
from kosmoscope.evaluation.figures import METRICS, figures
from kosmoscope.evaluation.judging import (
    GroundFact,
    Labels,
    PictureFacts,
    Question,
    guesses_of,
    judge,
    judge_answer,
    questions,
)
from kosmoscope.evaluation.masks import MaskFact, mask_figures, measure_masks
from kosmoscope.evaluation.partition import PartitionOverlaps
from kosmoscope.prompts import Prompt, describe_prompt, ground_prompt
from kosmoscope.results import Description
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.segment.protocol import LookingOnce, Segmenter

SCHEMA_VERSION = 1
TOGETHER = 8
"""Pictures that are described at the same time."""
_QUESTIONS_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What to measure and how.

    Raises:
        OptionError: an unknown metric, or a limit below 1.
    """

    sets: tuple[str, ...] = ()
    """Names; none for all that the folder has."""
    metrics: tuple[str, ...] = METRICS
    """Of `figures.METRICS`."""
    limit: int | None = None
    """Pictures a set at most, evenly spaced over its records."""
    held_out: bool = False
    """Only pictures that the training of `pocket` leaves out (`data.held_out`)."""
    prompt: str = "brief"
    """As `Scope.describe` takes it."""
    plain_captions: bool = False
    """Compare with human captions what the model says when it is not asked for boxes."""
    refined: bool = False
    """Judge the boxes finer than the grid of location tokens."""

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise OptionError(f"metric {name!r}: expected some of {', '.join(METRICS)}")
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit is {self.limit}; expected 1 or more")


@dataclass(frozen=True, slots=True)
class Group:
    """A few pictures of a set that were asked about together."""

    set_name: str
    pictures: tuple[PictureFacts, ...]
    masks: tuple[MaskFact, ...]
    partition: PartitionOverlaps
    failures: tuple[dict[str, str], ...]
    digest: bytes
    """A line a picture: its labels, and the hash of its file."""
    described_in: float
    grounded_in: float
    masked_in: float


@dataclass(slots=True)
class Evaluation:
    """What came of it: the sum of its groups, each of which is there whole or not at all."""

    model: str
    precision: str
    threads: int
    options: EvaluationOptions
    generation: GenerationOptions
    segmenter: str | None = None
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: how many records, chosen and evaluated, and a hash of what was read."""
    groups: list[Group] = field(default_factory=list)
    interrupted: bool = False

    @property
    def pictures(self) -> list[PictureFacts]:
        """What was seen of each picture."""
        return [facts for group in self.groups for facts in group.pictures]

    @property
    def masks(self) -> list[MaskFact]:
        """The masks that were measured."""
        return [fact for group in self.groups for fact in group.masks]

    @property
    def failures(self) -> list[dict[str, str]]:
        """Pictures that could not be read, with the reason."""
        return [failure for group in self.groups for failure in group.failures]

    @property
    def partitions(self) -> dict[str, PartitionOverlaps]:
        """By set."""
        found: dict[str, PartitionOverlaps] = {}
        for group in self.groups:
            of_set = PartitionOverlaps(group.partition.class_names)
            found.setdefault(group.set_name, of_set).merge(group.partition)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain data, with the schema's version."""
        asked = sum(len(p.grounded) for p in self.pictures)
        found = figures(self.pictures, self.options.metrics)
        if self.segmenter is not None:
            partitions = {n: p.to_dict() for n, p in self.partitions.items() if p.pictures}
            found["masks"] = {
                "segmenter": self.segmenter,
                **mask_figures(self.masks),
                "partition": partitions,
            }
        return {
            "schema": SCHEMA_VERSION,
            "kosmoscope": __version__,
            "model": self.model,
            "precision": self.precision,
            "threads": self.threads,
            "options": _plain(asdict(self.options)),
            "generation": _plain(asdict(self.generation)),
            "sets": self.sets,
            "pictures": len(self.pictures),
            "failed": self.failures,
            "interrupted": self.interrupted,
            "seconds_a_picture": _mean(
                sum(g.described_in for g in self.groups), len(self.pictures)
            ),
            "seconds_a_phrase": _mean(sum(g.grounded_in for g in self.groups), asked),
            "figures": found,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _mean(total: float, of: int) -> float | None:
    return round(total / of, 4) if of else None


def evaluate(
    scope: Scope,
    data: Path,
    options: EvaluationOptions = EvaluationOptions(),
    generation: GenerationOptions = GenerationOptions(),
    *,
    segmenter: Segmenter | None = None,
    progress: Callable[[int, int, float], object] | None = None,
    on_picture: Callable[[PictureFacts], object] | None = None,
) -> Evaluation:
    """Measure a model on labelled pictures.

    A picture that cannot be read is listed among the failures, and the rest goes on. Ctrl-C ends
    the run with what there is by then.

    Args:
        scope: the model.
        data: a folder in the format of docs/evaluation.md.
        options: what to measure.
        generation: how to generate.
        segmenter: measure masks too, on the pictures that have them.
        progress: called with (pictures done, all of them, pictures a second).
        on_picture: called with what was seen of each picture.

    Raises:
        InputError: the data are not what the format says; found before any picture is described.
    """
    found = Evaluation(
        scope.model, scope.precision, scope.engine.threads, options, scope.settled(generation),
        None if segmenter is None else segmenter.name,
    )  # fmt: skip
    with ExitStack() as stack:
        plan = []
        for photos in open_sets(data, options.sets):
            stack.enter_context(photos)
            plan.append((photos, photos.chosen(options.limit, only_held_out=options.held_out)))
        total = sum(len(records) for _, records in plan)
        began, done = time.perf_counter(), 0
        for photos, records in plan:
            run = _Run(scope, photos, found, segmenter)
            try:
                for start in range(0, len(records), TOGETHER):
                    some = records[start : start + TOGETHER]
                    group = run.group(some)
                    found.groups.append(group)  # in one step: Ctrl-C comes before it or after
                    for facts in group.pictures:
                        if on_picture is not None:
                            on_picture(facts)
                    done += len(some)
                    if progress is not None:
                        progress(done, total, done / (time.perf_counter() - began))
            except KeyboardInterrupt:
                found.interrupted = True
                break
            finally:
                found.sets[photos.name] = run.summary(len(records))
    return found


class _Run:
    """One set."""

    def __init__(
        self, scope: Scope, photos: PhotoSet, found: Evaluation, segmenter: Segmenter | None
    ) -> None:
        self._scope, self._photos, self._found, self._segmenter = scope, photos, found, segmenter
        self._labels = Labels.of(photos.things, photos.stuff)

    def group(self, records: Sequence[Record]) -> Group:
        """Read, ask and judge a few pictures."""
        options = self._found.options
        began = time.perf_counter()
        failures: list[dict[str, str]] = []
        samples = list(self._read(records, failures))
        seen = [self._scope.encode(s.rgb, name=s.record.file) for s in samples]
        said = self._complete([describe_prompt(s, options.prompt) for s in seen])
        plain: Sequence[Description | None] = [None] * len(seen)
        if options.plain_captions and any(s.record.captions for s in samples):
            prompts = [describe_prompt(s, options.prompt, grounded=False) for s in seen]
            plain = self._complete(prompts)
        described = time.perf_counter()
        answers = self._ground(samples, seen) if "grounding" in options.metrics else {}
        grounded = time.perf_counter()
        facts = [
            judge(s.record, self._labels, d, plain=p, refined=options.refined,
                  grounded=tuple(answers.get(i, ())))
            for i, (s, d, p) in enumerate(zip(samples, said, plain, strict=True))
        ]  # fmt: skip
        masks: list[MaskFact] = []
        names = self._photos.class_names
        overlaps = PartitionOverlaps(names)
        if self._segmenter is not None:
            for sample, description in zip(samples, said, strict=True):
                guesses = guesses_of(description, self._labels.classes, refined=options.refined)
                segmenter = LookingOnce(self._segmenter, sample.rgb)
                masks += measure_masks(sample, guesses, names, segmenter)
                overlaps.add(sample, description, self._labels.classes, segmenter)
        ended = time.perf_counter()
        lines = (f"{json.dumps(asdict(s.record), sort_keys=True)} {s.sha256}\n" for s in samples)
        return Group(
            self._photos.name, tuple(facts), tuple(masks), overlaps, tuple(failures),
            "".join(lines).encode(), described - began, grounded - described, ended - grounded,
        )  # fmt: skip

    def summary(self, chosen: int) -> dict[str, Any]:
        """Return what was read of the set."""
        groups = [g for g in self._found.groups if g.set_name == self._photos.name]
        return {
            "records": len(self._photos.records),
            "chosen": chosen,
            "evaluated": sum(len(g.pictures) for g in groups),
            "sha256": hashlib.sha256(b"".join(g.digest for g in groups)).hexdigest(),
        }

    def _read(self, records: Sequence[Record], failures: list[dict[str, str]]) -> Iterator[Sample]:
        for record in records:
            try:
                yield self._photos.read(
                    record, self._scope.limits, mask=self._segmenter is not None
                )
            except ImageError as e:
                failures.append({"set": record.set_name, "file": record.file, "problem": str(e)})

    def _complete(self, prompts: Sequence[Prompt]) -> list[Description]:
        return self._scope.complete(prompts, self._found.generation) if prompts else []

    def _ground(
        self, samples: Sequence[Sample], seen: Sequence[EncodedImage]
    ) -> dict[int, list[GroundFact]]:
        asked: list[tuple[int, Question]] = [
            (i, q) for i, s in enumerate(samples) for q in questions(s.record)
        ]
        found: dict[int, list[GroundFact]] = {}
        for start in range(0, len(asked), _QUESTIONS_TOGETHER):
            some = asked[start : start + _QUESTIONS_TOGETHER]
            answers = self._complete([_ask(seen[i], q) for i, q in some])
            for (i, question), answer in zip(some, answers, strict=True):
                fact = judge_answer(question, answer, refined=self._found.options.refined)
                found.setdefault(i, []).append(fact)
        return found


def _ask(seen: EncodedImage, question: Question) -> Prompt:
    if not question.context:
        return ground_prompt(seen, question.phrase)
    start = Prompt(stop_after_entities=1).image(seen).grounding()
    return start.text(question.context).phrase(question.phrase)

"""Pictures into masks for `segment`: the pipeline that describes them has segmenting as its sink.

Imports what runs a model: the command imports this when it is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kosmoscope.batch import PictureDone, Sink, Source, Task, describe_pictures
from kosmoscope.batch.decoding import Failed
from kosmoscope.batch.tasks import check_prompts
from kosmoscope.cli import terminal
from kosmoscope.cli.options import Format
from kosmoscope.cli.progress import Counter
from kosmoscope.cli.render import columns
from kosmoscope.cli.segment_files import SegmentFolder, ToSegment
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import BoxError, ImageError
from kosmoscope.files.text import one_line
from kosmoscope.images import Picture, read_image
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.segment import Segmentation
from kosmoscope.segment.protocol import BoxPrompt, Segmenter
from kosmoscope.segment.run import Wanted, segment_description, segment_picture

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Asked:
    """What decides a picture's masks, besides the model and the segmenter."""

    prompt: str | None
    phrases: tuple[str, ...]
    boxes: tuple[tuple[float, ...], ...]
    points: tuple[tuple[float, ...], ...]
    max_new_tokens: int
    regions: bool

    @property
    def by_hand(self) -> bool:
        """Whether no model is asked where things are."""
        return bool(self.boxes or self.points)

    def tasks(self) -> list[Task]:
        """Return what the model is asked about a picture."""
        return [Task.ground(p) for p in self.phrases] or [Task.describe(self.prompt or "brief")]

    def wanted(self, image_wh: tuple[int, int]) -> list[Wanted]:
        """Return the prompts of the boxes and points that were given, of a picture of that size."""
        clicks = tuple((x, y, True) for x, y in self.points)
        if not self.boxes:
            return [Wanted(BoxPrompt.at(clicks, image_wh))]
        return [Wanted(BoxPrompt((x1, y1, x2, y2), points=clicks)) for x1, y1, x2, y2 in self.boxes]


class Segmented(Sink):
    """Segments pictures, one after the other, shows them and writes them.

    Args:
        pictures: those that will come, in their order.
        asked: what decides the masks.
        tool: the segmenter.
        folder: where to; None to show only.
        format: of what is shown; None to show nothing.
        counter: told after each picture.
    """

    def __init__(
        self,
        pictures: Sequence[ToSegment],
        asked: Asked,
        tool: Segmenter,
        folder: SegmentFolder | None,
        format: Format | None,
        counter: Counter,
    ) -> None:
        self.failed = 0
        self._order = iter(pictures)
        self._total = len(pictures)
        self._asked, self._tool, self._folder, self._format = asked, tool, folder, format
        self._counter = counter
        self._done, self._began = 0, time.monotonic()

    def add(self, done: PictureDone) -> None:
        """Segment what the model said about the next picture."""
        self.segment(done.kept, done.descriptions)

    def fail(self, failed: Failed) -> None:
        """Report that the next picture cannot be segmented."""
        next(self._order)
        self._count(failed.error)

    def segment(self, picture: Picture, said: Sequence[Description]) -> None:
        """Segment the next picture by what was said about it, or by hand."""
        one, image_wh = next(self._order), (picture.info.width, picture.info.height)
        regions = self._asked.regions
        try:
            if self._asked.by_hand:
                wanted = self._asked.wanted(image_wh)
                found = segment_picture(
                    picture.rgb, picture.info, wanted, self._tool, regions=regions
                )
            else:
                found = segment_description(
                    said, picture.rgb, picture.info, self._tool, regions=regions
                )
        except BoxError as e:
            self._count(f"{one_line(one.path)}: {e}")
            return
        if self._folder is not None:
            self._folder.write(self._folder.file(one), found, picture)
        with nullcontext() if self._folder is None else terminal.telling():
            if self._format is Format.JSON:
                terminal.emit(terminal.json_line(found.to_dict()))
            elif self._format is Format.TEXT:
                terminal.emit_rich(*_shown(found))
        self._count()

    def _count(self, problem: str = "") -> None:
        if problem:
            terminal.error(problem)
            self.failed += 1
        self._done += 1
        rate = self._done / max(time.monotonic() - self._began, 1e-9)
        left = (self._total - self._done) / rate
        self._counter.move(self._done, self._total, rate, self.failed, left)


def segment_pictures(
    pictures: Sequence[ToSegment],
    asked: Asked,
    tool: Segmenter,
    load: Callable[[], Scope],
    folder: SegmentFolder | None,
    generation: GenerationOptions,
    format: Format | None,
    *,
    quiet: bool,
) -> int:
    """Segment pictures in their order; return how many of them failed, which are reported.

    Args:
        pictures: with their descriptions, or all without.
        asked: what decides the masks.
        tool: the segmenter.
        load: loads the model, if one is needed.
        folder: where to; None to show only.
        generation: how pictures without a description are described.
        format: of what is shown; None to show nothing.
        quiet: show no progress.
    """
    unknown = not asked.by_hand and any(one.description is None for one in pictures)
    scope = load() if unknown else None
    with Counter("segmenting", quiet=quiet) as counter:
        sink = Segmented(pictures, asked, tool, folder, format, counter)
        if scope is not None:
            tasks = asked.tasks()
            check_prompts(scope, tasks)
            sources = [Source(one.path) for one in pictures]
            # Windows of one picture: each is held in full until it is segmented.
            describe_pictures(
                scope, sources, tasks, generation, sink, keep=lambda picture: picture, batch_size=1
            )
            return sink.failed
        for one in pictures:
            try:
                picture = read_image(one.path)
            except ImageError as e:
                sink.fail(Failed(Source(one.path), type(e).__name__, str(e)))
            else:
                sink.segment(picture, [] if one.description is None else [one.description])
    return sink.failed


def _shown(found: Segmentation) -> list[Table | str]:
    image = found.image
    table = columns("#", "segment", "kind", "percent", "pixels", "score", right=(0, 3, 4, 5))
    percent, pixels = found.areas_percent(), found.areas_px()
    for part in found.segments:
        score = "-" if part.score is None else f"{part.score:.2f}"
        table.add_row(str(part.id), one_line(part.phrase), part.kind,
                      f"{percent[part.id]:.1f}", str(pixels[part.id]), score)  # fmt: skip
    table.add_row("0", "rest", "", f"{percent[0]:.1f}", str(pixels[0]), "-")
    head = f"{one_line(image.path)}  {image.width}x{image.height}"
    caption = [one_line(found.caption)] if found.caption else []
    return [head, *caption, table, f"{found.segmenter}, {found.seconds:.2f} s\n"]

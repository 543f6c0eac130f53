"""Pictures into masks for `segment`: the pipeline that describes them has segmenting as its sink.

Imports what runs a model: the command imports this when it is called.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from kosmoscope.batch import PictureDone, Sink, Source, Task, describe_pictures
from kosmoscope.batch.decoding import Failed
from kosmoscope.batch.sources import problem_text
from kosmoscope.batch.tasks import check_prompts
from kosmoscope.cli import terminal
from kosmoscope.cli.boxes import TypedBox, TypedPoint
from kosmoscope.cli.model_options import naming_options
from kosmoscope.cli.options import Format
from kosmoscope.cli.progress import Counter
from kosmoscope.cli.render import columns
from kosmoscope.cli.segment_files import SegmentFolder, ToSegment
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import ImageError, InputError, OutputError
from kosmoscope.files.text import one_line
from kosmoscope.images import Limits, Picture, read_image
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.segment import Segmentation
from kosmoscope.segment.protocol import BoxPrompt, LookingOnce, Segmenter
from kosmoscope.segment.run import Wanted, segment_description, segment_picture
from kosmoscope.segment.salience import Salience, segment_salient

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.table import Table


_OF_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOENT, errno.ENOTDIR}
"""What a picture's file cannot be written for, and no other picture's either."""


@dataclass(frozen=True)
class Asked:
    """What decides a picture's masks, besides the model and the segmenter."""

    prompt: str | None
    phrases: tuple[str, ...]
    boxes: tuple[TypedBox, ...]
    points: tuple[TypedPoint, ...]
    labels: tuple[str, ...]
    """Names of what is in the boxes: none, one for all, or one for each."""
    max_new_tokens: int
    regions: bool
    salient: bool = False
    """What the picture is about, wherever that is."""

    @property
    def by_hand(self) -> bool:
        """Whether no model is asked where things are."""
        return self.salient or bool(self.boxes or self.points)

    def settings(self) -> dict[str, Any]:
        """Return it as plain values; what is younger than the first folders only where used."""
        in_pixels = [*(b.pixels for b in self.boxes), *(p.pixels for p in self.points)]
        return {
            "prompt": self.prompt,
            "phrases": list(self.phrases),
            "boxes": [list(box.xyxy) for box in self.boxes],
            "points": [list(point.xy) for point in self.points],
            **({"labels": list(self.labels)} if self.labels else {}),
            **({"units": "fractions"} if not all(in_pixels) else {}),
            "max_new_tokens": self.max_new_tokens,
            "regions": self.regions,
            **({"salient": True} if self.salient else {}),
        }

    def tasks(self) -> list[Task]:
        """Return what the model is asked about a picture."""
        return [Task.ground(p) for p in self.phrases] or [Task.describe(self.prompt or "brief")]

    def wanted(self, picture: Picture) -> list[Wanted]:
        """Return the prompts of the boxes and points that were given, in the pixels of a picture.

        Raises:
            BoxError: a box leaves the picture.
        """
        of, read = picture.info, picture.rgb_info
        clicks = tuple((*point.in_pixels(of, read), True) for point in self.points)
        labels = self.labels or ("",)
        if not self.boxes:
            return [Wanted(BoxPrompt.at(clicks, (read.width, read.height), labels[0]))]
        names = labels * len(self.boxes) if len(labels) == 1 else labels
        return [
            Wanted(BoxPrompt(box.in_pixels(of, read), name, points=clicks))
            for box, name in zip(self.boxes, names, strict=True)
        ]


class Segmented(Sink):
    """Segments pictures, one after the other, shows them and writes them.

    Args:
        pictures: those that will come, in their order.
        asked: what decides the masks.
        tool: the segmenter, or what tells what a picture is about.
        folder: where to; None to show only.
        format: of what is shown; None to show nothing.
        counter: told after each picture.
        limits: with which pictures are read.
    """

    def __init__(
        self,
        pictures: Sequence[ToSegment],
        asked: Asked,
        tool: Segmenter | Salience,
        folder: SegmentFolder | None,
        format: Format | None,
        counter: Counter,
        limits: Limits,
    ) -> None:
        self.failed = 0
        self._limits = limits
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

    def segment(
        self,
        picture: Picture,
        said: Sequence[Description],
        tool: Segmenter | Salience | None = None,
    ) -> None:
        """Segment the next picture by what was said about it, or by hand.

        Args:
            picture: in full.
            said: about it; nothing where that is done by hand.
            tool: another segmenter than usual, for a picture that comes more than once.

        Raises:
            OutputError: nothing can be written any more (the disk is full, the folder gone). What
                concerns this picture alone is reported, and the rest goes on.
        """
        one, tool = next(self._order), tool or self._tool
        regions, info = self._asked.regions, picture.rgb_info
        try:
            found: Segmentation
            if isinstance(tool, Salience):
                name = "".join(self._asked.labels)
                found = segment_salient(picture.rgb, info, tool, label=name, regions=regions)
            elif self._asked.by_hand:
                wanted = self._asked.wanted(picture)
                found = segment_picture(picture.rgb, info, wanted, tool, regions=regions)
            else:
                found = segment_description(said, picture.rgb, info, tool, regions=regions)
            if self._folder is not None:
                self._folder.write(one, found, picture, self._alpha(one, picture))
        except ImageError as e:
            self._count(str(e))
            return
        except (InputError, OutputError) as e:
            cause = e.__cause__
            if isinstance(cause, OSError) and cause.errno in _OF_ALL:
                raise
            self._count(f"{one_line(one.path)}: {e}")
            return
        with nullcontext() if self._folder is None else terminal.telling():
            if self._format is Format.JSON:
                terminal.emit(terminal.json_line(found.to_dict()))
            elif self._format is Format.TEXT:
                terminal.emit_rich(*_shown(found))
        self._count()

    def _alpha(self, one: ToSegment, picture: Picture) -> NDArray[np.uint8] | None:
        """What cut-outs keep of a picture's transparency: read again, for most have none."""
        if not picture.transparent or self._folder is None or not self._folder.cutout:
            return None
        source = one.path if one.data is None else one.data
        return read_image(source, name=one.path, limits=self._limits, alpha=True).alpha

    def _count(self, problem: str = "") -> None:
        if problem:
            terminal.error(naming_options(problem))
            self.failed += 1
        self._done += 1
        rate = self._done / max(time.monotonic() - self._began, 1e-9)
        left = (self._total - self._done) / rate
        self._counter.move(self._done, self._total, rate, self.failed, left)


def segment_pictures(
    pictures: Sequence[ToSegment],
    asked: Asked,
    tool: Segmenter | Salience,
    load: Callable[[], Scope],
    limits: Limits,
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
        tool: the segmenter; with `asked.salient` what tells what a picture is about.
        load: loads the model, if one is needed.
        limits: with which pictures are read.
        folder: where to; None to show only.
        generation: how pictures without a description are described.
        format: of what is shown; None to show nothing.
        quiet: show no progress.
    """
    unknown = not asked.by_hand and any(one.description is None for one in pictures)
    scope = load() if unknown else None
    with Counter("segmenting", quiet=quiet) as counter:
        sink = Segmented(pictures, asked, tool, folder, format, counter, limits)
        if scope is not None:
            tasks = asked.tasks()
            check_prompts(scope, tasks)
            sources = [
                Source(one.path, one.problem, None if one.data is None else BytesIO(one.data))
                for one in pictures
            ]
            # Windows of one picture: each is held in full until it is segmented.
            describe_pictures(
                scope, sources, tasks, generation, sink, keep=lambda picture: picture, batch_size=1
            )
            return sink.failed
        # Several descriptions of a picture come one after the other: it is read and looked at once.
        path, picture = None, None
        looking: Segmenter | Salience = tool
        for one in pictures:
            if one.problem:
                place = Source(one.path, one.problem)
                sink.fail(Failed(place, InputError.__name__, problem_text(place)))
                continue
            try:
                if picture is None or one.path != path:
                    path, picture = one.path, None
                    source = one.path if one.data is None else one.data
                    picture = read_image(source, name=one.path, limits=limits)
                    if not isinstance(tool, Salience):  # which is asked once
                        looking = LookingOnce(tool, picture.rgb)
            except ImageError as e:
                sink.fail(Failed(Source(one.path), type(e).__name__, str(e)))
            else:
                said = [] if one.description is None else [one.description]
                sink.segment(picture, said, looking)
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

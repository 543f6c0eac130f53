"""Descriptions -> a folder with a page, thumbnails and, for many pictures, files of data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kosmoscope._version import __version__
from kosmoscope.choosing import chosen
from kosmoscope.errors import ImageError, OptionError
from kosmoscope.files.addresses import relative_address
from kosmoscope.files.marker import claim
from kosmoscope.files.writing import output_error, write_file
from kosmoscope.gallery.html import DATA_FILE, make_page
from kosmoscope.gallery.outlines import collect_outlines
from kosmoscope.gallery.records import (
    PictureRecord,
    collect,
    common_parts,
    short_names,
)
from kosmoscope.gallery.seen import Seen, seen_in
from kosmoscope.gallery.thumbnails import Thumbnail, make_thumbnail, remove_stale
from kosmoscope.masks import LabelMap
from kosmoscope.questions.words.part import lines_about
from kosmoscope.types import GroundedCaption

THUMBNAIL_PX = (64, 2048)
_THREADS = min(4, os.cpu_count() or 1)
"""Pillow decodes, scales and encodes without the interpreter's lock. More threads would hold
more whole pictures in memory."""


def build_gallery(
    descriptions: Iterable[GroundedCaption],
    out: Path,
    *,
    title: str = "Pictures, described",
    thumbnail_px: int = 480,
    images_root: Path | None = None,
    segmentations: Iterable[LabelMap] = (),
    progress: Callable[[int, int], None] | None = None,
    problem: Callable[[ImageError], None] | None = None,
    min_score: float | None = None,
    merge_iou: float | None = None,
) -> Path:
    """Write a static gallery: ``out/index.html`` and ``out/thumbs/``.

    The page needs no server and no network. Several descriptions of one picture (`image.path`)
    are tabs of one card; a picture that cannot be read has a card that says so. Thumbnails are
    named by their picture's contents and reused; those that no picture has any more are removed.
    The page is at most 200 KB: with more than a few hundred pictures their data are files in
    ``out/data/``. The same input gives the same bytes. Stopped at any moment, it leaves the old
    page working or the new one.

    Args:
        descriptions: read once, in order; only what the page needs is kept of each.
        out: a folder, made if it is not there. Files of others in it are left alone.
        title: plain text, over the page.
        thumbnail_px: longer side of the thumbnails in pixels, 64 to 2048.
        segmentations: of these descriptions (same picture, same caption); read once, before them.
            Their masks can be shown and light up with their phrases.
        images_root: what relative paths of pictures are relative to; None: the working folder.
        progress: called with (pictures done, all pictures) after each.
        problem: called with each picture's error that should be a file and cannot be read.
        min_score: leave out boxes with a lower score, 0..1, see `kosmoscope.choosing.chosen`.
        merge_iou: of boxes of one phrase that several descriptions of a picture have, and that
            overlap by so much, keep the one with the highest score.

    Returns:
        The path of the page.

    Raises:
        OptionError: `thumbnail_px` or a threshold is out of its range.
        OutputError: the folder or a file in it cannot be written.
    """
    low, high = THUMBNAIL_PX
    if isinstance(thumbnail_px, bool) or not isinstance(thumbnail_px, int):
        raise OptionError(f"thumbnail_px is {thumbnail_px!r}; expected a whole number")
    if not low <= thumbnail_px <= high:
        raise OptionError(f"thumbnail_px is {thumbnail_px}; expected {low} to {high}")
    kept = chosen(descriptions, min_score=min_score, merge_iou=merge_iou)
    collected = collect(kept, images_root, collect_outlines(segmentations))
    pictures = collected.pictures
    thumbs, data_folder, index = out / "thumbs", out / "data", out / "index.html"
    try:
        ours = claim(out)
        # Where the folder is somebody's, the thumbnails in it still are ours.
        if not ours.whole:
            claim(thumbs)
        thumbs.mkdir(exist_ok=True)
        made, seen = _look(pictures, thumbs, thumbnail_px, progress)
        for thumb in made:
            if thumb.error is not None and problem is not None:
                problem(thumb.error)
        names = short_names([p.path for p in pictures])
        hrefs = [
            relative_address(p.file, out) if p.file and t.name else ""
            for p, t in zip(pictures, made, strict=True)
        ]
        base = _folder(hrefs)
        rows = (
            p.row(i, name, thumb.name, href.removeprefix(base), thumb.problem, known)
            for i, (p, name, thumb, href, known) in enumerate(
                zip(pictures, names, made, hrefs, seen, strict=True)
            )
        )
        meta = {
            "base": base,
            "prompts": list(collected.prompts.strings),
            "models": list(collected.models.strings),
            "masks": collected.masks,
            "closer": collected.closer,
            "kinds": lines_about({noun for one in seen for noun in one.nouns}),
            "version": __version__,
        }
        page = make_page(title, meta, rows)
        if page.data:
            data_folder.mkdir(exist_ok=True)
        for name, content in page.data.items():
            if not (data_folder / name).is_file():
                write_file(data_folder / name, content)
        write_file(index, page.index)
        # Last: until now the old page could still be open.
        remove_stale(thumbs, {t.name for t in made})
        if data_folder.is_dir():
            remove_stale(data_folder, page.data.keys(), DATA_FILE)
            if not page.data and not any(data_folder.iterdir()):
                data_folder.rmdir()
    except OSError as e:
        raise output_error(e.filename if isinstance(e.filename, str) else out, e) from e
    return index


def _look(
    pictures: list[PictureRecord],
    folder: Path,
    px: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Thumbnail], list[Seen]]:
    """Look at every picture: its thumbnail, and what is known of it."""

    def one(picture: PictureRecord) -> tuple[Thumbnail, Seen]:
        thumbnail = make_thumbnail(picture.path, picture.file, folder, px)
        file = picture.file if thumbnail.name else None
        masks = [one.label_map() for one in picture.masks]
        seen = seen_in(picture.path, file, picture.descriptions, masks)
        picture.descriptions.clear()
        picture.masks.clear()
        return thumbnail, seen

    made: list[Thumbnail] = []
    known: list[Seen] = []
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for thumbnail, seen in pool.map(one, pictures):
            made.append(thumbnail)
            known.append(seen)
            if progress is not None:
                progress(len(made), len(pictures))
    finally:
        pool.shutdown(cancel_futures=True)
    return made, known


def _folder(hrefs: list[str]) -> str:
    """The folder that all addresses begin with; empty, or it ends in a slash."""
    folders = [h.split("/")[:-1] for h in hrefs if h]
    return "".join(f"{part}/" for part in folders[0][: common_parts(folders)]) if folders else ""

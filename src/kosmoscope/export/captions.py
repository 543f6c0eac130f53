"""Captions as text files beside the pictures: what trainers of image models read.

``cat.jpg`` and ``cat.txt``: kohya's sd-scripts, OneTrainer, ai-toolkit and SimpleTuner look for the
picture's stem. Of several captions each has a line; those that read one take the first.
"""

from __future__ import annotations

from collections.abc import Iterable

from kosmoscope.errors import OptionError
from kosmoscope.export.format import FORMATS, Files, Job, folder_format
from kosmoscope.export.saying import without_lead
from kosmoscope.files.text import markup, one_space
from kosmoscope.types import GroundedCaption


def to_captions(
    descriptions: Iterable[GroundedCaption], *, prefix: str = "", drop_lead: bool = False
) -> dict[str, str]:
    """Return the captions' files: name -> text, one for each picture.

    Args:
        descriptions: of the pictures; phrases that were looked for and answers are no captions.
        prefix: put before each caption: "sks dog, ". Alone, without its last comma, where a
            picture has no caption.
        drop_lead: leave out "An image of" and "The image shows".
    """
    options = {"prefix": prefix, "drop_lead": drop_lead}
    return dict(_files(Job(descriptions, options=options)))


def _files(job: Job) -> Files:
    prefix, drop_lead = job.options.get("prefix", ""), job.options.get("drop_lead", False)
    if not isinstance(prefix, str):
        raise OptionError(f"prefix is {prefix!r}; expected a text")
    for picture, stem in zip(job.pictures, job.stems, strict=True):
        lines = [_line(caption, prefix, drop=bool(drop_lead)) for caption in picture.captions]
        alone = _plain(prefix).rstrip(" ,;:")
        yield f"{stem}.txt", "".join(f"{line}\n" for line in lines or filter(None, [alone]))


def _line(caption: str, prefix: str, *, drop: bool) -> str:
    return _plain(prefix + (without_lead(caption) if drop else caption))


def _plain(text: str) -> str:
    return markup(one_space(text))


CAPTIONS = FORMATS.add(
    folder_format(
        "captions",
        "a `.txt` for each picture, beside it; captions only",
        _files,
        pictures="",
        needs_pictures=True,
        options=("prefix", "drop_lead"),
    )
)

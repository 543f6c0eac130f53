"""What FiftyOne calls of a remote source: download a model, load it, ask for its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fiftyone.operators import types

from kosmoscope.choosing import check_share
from kosmoscope.errors import OptionError
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import write_text
from kosmoscope.labels import Label
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.plugins.fiftyone.model import Config, KosmoscopeModel
from kosmoscope.plugins.finding import Finder
from kosmoscope.scope import load
from kosmoscope.segment.run import CLASSICAL
from kosmoscope.store.hub import pull

_PREFIX = "kosmoscope-"


def download_model(model_name: str, model_path: str) -> None:
    """Bring a model onto this machine, and leave a note where FiftyOne looks for it.

    The model itself is where all programs of this machine find it.

    Raises:
        DownloadError: it cannot be had.
    """
    name = _plain(model_name)
    folder = pull(name, [KOSMOS2])
    write_text(Path(model_path), f"{name}: {shown_name(folder)}\n")


def load_model(
    model_name: str,
    model_path: str | None = None,  # noqa: ARG001
    *,
    classes: Iterable[str] | None = None,
    masks: bool = False,
    confidence_thresh: float | None = None,
    segmenter: str = CLASSICAL,
    threads: int | None = None,
) -> KosmoscopeModel:
    """Return a model that `dataset.apply_model` takes.

    Args:
        model_name: of the manifest, or as `kosmoscope.load` takes it.
        model_path: where FiftyOne keeps it; not used.
        classes: what to look for, in words; each is a detection's label.
        masks: find the pixels, too.
        confidence_thresh: keep what the model is as sure of; None: see `kosmoscope.labels`.
        segmenter: of masks.
        threads: for arithmetic; None for one per processor.

    Raises:
        OptionError: no classes, or a threshold out of its range.
        ModelError: there is no such model.
    """
    names = list(dict.fromkeys(classes or ()))
    if not names:
        raise OptionError("classes: expected what to look for, such as ['dog', 'traffic light']")
    check_share("confidence_thresh", confidence_thresh)
    labels = [Label.of(name) for name in names]
    finder = Finder(load(_plain(model_name), threads=threads), labels, segmenter)
    return KosmoscopeModel(finder, Config(names, masks, confidence_thresh))


def resolve_input(model_name: str, ctx: Any) -> types.Property:  # noqa: ARG001
    """Return the form in which FiftyOne's app asks for the parameters of `load_model`."""
    inputs = types.Object()
    inputs.list("classes", types.String(), required=True, label="Classes",
                description="What to look for, in words.")  # fmt: skip
    inputs.bool("masks", default=False, label="Masks", description="Find the pixels, too.")
    inputs.float(
        "confidence_thresh",
        label="Least confidence",
        min=0,
        max=1,
        description="Without it, what a description names, and what is quite sure.",
    )
    return types.Property(inputs)


def _plain(model_name: str) -> str:
    return model_name.removeprefix(_PREFIX)

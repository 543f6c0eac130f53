"""The options of `describe` that only make sense with --output."""

from __future__ import annotations

from dataclasses import dataclass

from kosmoscope.cli.options import Flag, declare


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How a folder of results is filled."""

    annotate: bool = False
    gallery: bool = False
    index: bool = False
    overwrite: bool = False
    skip_existing: bool = True
    watch: bool = False
    batch_size: int | None = None
    quiet: bool = False


declare(
    FolderOptions,
    "With --output",
    annotate=Flag("Write annotated pictures into FOLDER/annotated."),
    gallery=Flag("Make a page of all results in FOLDER/gallery at the end."),
    index=Flag("Make the index for `search` at the end, or bring it up to date."),
    overwrite=Flag("Forget what is in the folder."),
    skip_existing=Flag(
        "Trust a path that has its results, or read every file again and describe "
        "those that changed.",
        "--skip-existing/--recheck",
    ),
    watch=Flag("Go on with what comes into the folders, until Ctrl-C."),
    batch_size=Flag("Pictures at the model at the same time."),
    quiet=Flag("Report errors only; also without --output.", "--quiet", "-q"),
)

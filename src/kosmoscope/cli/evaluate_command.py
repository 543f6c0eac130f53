"""evaluate: how good a model is on labelled pictures."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosmoscope.cli import terminal
from kosmoscope.cli.exit_codes import FAILED, INTERRUPTED
from kosmoscope.cli.model_options import ModelOptions
from kosmoscope.cli.options import Format, FormatOption, Only, add_commands
from kosmoscope.cli.progress import Counter
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import InputError, OptionError
from kosmoscope.files.text import one_line
from kosmoscope.files.writing import write_text
from kosmoscope.segment.registry import SEGMENTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from kosmoscope.evaluation.run import Evaluation

_DATA, _RESULT = "Which pictures", "Results"


class Prompting(StrEnum):
    """How a description is asked for."""

    BRIEF = "brief"
    DETAILED = "detailed"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, "Inspect", evaluate)


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A folder with <set>.jsonl and <set>.tar (docs/evaluation.md)."
        ),
    ],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME",
            help="Only this set; repeatable. All that the folder has unless given.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            help="So many pictures of each set, evenly spaced.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out",
            help="Only pictures that the training of pocket leaves out, by a rule of their names.",
            rich_help_panel=_DATA,
        ),
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="NAME,...",
            help="Some of boxes, grounding, scenes, captions, calibration; all unless given.",
        ),
    ] = None,
    prompt: Annotated[
        Prompting,
        typer.Option("--prompt", metavar="brief|detailed", help="How to ask for a description."),
    ] = Prompting.BRIEF,
    plain_captions: Annotated[
        bool,
        typer.Option(
            "--plain-captions",
            help="Ask again without boxes for the text that is compared with human captions.",
        ),
    ] = False,
    segmenter: Annotated[
        str | None,
        typer.Option(
            "--segmenter",
            metavar="|".join((*SEGMENTERS.names(), "NAME", "FOLDER")),
            help="Measure masks too, where the data have them.",
        ),
    ] = None,
    refined: Annotated[
        bool,
        typer.Option("--refined", help="Judge the boxes finer than the grid of 32 by 32 cells."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.json",
            help="Write the figures; a file there is replaced.",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    details: Annotated[
        Path | None,
        typer.Option(
            "--details",
            metavar="FILE.jsonl",
            help="Write what was said and what was right, a line for each picture.",
            rich_help_panel=_RESULT,
        ),
    ] = None,
    format: FormatOption = Format.TEXT,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_RESULT)
    ] = False,
    model: ModelOptions = ModelOptions(),
    generation: Annotated[
        GenerationOptions, Only("max_new_tokens", "num_beams", "no_repeat_ngram_size")
    ] = GenerationOptions(),
) -> None:
    """Measure how good a model is on labelled pictures.

    Boxes by phrase, phrases to be found, scenes and objects named, captions beside human ones, and
    whether scores mean something; each share with its 95 % interval. Ctrl-C shows what there is.

    [bold]Example[/]

    [cyan]kosmoscope evaluate photos/ --model pocket --set coco -o figures.json[/]
    """
    from kosmoscope.evaluation.figures import METRICS
    from kosmoscope.evaluation.run import EvaluationOptions
    from kosmoscope.evaluation.run import evaluate as measure

    for path in (output, details):
        _check_target(path)
    if output is not None and output == details:
        raise OptionError(f"--output and --details are both {one_line(output)}")
    try:
        chosen = EvaluationOptions(
            sets=tuple(sets or ()),
            metrics=METRICS if metrics is None else _listed(metrics),
            limit=limit,
            held_out=held_out,
            prompt=prompt.value,
            plain_captions=plain_captions,
            refined=refined,
        )
    except OptionError as e:
        raise OptionError(
            str(e).replace("limit", "--limit").replace("metric ", "--metrics ")
        ) from e
    if not data.is_dir():  # before a conversion that may take minutes
        raise InputError(f"{one_line(data)}: is not a folder")
    tool = None
    if segmenter is not None:
        from kosmoscope.segment.run import load_segmenter

        tool = load_segmenter(segmenter, threads=model.threads)
    scope = model.load()
    with Counter("evaluating", quiet=quiet) as counter:
        found = measure(scope, data, chosen, generation, segmenter=tool, progress=counter.move)
    report = found.to_dict()
    _write(output, [json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False), "\n"])
    _write(details, (terminal.json_line(p.to_dict()) + "\n" for p in found.pictures))
    for failure in found.failures:
        terminal.error(failure["problem"])
    if format is Format.JSON:
        terminal.emit(terminal.json_line(report))
    else:
        terminal.emit_rich(*_shown(found, report))
    if found.interrupted:
        raise typer.Exit(INTERRUPTED)
    if found.failures:
        raise typer.Exit(FAILED)


def _listed(metrics: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(m.strip() for m in metrics.split(",") if m.strip()))
    if not names:
        raise OptionError("--metrics is empty; expected names with commas between them")
    return names


def _check_target(path: Path | None) -> None:
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        expected = "expected the name of a file in a folder that exists"
        raise OptionError(f"{one_line(path)}: {expected}")


def _write(path: Path | None, chunks: list[str] | Iterator[str]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, chunks)


Row = tuple[str, "Mapping[str, Any]"]


def _shown(found: Evaluation, report: Mapping[str, Any]) -> list[RenderableType]:
    from kosmoscope.cli.render import columns

    sets = ", ".join(f"{name} {s['evaluated']}" for name, s in report["sets"].items())
    parts: list[RenderableType] = [
        one_line(f"{found.model} {found.precision}, pictures: {sets or 'none'}")
    ]
    if found.interrupted:
        parts.append("interrupted: figures of what was evaluated until then")
    shares = columns("", "share", "95 %", "of", right=(1, 2, 3))
    for label, share in _rows(report["figures"]):
        shares.add_row(one_line(label), *_share(share))
    if shares.row_count:
        parts += ["", shares]
    for name, some in (report["figures"].get("captions") or {}).items():
        scores = "  ".join(f"{k} {v:.3f}" for k, v in some.items() if "-" in k)
        parts += ["", one_line(f"captions of {name} ({some['pictures']}): {scores}")]
    masks = report["figures"].get("masks")
    if masks is not None:
        parts += _mask_tables(masks)
    calibration = report["figures"].get("calibration")
    if calibration is not None:
        table = columns("box score", "mean", "right", "95 %", "of", right=(1, 2, 3, 4))
        for row in calibration["bins"]:
            if row["of"]:
                edges = f"{row['from']:.1f} to {row['to']:.1f}"
                table.add_row(edges, f"{row['mean_score']:.2f}", *_share(row))
        error = calibration["expected_calibration_error"]
        parts += ["", table, f"expected calibration error {error:.3f}"]
    seconds = report["seconds_a_picture"]
    if seconds is not None:
        phrase = report["seconds_a_phrase"]
        parts += ["", f"{seconds:.3f} s a picture"
                  + ("" if phrase is None else f", {phrase:.3f} s a phrase")]  # fmt: skip
    return parts


def _mask_tables(masks: Mapping[str, Any]) -> list[RenderableType]:
    from kosmoscope.cli.render import columns

    def value(number: float | None) -> str:
        return "-" if number is None else f"{number:.3f}"

    table = columns(f"masks, {masks['segmenter']}", "things", "stuff", "all", right=(1, 2, 3))
    groups = [masks[name] for name in ("things", "stuff", "all")]
    for key, label in (
        ("filled_box_iou", "IoU of the filled true box"),
        ("true_box_iou", "IoU from the true box"),
        ("true_box_boundary_f", "boundary F from the true box"),
        ("predicted_box_iou", "IoU from the model's right box"),
        ("predicted_box_boundary_f", "boundary F from the model's right box"),
    ):
        table.add_row(label, *(value(g[key]) for g in groups))
    table.add_row("segments", *(str(g["segments"]) for g in groups))
    table.add_row("of them with a right box", *(str(g["predicted_boxes"]) for g in groups))
    parts: list[RenderableType] = ["", table]
    for name, some in masks["partition"].items():
        line = (
            f"partition of {name} ({some['pictures']} pictures, {some['classes']} classes): mIoU "
            f"{value(some['true_boxes_miou'])} from the true boxes, "
            f"{value(some['predicted_boxes_miou'])} from the model's"
        )
        parts.append(one_line(line))
    return parts


def _rows(figures: Mapping[str, Any]) -> Iterator[Row]:
    boxes = figures.get("boxes")
    if boxes is not None:
        yield "boxes right, of all given", boxes["precision_all"]
        yield "boxes right, of things", boxes["precision_things"]
        yield "things found", boxes["recall_things"]
        yield "stuff found", boxes["recall_stuff"]
        yield "largest object named", boxes["largest_named"]
        yield "largest object named with its box", boxes["largest_named_with_box"]
        sure = boxes["at_precision"]
        yield f"boxes right, confidence {sure['score']:.2f} or more", sure["boxes"]
        yield "  things found", sure["things"]
        yield "  largest object", sure["largest"]
    grounding = figures.get("grounding")
    if grounding is not None:
        yield "largest object found by name", grounding["acc@0.5_largest_object"]
        for name, some in grounding["by_set"].items():
            yield f"phrases found, {name}, R@1", some["R@1"]
            for key, label in (("R@5", "R@5"), ("R@10", "R@10"), ("acc@0.5_first_box", "first")):
                if some[key] != some["R@1"]:  # else each phrase got one box
                    yield f"phrases found, {name}, {label}", some[key]
    naming = figures.get("scenes")
    if naming is not None:
        yield "scene named", naming["scenes_named"]
        for name, share in naming["scenes_by_name"].items():
            yield f"  {name}", share
        for name, share in naming["objects_named"].items():
            yield f"object named, {name}", share
    calibration = figures.get("calibration")
    if calibration is not None:
        yield "boxes right, score above 0.8", calibration["right_above_0.8"]
        yield "boxes right, score below 0.5", calibration["right_below_0.5"]


def _share(share: Mapping[str, Any]) -> tuple[str, str, str]:
    if share["share"] is None:
        return "-", "-", "0"
    low, high = share["interval95"]
    return f"{share['share']:.1%}", f"{low:.1%} to {high:.1%}", str(share["of"])

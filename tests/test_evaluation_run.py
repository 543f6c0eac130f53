"""From a model's words to figures, and the command; random small models say the words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_models as small
from cli_runner import one_error, run
from evaluation_sets import CAT, DOG, WH, drawn, labelled, pack, png, record, said
from kosmoscope.cli.progress import Counter
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import InputError, OptionError
from kosmoscope.evaluation.data import PhotoSet, Record, Sample, Truth
from kosmoscope.evaluation.figures import METRICS, figures
from kosmoscope.evaluation.judging import Labels, PictureFacts, judge, judge_answer, questions
from kosmoscope.evaluation.masks import LEAST_AREA, fill_box, mask_figures, measure_masks
from kosmoscope.evaluation.matching import Guess
from kosmoscope.evaluation.partition import PartitionOverlaps
from kosmoscope.evaluation.run import TOGETHER, Evaluation, EvaluationOptions, evaluate
from kosmoscope.segment.protocol import BoxPrompt, Proposal
from kosmoscope.types import XYXY

LABELS = Labels.of(frozenset({"dog", "cat"}), frozenset({"sky"}))
TOP: XYXY = (0.0, 0.0, 1.0, 0.3)
SOME = Record(
    "some", "1.png",
    (Truth("dog", DOG), Truth("cat", CAT), Truth("sky", TOP, True)),
    ("A dog and a cat.",), "street", "dog", True,
)  # fmt: skip


def _some_facts() -> list[PictureFacts]:
    """Two pictures, of which the first is described half right."""
    moved = (0.15, 0.1, 0.6, 0.8)  # an overlap of 0.9 with the dog
    first = said(
        ("a puppy", [(moved, 0.9), (TOP, 0.3)]), ("a road", [(TOP, 0.7)]), ("the sky", [(TOP, 0.6)])
    )
    empty = Record("some", "2.png", (Truth("cat", (0, 0, 0.3, 0.4)),), (), "sea", None, True)
    bare = Record("other", "3.png", (Truth("dog", DOG),), (), None, "cat", False)
    return [
        judge(SOME, LABELS, first),
        judge(empty, LABELS, said(("a beach", []))),
        judge(bare, LABELS, said(("a dog", [(DOG, 1.0)]))),
    ]


def _count(share: dict[str, Any]) -> tuple[int, int]:
    return share["hits"], share["of"]


def test_boxes_are_counted() -> None:
    found = figures(_some_facts(), ["boxes", "scenes"])
    boxes, naming = found["boxes"], found["scenes"]
    assert boxes["pictures"] == 2  # the third has not all its labels
    assert _count(boxes["precision_all"]) == (2, 4)  # the dog and the sky
    assert _count(boxes["precision_things"]) == (1, 2)  # the dog, and a dog that is none
    assert boxes["boxes_of_no_class"] == 1
    assert _count(boxes["recall_things"]) == (1, 3)
    assert _count(boxes["recall_stuff"]) == (1, 1)
    assert _count(boxes["largest_named"]) == (1, 1)  # of the second the largest is too small
    assert _count(boxes["largest_named_with_box"]) == (1, 1)
    sure = boxes["at_precision"]  # the surer of the two dogs alone
    assert (sure["wanted"], sure["score"]) == (0.8, 0.9)
    counts = [_count(sure[k]) for k in ("boxes", "things", "small", "largest")]
    assert counts == [(1, 1), (1, 3), (0, 0), (1, 1)]
    by_class = {k: _count(v) for k, v in boxes["precision_by_class"].items()}
    assert by_class == {"dog": (1, 2), "sky": (1, 1)}
    assert {k: _count(v) for k, v in boxes["recall_by_class"].items()} == {
        "cat": (0, 2), "dog": (1, 1), "sky": (1, 1),
    }  # fmt: skip
    assert _count(naming["scenes_named"]) == (2, 2)  # a road is a street, a beach the sea
    assert {k: _count(v) for k, v in naming["objects_named"].items()} == {
        "other": (0, 1), "some": (1, 1),
    }  # fmt: skip


def test_scores_are_counted_where_the_class_is_a_thing() -> None:
    found = figures(_some_facts(), ["calibration"])["calibration"]
    assert found["boxes"] == 2
    assert _count(found["right_above_0.8"]) == (1, 1)
    assert _count(found["right_below_0.5"]) == (0, 1)


def test_captions_are_compared_by_the_models_own_words() -> None:
    same = judge(SOME, LABELS, said(), plain=said(text="a dog and a cat"))
    other = judge(Record("some", "2.png", captions=("Blue sky.",)), LABELS, said(text="a sky"))
    found = figures([same, other], ["captions"])["captions"]["some"]
    assert (found["pictures"], found["references"]) == (2, 2)
    assert found["BLEU-1"] == round(6 / 7, 4)
    assert found["CIDEr-D"] > 5


def test_without_labels_there_are_no_figures() -> None:
    facts = judge(Record("some", "1.png"), LABELS, said(("a dog", [(DOG, 1.0)])))
    assert figures([facts]) == dict.fromkeys(METRICS)


def test_a_partition_is_a_map_of_classes() -> None:
    w, h = WH
    truth = np.full((h, w), 9, np.uint8)  # unlabelled, mostly
    truth[4:32, 6:36] = 1
    truth[:4] = 0
    box = (6 / w, 4 / h, 36 / w, 32 / h)
    record = Record("some", "1.png", (Truth("dog", box), Truth("sky", (0, 0, 1, 4 / h), True)))
    sample = Sample(record, np.zeros((h, w, 3), np.uint8), "", truth)
    names = {0: "sky", 1: "dog", 2: "cat", 9: "unlabelled"}
    classes = Labels.of(frozenset({"dog", "cat"}), frozenset({"sky"})).classes
    overlaps = PartitionOverlaps(names)
    half = (box[0], box[1], (box[0] + box[2]) / 2, box[3])
    overlaps.add(sample, said(("a dog", [(half, 0.9)])), classes, _Filled())
    found = overlaps.to_dict()
    assert (found["pictures"], found["classes"]) == (1, 2)
    assert found["true_boxes_iou"] == {"sky": 1.0, "dog": 1.0}
    assert found["true_boxes_miou"] == 1.0
    # Half of the dog is found, the sky is missed; what was named nothing is no class of its own.
    assert found["predicted_boxes_iou"] == {"sky": 0.0, "dog": 0.5}
    assert found["predicted_boxes_miou"] == 0.25
    # A cat where the dog is makes a class of its own, and the dog is missed.
    wrong = PartitionOverlaps(names)
    wrong.add(sample, said(("a cat", [(box, 0.9)])), classes, _Filled())
    assert wrong.to_dict()["predicted_boxes_iou"] == {"sky": 0.0, "dog": 0.0, "cat": 0.0}
    unmapped = PartitionOverlaps(names)
    unmapped.add(Sample(record, sample.rgb, "", None), said(), classes, _Filled())
    assert unmapped.pictures == 0


def test_phrases_to_be_found() -> None:
    asked = questions(SOME)
    assert [(q.phrase, q.kind) for q in asked] == [
        ("a dog", "class"), ("a cat", "class"), ("sky", "class"),
    ]  # fmt: skip
    assert [q.largest for q in asked] == [DOG, None, None]
    # The surest box comes first, whatever the order in the text.
    answer = said(("a dog", [(CAT, 0.2), (TOP, None), (DOG, 0.1)]))
    fact = judge_answer(asked[0], answer)
    assert (fact.right_at, fact.largest, fact.candidates) == ((False, True, True), False, 3)
    assert not fact.first
    assert judge_answer(asked[0], said(("a dog", [(DOG, 0.1), (CAT, 0.2)]))).first
    best = judge_answer(asked[0], said(("a dog", [(DOG, 0.9)])))
    assert (best.right_at, best.largest) == ((True, True, True), True)
    none = judge_answer(asked[1], said())
    assert (none.right_at, none.largest, none.candidates) == ((False,) * 3, None, 0)


class _Filled:
    """A segmenter for tests: the box is the mask."""

    name = "filled box"

    def segment(self, picture: np.ndarray, prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        h, w = picture.shape[:2]
        return [Proposal(fill_box(p.xyxy_px, (w, h)), 1.0) for p in prompts]


def test_masks_are_measured_from_true_and_from_predicted_boxes() -> None:
    w, h = WH
    labels = np.zeros((h, w), np.uint8)
    labels[4:32, 6:36] = 1  # DOG exactly
    labels[:12] = 2
    record = Record("some", "1.png", SOME.boxes, labels_complete=True)
    sample = Sample(record, np.zeros((h, w, 3), np.uint8), "", labels)
    half = (0.1, 0.1, 0.6, 0.5)
    guesses = [Guess("a dog", frozenset({"dog"}), half, 0.5)]
    dog, sky = measure_masks(sample, guesses, {1: "dog", 2: "sky", 3: "cat"}, _Filled())
    assert (dog.label, dog.stuff, sky.label, sky.stuff) == ("dog", False, "sky", True)
    # The sky covers the dog's upper 8 of 28 rows.
    assert dog.iou == dog.filled_box == pytest.approx(20 / 28)
    assert sky.iou == 1.0
    assert sky.predicted_iou is None
    assert dog.predicted_iou == pytest.approx(8 / 28)  # rows 4 to 19, of which 12 on are the dog
    found = mask_figures([dog, sky])
    assert found["all"]["true_box_iou"] == round((20 / 28 + 1) / 2, 4)
    assert (found["things"]["predicted_boxes"], found["stuff"]["predicted_boxes"]) == (1, 0)
    two = Record("some", "1.png", (Truth("dog", DOG), Truth("dog", CAT)), labels_complete=True)
    assert measure_masks(Sample(two, sample.rgb, "", labels), [], {1: "dog"}, _Filled()) == []
    assert LEAST_AREA * w * h == 48


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets, more pictures than are described at a time, one of them broken."""
    folder = tmp_path_factory.mktemp("sets")
    boxes = [labelled("dog", DOG), labelled("cat", CAT)]
    many = [
        record(f"{i}.png", boxes=boxes, captions=["A dog."], scene="sea", labels_complete=True)
        for i in range(TOGETHER + 2)
    ]
    many[0]["phrases"] = [{"phrase": "the dog", "boxes": [list(DOG)], "context": "A cat and"}]
    files = {r["file"]: drawn(i) for i, r in enumerate(many)}
    pack(folder, "many", many, files | {"3.png": b"no picture"})
    labels = np.zeros((WH[1], WH[0]), np.uint8)
    labels[4:32, 6:36] = 1
    pack(folder, "one", [record("x.png", boxes=boxes, label="dog", labels_complete=True)],
         masks={"x.png": png(labels)})  # fmt: skip
    (folder / "one-classes.json").write_text('{"0": "unlabelled", "1": "dog"}')
    return folder


OPTIONS = ("--model", "-n", "16", "-t", "1", "--quiet")


def _run(photos: Path, **options: Any) -> Evaluation:
    return evaluate(
        small.talkative(), photos, generation=GenerationOptions(max_new_tokens=24), **options
    )


def _rounded(facts: PictureFacts) -> PictureFacts:
    """The last bits of a score depend on what is computed together."""
    boxes = tuple(
        replace(b, score=round(b.score or 0.0, 6), phrase_score=round(b.phrase_score or 0.0, 6))
        for b in facts.boxes
    )
    return replace(facts, boxes=boxes)


def test_a_run_counts_what_the_model_says_of_each_picture(photos: Path) -> None:
    heard: list[PictureFacts] = []
    steps: list[tuple[int, int]] = []
    found = _run(photos, segmenter=_Filled(), on_picture=heard.append,
                 progress=lambda done, of, _: steps.append((done, of)))  # fmt: skip
    assert heard == found.pictures
    assert steps == [(8, 11), (10, 11), (11, 11)]
    assert [f["file"] for f in found.failures] == ["3.png"]
    assert [p.file for p in heard] == [f"{i}.png" for i in range(10) if i != 3] + ["x.png"]
    # Together with others or alone, a picture is described and judged the same.
    model = small.talkative()
    labels = Labels.of(frozenset({"dog", "cat"}), frozenset())
    with PhotoSet(photos, "many") as many:
        for record_, facts in ((many.records[0], heard[0]), (many.records[9], heard[8])):
            seen = model.encode(many.read(record_).rgb)
            alone = model.describe(seen, max_new_tokens=24)
            answers = [
                judge_answer(q, model.ground(seen, q.phrase, max_new_tokens=24))
                for q in questions(record_)
                if q.kind == "class"
            ]
            assert facts.grounded[:2] == tuple(answers)
            judged = judge(record_, labels, alone, grounded=facts.grounded)
            assert _rounded(judged) == _rounded(facts)
            assert judged.boxes
    assert [g.phrase for g in heard[0].grounded] == ["a dog", "a cat", "the dog"]
    assert sum(g.candidates for p in heard for g in p.grounded) > 0
    data = found.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["sets"]["many"]["evaluated"] == 9
    assert data["figures"]["boxes"]["pictures"] == 10
    assert data["figures"]["masks"]["all"]["segments"] == 1
    assert data["figures"]["masks"]["all"]["true_box_iou"] == 1.0
    assert list(data["figures"]["masks"]["partition"]) == ["one"]
    by_set = data["figures"]["grounding"]["by_set"]
    assert by_set["many: class"]["R@1"]["of"] == 18
    assert by_set["many: expression"]["R@1"]["of"] == 1


def test_the_hash_tells_what_was_evaluated(photos: Path, tmp_path: Path) -> None:
    def hashed(folder: Path) -> str:
        options = EvaluationOptions(sets=("one",), metrics=("scenes",))
        return str(_run(folder, options=options).to_dict()["sets"]["one"]["sha256"])

    first = hashed(photos)
    assert hashed(photos) == first
    pack(tmp_path, "one", [record("x.png", label="cat")])
    assert hashed(tmp_path) != first


def test_an_interrupted_run_keeps_what_it_has(photos: Path) -> None:
    def stop(done: int, of: int, rate: float) -> None:
        raise KeyboardInterrupt

    found = _run(photos, progress=stop)
    assert found.interrupted
    assert len(found.pictures) == TOGETHER - 1
    assert found.to_dict()["sets"] == {"many": found.sets["many"]}
    assert found.sets["many"]["chosen"] == 10


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="metric 'box'"):
        EvaluationOptions(metrics=("box",))
    with pytest.raises(OptionError, match="limit is 0"):
        EvaluationOptions(limit=0)


def test_the_command(photos: Path, tmp_path: Path) -> None:
    model = small.converted_folder()
    out, details = tmp_path / "figures.json", tmp_path / "details.jsonl"
    out.write_text("an older file")
    done = run("evaluate", photos, *OPTIONS[:1], model, *OPTIONS[1:], "-o", out,
               "--details", details, "--plain-captions")  # fmt: skip
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {photos}/many.tar: 3.png: not a known kind of picture")
    data = json.loads(out.read_text())
    assert (data["schema"], data["precision"], data["pictures"]) == (1, "fp32", 10)
    assert data["options"]["plain_captions"] is True
    assert data["generation"]["max_new_tokens"] == 16
    lines = [json.loads(line) for line in details.read_text().splitlines()]
    assert [line["file"] for line in lines][-1] == "x.png"
    assert "boxes right, of all given" in done.stdout
    assert "scene named" in done.stdout
    assert "s a picture" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["details.jsonl", "figures.json"]
    again = run("evaluate", photos, *OPTIONS[:1], model, *OPTIONS[1:], "--set", "one",
                "--metrics", "boxes, scenes", "--format", "json")  # fmt: skip
    assert again.exit_code == 0
    found = json.loads(again.stdout)
    assert list(found["figures"]) == ["boxes", "scenes"]
    assert list(found["sets"]) == ["one"]


def test_the_command_interrupted(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Counter, "move", stop)
    done = run("evaluate", photos, *OPTIONS[:1], small.converted_folder(), *OPTIONS[1:])
    assert done.exit_code == 130
    assert "interrupted: figures of what was evaluated until then" in done.stdout
    assert "boxes right, of all given" in done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--limit", "0"], "--limit is 0; expected 1 or more"),
        (["--metrics", "boxes,sense"], "--metrics 'sense': expected some of boxes, "),
        (["--metrics", ","], "--metrics is empty"),
        (["--set", "none"], "--set none: "),
        (["-o", "."], ".: expected the name of a file"),
        (["-o", "nowhere/x.json"], "nowhere/x.json: expected the name of a file"),
        (["-o", "x", "--details", "x"], "--output and --details are both x"),
    ],
)
def test_a_wrong_call(photos: Path, args: list[str], says: str) -> None:
    model = small.converted_folder()
    assert one_error(run("evaluate", photos, "--model", model, *args), 2).startswith(says)


def test_a_wrong_folder(tmp_path: Path) -> None:
    model = small.converted_folder()
    for folder, says in ((tmp_path, "has no <set>.jsonl"), (tmp_path / "x", "is not a folder")):
        assert says in one_error(run("evaluate", folder, "--model", model), 2)
    pack(tmp_path, "some", [record("1.png")], {})
    with pytest.raises(InputError, match="has no picture"):
        _run(tmp_path)

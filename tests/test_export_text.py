"""Tables, Markdown, HTML and tagged text: read back by other readers."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from markdown_it import MarkdownIt

from kosmoscope.choosing import same_picture
from kosmoscope.errors import InputError, KosmoscopeError
from kosmoscope.export import (
    Vocabulary,
    export,
    formats,
    to_arrow,
    to_csv,
    to_html,
    to_jsonl,
    to_links,
    to_markdown,
    to_pandas,
    to_tagged,
)
from kosmoscope.export.tables import COLUMNS, csv_cell, rows
from kosmoscope.files.text import markup
from kosmoscope.parsing import parse_tagged, read_tagged
from kosmoscope.results import Description
from kosmoscope.tokens import cells_to_xyxy
from test_export_cases import HOSTILE, MANY, describe

MANY_EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
PHRASES = Vocabulary.phrases()
SNOWMAN = (
    "<grounding> An image of<phrase> a snowman</phrase><object><patch_index_0044>"
    "<patch_index_0863></object> warming himself by<phrase> a fire</phrase><object>"
    "<patch_index_0005><patch_index_0911></delimiter_of_multi_objects/><patch_index_0000>"
    "<patch_index_0001></object>."
)
GIVEN = parse_tagged(SNOWMAN, (640, 480), path="snow.jpg")


# CSV


def undo(cell: str) -> str:
    """What the docs say undoes the apostrophe."""
    return cell[1:] if re.match("'+[=+\\-@\t\r\n＝＋－＠]", cell) else cell


@MANY_EXAMPLES
@given(MANY)
def test_csv_gives_everything_back(found: list[Description]) -> None:
    text = to_csv(found).encode("utf-8").decode("utf-8")
    heading, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert heading == list(COLUMNS)
    for cells, row in zip(lines, rows(found), strict=True):
        for cell, (name, value) in zip(cells, row.items(), strict=True):
            kind = COLUMNS[name]
            if value is None or value == "":
                assert cell == ""
            elif kind in ("int", "float"):
                assert float(cell) == value
            elif kind == "bool":
                assert cell == {True: "true", False: "false"}[value]
            else:
                assert undo(cell) == markup(value)
                assert cell[0] not in "=+-@\t\r\n"
                assert "\0" not in cell


def test_csv_disarms_formulas_and_can_be_undone() -> None:
    assert csv_cell("=1+1") == "'=1+1"
    assert csv_cell("'=1+1") == "''=1+1"
    assert csv_cell("-dash.jpg") == "'-dash.jpg"
    assert csv_cell("'tis") == "'tis"
    assert csv_cell(-1.5) == "-1.5"  # a number is no formula
    assert [undo(csv_cell(text)) for text in HOSTILE] == [markup(text) for text in HOSTILE]


def test_rows_leave_nothing_out() -> None:
    silent = describe()
    unplaced = describe(("a thought", []))
    placed = describe(("a dog", [(0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)]))
    table = list(rows([silent, unplaced, placed], Vocabulary.heads()))
    kept = [(r["description"], r["entity"], r["phrase"], r["label"], r["box"]) for r in table]
    assert kept == [
        (0, None, None, None, None),
        (1, 0, "a thought", "thought", None),
        (2, 0, "a dog", "dog", 0),
        (2, 0, "a dog", "dog", 1),
    ]
    assert [table[3][k] for k in ("x1_px", "y1_px", "x2_px", "y2_px")] == [320, 240, 640, 480]
    assert all(list(row) == list(COLUMNS) for row in table)


# Arrow, Parquet, pandas


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MANY)
def test_arrow_holds_the_rows(found: list[Description]) -> None:
    pytest.importorskip("pyarrow")
    table = to_arrow(found)
    assert table.to_pylist() == list(rows(found))
    assert table.column_names == list(COLUMNS)


def test_parquet_is_read_back(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    found = [describe((phrase, [(0.0, 0.0, 0.5, 0.5)])) for phrase in HOSTILE] * 400
    path = export(iter(found), tmp_path / "x.parquet", "parquet")  # more than one batch of rows
    assert pq.read_table(path).to_pylist() == list(rows(found))
    empty = export([], tmp_path / "empty.parquet", "parquet")
    assert pq.read_table(empty).num_rows == 0


def test_pandas_holds_the_rows() -> None:
    pd = pytest.importorskip("pandas")
    found = [describe(), describe(("a dog", [(0.0, 0.0, 0.5, 0.5)]), score=None)]
    frame = to_pandas(found)
    assert list(frame.columns) == list(COLUMNS)
    assert frame["x2_px"].tolist() == [pd.NA, 320.0]
    assert frame["box_score"].isna().all()
    assert frame["complete"].tolist() == [pd.NA, True]
    assert str(frame["entity"].dtype) == "Int64"


def test_a_missing_library_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pandas", "supervision"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(KosmoscopeError, match=r"pip install 'pyarrow>=[0-9.]+'$"):
        to_arrow([])
    with pytest.raises(KosmoscopeError, match=r"pip install 'pandas>=[0-9.]+'$"):
        to_pandas([])
    with pytest.raises(KosmoscopeError, match=r"pip install 'pyarrow>=[0-9.]+'$"):
        export([], tmp_path / "x.parquet", "parquet")
    assert list(tmp_path.iterdir()) == []


# JSON lines


@MANY_EXAMPLES
@given(MANY)
def test_jsonl_is_exact(found: list[Description]) -> None:
    finite = [d for d in found if "NaN" not in _loose_json(d) and "Infinity" not in _loose_json(d)]
    lines = to_jsonl(finite).encode("utf-8").decode("utf-8").split("\n")
    assert [Description.from_json(line) for line in lines[:-1]] == finite


def _loose_json(description: Description) -> str:
    return json.dumps(description.to_dict())


# Markdown


def test_the_papers_links() -> None:
    assert to_links(GIVEN) == (
        "An image of [a snowman](<patch_index_0044><patch_index_0863>) warming himself by "
        "[a fire](<patch_index_0005><patch_index_0911></delimiter_of_multi_objects/>"
        "<patch_index_0000><patch_index_0001>)."
    )
    assert to_links(describe(("a [b] \\", [(0.0, 0.0, 0.5, 0.5)]))).endswith(
        " [a \\[b\\] \\\\](<patch_index_0000><patch_index_0495>)"
    )


@MANY_EXAMPLES
@given(MANY)
def test_links_give_phrases_and_boxes_back(found: list[Description]) -> None:
    for d in found:
        text = to_links(d)
        pattern = r"\\.|\[((?:[^\\\[\]]|\\.)*)\]\(([^)]*)\)"
        read = []
        for phrase, target in re.findall(pattern, text, re.DOTALL):
            if not target:  # an escaped character between links
                continue
            pairs = [
                re.findall(r"\d{4}", t) for t in target.split("</delimiter_of_multi_objects/>")
            ]
            read.append(
                (
                    re.sub(r"\\(.)", r"\1", phrase, flags=re.DOTALL),
                    [tuple(map(int, p)) for p in pairs],
                )
            )
        wanted = []
        for e in sorted(d.entities, key=lambda e: e.span):
            boxes = [b.xyxy for b in e.boxes if all(0 <= v <= 1 for v in b.xyxy)]
            boxes = [b for b in boxes if b[0] < b[2] and b[1] < b[3]]
            if boxes:
                wanted.append((e.phrase, boxes))
        assert [phrase for phrase, _ in read] == [phrase for phrase, _ in wanted]
        for (_, pairs), (_, boxes) in zip(read, wanted, strict=True):
            for pair, box in zip(pairs, boxes, strict=True):
                back = cells_to_xyxy(pair[0], pair[1], 32)
                assert back == pytest.approx(box, abs=1 / 16)


@MANY_EXAMPLES
@given(MANY)
def test_markdown_shows_and_runs_nothing(found: list[Description]) -> None:
    text = to_markdown(found)
    text.encode("utf-8")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    kinds = {t.type for token in tokens for t in (token, *(token.children or ()))}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline"}
    fences = [t.content for t in tokens if t.type == "fence"]
    headings = [t for t in tokens if t.type == "heading_open"]
    assert len(fences) == len(found)
    assert len(headings) == len(_pictures(found)), "what was said about a picture stands together"
    for fence, d in zip(fences, found, strict=True):
        wanted = re.sub(r"\r\n?", "\n", markup(to_links(d)).replace("\0", "\ufffd"))
        assert fence == wanted + "\n"
    tables = sum(t.type == "tr_open" for t in tokens)
    assert tables >= sum(any(map(_boxes, said)) for said in _pictures(found))


def _pictures(found: list[Description]) -> list[list[Description]]:
    """Descriptions of one picture, where they come one after the other."""
    return [list(said) for _, said in groupby(found, lambda d: same_picture(d.image))]


def _boxes(d: Description) -> list[dict[str, Any]]:
    return [row for row in rows([d]) if row["x1_px"] is not None]


def test_markdown_table_in_numbers() -> None:
    text = to_markdown([GIVEN], Vocabulary.heads())
    assert "| a snowman | snowman | 250.0 | 22.5 | 630.0 | 397.5 |  |" in text
    assert "An image of **a snowman** warming himself by **a fire**\\." in text


# HTML


class Page(HTMLParser):
    """What a browser would make of the page: its tags, cells and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.cells: list[list[str]] = []
        self.rects = 0
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
            self._open = True
        self.rects += tag == "rect"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.cells[-1][-1] += data


@MANY_EXAMPLES
@given(MANY)
def test_html_shows_and_runs_nothing(found: list[Description]) -> None:
    text = to_html(found)
    text.encode("utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert set(page.tags) <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bdi",
        "br",
        "hr",
        "small",
        "mark",
        "ul",
        "li",
        "svg",
        "rect",
    }
    assert not any(name.startswith("on") for name in page.attributes)
    assert not page.attributes & {"src", "href", "style"}
    pictures = _pictures(found)
    assert len(page.cells) == len(pictures) + 1
    for cells, said in zip(page.cells[1:], pictures, strict=True):
        at = 0
        for d in said:
            assert markup(d.caption) in cells[1][at:]
            at = cells[1].index(markup(d.caption), at) + len(markup(d.caption))
        assert cells[0].startswith(markup(said[0].image.path))
    assert page.rects == sum(len(_boxes(d)) for d in found)
    assert "default-src 'none'" in text


# Tagged text


def test_tagged_lines_are_read_back() -> None:
    odd = replace(GIVEN, image=replace(GIVEN.image, path="a\tb\nc\\n\udcff\u2028.jpg"))
    text = to_tagged([GIVEN, odd])
    text.encode("utf-8")
    assert len(text.splitlines()) == 3
    read = list(read_tagged(text))
    assert [replace(d, raw="") for d in read] == [replace(d, raw="") for d in (GIVEN, odd)]
    assert next(read_tagged(text.replace("\n", "\r\n"))).entities == GIVEN.entities


@MANY_EXAMPLES
@given(MANY)
def test_tagged_lines_keep_any_path_and_text(found: list[Description]) -> None:
    read = list(read_tagged(to_tagged(found).encode("utf-8").decode("utf-8")))
    assert [d.image for d in read] == [d.image for d in found]
    assert [d.raw for d in read] == [d.tagged for d in found]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the heading"),
        ("picture\twidth\theight\ttagged\na\t1\t1", "line 2: expected picture"),
        ("picture\twidth\theight\ttagged\na\tx\t1\ttext", "line 2: expected picture"),
        ("picture\twidth\theight\ttagged\n\na\t0\t1\ttext", "line 3"),
    ],
)
def test_tagged_lines_of_another_shape(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_tagged(text))


def test_phrases_vocabulary_is_the_default() -> None:
    assert to_csv([GIVEN]) == to_csv([GIVEN], PHRASES)


def test_the_docs_example_runs() -> None:
    """The Python blocks of docs/exports.md that need no model."""
    text = (Path(__file__).parent.parent / "docs" / "exports.md").read_text(encoding="utf-8")
    blocks = [b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "parse" in b]
    (block,) = blocks
    scope: dict[str, Any] = {}
    exec(block, scope)
    assert scope["d"].caption == "An image of a snowman."
    for name in formats():
        assert f"`{name}`" in text

"""What is found: files, folders, patterns, lists, standard input, and odd names."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from kosmoscope.batch import Source, find_pictures, watch_pictures
from kosmoscope.batch.names import json_line, named, path_in
from kosmoscope.batch.passed import PassedOver, claim_results
from kosmoscope.batch.tables import NAMES
from kosmoscope.errors import InputError, OptionError
from kosmoscope.files.marker import claim, mark
from kosmoscope.files.text import utf8

POSIX = pytest.mark.skipif(os.name == "nt", reason="names that Windows cannot have")
BYTES = pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux alone")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few pictures (which nothing here opens), as the working folder."""
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/z.webp", "sub/deep/y.tif", ".hidden.jpg",
                 ".hidden/x.jpg", "sub2/.DS_Store", "c.d/e.gif"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(*sources: str | Path, stdin: bytes = b"", **options: object) -> list[str]:
    found = find_pictures(sources, stdin=io.BytesIO(stdin), **options)  # type: ignore[arg-type]
    return [f"{s.path}: {s.problem}" if s.problem else s.path for s in found]


def test_a_folder_is_walked_in_order(tree: Path) -> None:
    expected = ["a.PNG", "b.jpg", "c.d/e.gif", "sub/deep/y.tif", "sub/z.webp"]
    assert paths(tree) == [str(tree / name) for name in expected]
    assert paths("sub") == ["sub/deep/y.tif", "sub/z.webp"]
    assert paths(".") == [f"./{name}" for name in expected]


def test_files_are_taken_by_any_name_and_once(tree: Path) -> None:
    assert paths("notes.txt", "b.jpg", ".hidden.jpg", "b.jpg") == [
        "notes.txt", "b.jpg", ".hidden.jpg",
    ]  # fmt: skip
    assert paths("sub/z.webp", "sub") == ["sub/z.webp", "sub/deep/y.tif"]
    assert paths("nowhere.jpg") == ["nowhere.jpg"], "who reads it says what is wrong"
    assert paths(".hidden") == [".hidden/x.jpg"], "a hidden folder that is named is meant"


def test_the_outputs_folder_is_left_out(tree: Path) -> None:
    assert paths("sub", exclude=[tree / "sub" / "deep"]) == ["sub/z.webp"]


@POSIX
def test_links(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree / "sub")
    (tree / "sub" / "up").symlink_to("..")
    (tree / "sub" / "dangling.jpg").symlink_to("nothing")
    (tree / "sub" / "circle.jpg").symlink_to("circle.jpg")
    (tree / "sub" / "circle").symlink_to("circle")
    (tree / "sub" / "zz.jpg").symlink_to(tree / "b.jpg")
    found = paths("sub")
    # Dangling ones are yielded: they become errors, not silence.
    assert found[:4] == ["sub/circle.jpg", "sub/dangling.jpg", "sub/deep/y.tif", "sub/up/a.PNG"]
    assert found[-2:] == ["sub/z.webp", "sub/zz.jpg"]
    assert not [p for p in found if p.count("/sub/") or "loop" in p], "a folder was entered twice"


@POSIX
def test_links_to_each_other_do_not_multiply(tmp_path: Path) -> None:
    folders = [tmp_path / f"d{i}" for i in range(12)]
    for folder in folders:
        folder.mkdir()
        (folder / "p.jpg").touch()
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    assert len(paths(tmp_path)) == 12


@POSIX
def test_pipes_are_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "sub" / "pipe.jpg")
    assert paths("sub")[1] == "sub/pipe.jpg"


def test_a_deep_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    depth = 0
    for _ in range(1200):
        try:
            os.mkdir("d")  # noqa: PTH102 (the whole path is longer than a system call takes)
        except OSError:
            break
        os.chdir("d")
        depth += 1
    os.chdir(tmp_path)
    try:
        found = paths("d")  # no RecursionError; too deep a folder is said to be unreadable
        assert "the folder cannot be read" in found[-1] or found == ["d: no pictures in it"]
    finally:
        for _ in range(depth):
            os.chdir("d")
        for _ in range(depth):  # shutil.rmtree would not get to the ground
            os.chdir("..")
            os.rmdir("d")  # noqa: PTH106


@POSIX
@pytest.mark.usefixtures("permissions_count")
def test_an_unreadable_folder(tree: Path) -> None:
    (tree / "sub").chmod(0)
    try:
        assert paths("sub") == ["sub: the folder cannot be read: Permission denied"]
    finally:
        (tree / "sub").chmod(0o755)


def test_a_folder_that_vanishes(tree: Path) -> None:
    found = find_pictures(["."])
    assert next(found).path == "./a.PNG"
    (tree / "c.d" / "e.gif").unlink()
    (tree / "c.d").rmdir()
    rest = list(found)
    assert rest[1].path == "./c.d"
    assert "cannot be read" in rest[1].problem
    assert [s.path for s in rest[2:]] == ["./sub/deep/y.tif", "./sub/z.webp"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["b.jpg"]),
        ("?.*", ["a.PNG", "b.jpg", "c.d/e.gif"]),
        ("sub/*", ["sub/deep/y.tif", "sub/z.webp"]),
        ("s*/z.*", ["sub/z.webp"]),
        ("**/*.tif", ["sub/deep/y.tif"]),
        ("**", ["a.PNG", "b.jpg", "c.d/e.gif", "sub/deep/y.tif", "sub/z.webp"]),
        ("sub/**/[yz].*", ["sub/deep/y.tif", "sub/z.webp"]),
        ("./[ab].*", ["a.PNG", "b.jpg"]),
        ("*.doc", ["*.doc: no match"]),
        ("n*", ["n*: no pictures match; 1 file of other kinds (.txt) was passed over"]),
    ],
)
def test_patterns(tree: Path, pattern: str, expected: list[str]) -> None:
    assert paths(pattern) == expected


def test_absolute_patterns_and_literal_names(tree: Path) -> None:
    assert paths(f"{tree}/su*/*.webp") == [f"{tree}/sub/z.webp"]
    (tree / "[a].jpg").touch()
    assert paths("[a].jpg") == ["[a].jpg"], "a file of that very name is meant"


def test_lists_of_lines(tree: Path) -> None:
    (tree / "sub" / "list.txt").write_bytes(
        b"\xef\xbb\xbfz.webp\r\n\n b.jpg\nb.jpg\n/x/y.jpg\ndeep"
    )
    assert paths("@sub/list.txt") == [
        "sub/z.webp", " b.jpg", "b.jpg", "/x/y.jpg", "sub/deep/y.tif",
    ]  # fmt: skip
    (tree / "nul.txt").write_bytes(b"a\nb.jpg\0c.jpg\0")
    assert paths("@nul.txt") == ["a\nb.jpg", "c.jpg"]
    (tree / "long.txt").write_bytes(b"x" * 3_000_000)
    assert "a line of more than" in paths("@long.txt")[0]
    (tree / "photo.txt").write_bytes(b"\xff\xd8\xff\xe0 no list")
    assert paths("@photo.txt") == ["photo.txt: this is JPEG; expected paths, one a line"]


def test_csv(tree: Path) -> None:
    (tree / "one.csv").write_text('id,Path\n1,b.jpg\n2,"x,y.jpg"\n3\n\n4,\n')
    assert paths("one.csv") == [
        "b.jpg", "x,y.jpg", "one.csv:4: column 2 is empty", "one.csv:6: column 2 is empty",
    ]  # fmt: skip
    (tree / "two.csv").write_text("photo,label\nb.jpg,cat\n", encoding="utf-8-sig")
    assert paths("@two.csv") == ["b.jpg"]
    (tree / "three.tsv").write_text("b.jpg\tcat\na.PNG\tdog\n")
    assert paths("three.tsv") == ["b.jpg", "a.PNG"], "no heading"
    (tree / "bad.csv").write_text(f'path\nb.jpg\n"{"x" * 200_000}"\n')
    assert paths("bad.csv")[0] == "b.jpg"
    assert "not CSV" in paths("bad.csv")[1]


def test_json_lines(tree: Path) -> None:
    lines = ['{"file_name": "z.webp", "n": 1}', '{"image": "b.jpg"}', '"a.PNG"', "{", '{"n": 1}']
    (tree / "sub" / "m.jsonl").write_text("\n".join(lines))
    keys = ", ".join(NAMES)
    assert paths("sub/m.jsonl") == [
        "sub/z.webp",
        "b.jpg",
        "a.PNG",
        "sub/m.jsonl:4: not JSON",
        f"sub/m.jsonl:5: no path; expected one of the keys {keys}",
    ]
    (tree / "deep.jsonl").write_text("[" * 100_000)
    assert paths("deep.jsonl") == ["deep.jsonl:1: not JSON"]


def test_standard_input(tree: Path) -> None:
    assert paths("-", stdin=b"b.jpg\nsub\n") == ["b.jpg", "sub/deep/y.tif", "sub/z.webp"]
    assert paths("-", stdin=b"a\nb\0-x.jpg\0") == ["a\nb", "-x.jpg"]
    assert paths("-", stdin=b"") == ["<stdin>: no paths in it"]
    assert paths("-", stdin=b"\x89PNG\r\n\x1a\n...")[0].startswith("<stdin>: this is PNG")


def test_wrong_calls_fail_at_once(tree: Path) -> None:
    for sources, error, words in [
        ([], OptionError, "nothing to describe"),
        (["-", "-"], OptionError, "given twice"),
        (["@nowhere.txt"], InputError, "nowhere.txt: the list cannot be read"),
        (["@sub"], InputError, "is a folder"),
        (["@"], InputError, "needs the name"),
        (["@a\0b"], InputError, "not a valid path"),
    ]:
        with pytest.raises(error, match=words):
            find_pictures(sources)  # not even iterated


@POSIX
def test_odd_names(tree: Path) -> None:
    names = ["-x.jpg", "@y.jpg", "new\nline.jpg", "\N{SNOWMAN}.jpg", "\N{CAT FACE}.png", "a b.jpg"]
    folder = tree / "odd"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    assert sorted(paths("odd")) == sorted(f"odd/{name}" for name in names)
    os.chdir(folder)
    assert paths("-x.jpg", "./@y.jpg", "new\nline.jpg") == ["-x.jpg", "./@y.jpg", "new\nline.jpg"]


@BYTES
def test_names_that_are_not_utf8(tree: Path) -> None:
    raw = os.fsencode(tree) + b"/sub2/caf\xe9.jpg"
    with open(raw, "wb"):  # noqa: PTH123 (a path in bytes)
        pass
    (source,) = find_pictures(["sub2"])
    assert source.name == r"sub2/caf\xe9.jpg"
    record = json.loads(json_line(named(source.path)))
    assert record["source"] == source.name
    assert path_in(record) == source.path
    assert Source(path_in(record)).key == source.key
    assert Source(source.name).key != source.key, "a file may really be called like that"
    assert paths("-", stdin=b"sub2/caf\xe9.jpg\n") == [source.path]
    assert paths("sub2/*.jpg") == [source.path]


def test_names_in_json_are_text_in_one_line() -> None:
    for path in ("a\nb", "\u2028", "\x85", "\N{CAT FACE}", "\udce9", "\ud800", "\x00"):
        line = json_line(named(path))
        assert len(line.decode("utf-8").splitlines()) == 1
        assert json.loads(line)["source"] == utf8(path)


def test_watching_waits_until_a_file_has_settled(tree: Path) -> None:
    stop = threading.Event()
    os.utime(tree / "b.jpg", (1, 1))
    found = watch_pictures(["b.jpg", "new.jpg"], poll=0.05, stop=stop)
    assert next(found) == Source("b.jpg")
    assert next(found) is None
    (tree / "new.jpg").write_bytes(b"1")
    future = 4_000_000_000  # so that only its staying the same can tell
    os.utime(tree / "new.jpg", (future, future))
    assert next(found) is None, "it may still be growing"
    assert next(found) == Source("new.jpg")
    assert next(found) is None
    assert next(found) is None
    os.utime(tree / "new.jpg", (future + 1, future + 1))
    assert next(found) is None
    assert next(found) == Source("new.jpg"), "it has changed"
    stop.set()
    assert list(found) == [None]
    with pytest.raises(OptionError, match="cannot be watched"):
        next(watch_pictures(["-"]))


def said(*sources: str | Path) -> str:
    passed = PassedOver()
    list(find_pictures(sources, passed=passed))
    return str(passed)


def test_a_file_under_several_spellings_is_one(tree: Path) -> None:
    (tree / "list.txt").write_text(f"sub/../b.jpg\n{tree}/b.jpg\n")
    assert paths("b.jpg", "./b.jpg", tree / "b.jpg", "@list.txt", "*.jpg", ".") == [
        "b.jpg", "./a.PNG", "./c.d/e.gif", "./sub/deep/y.tif", "./sub/z.webp",
    ]  # fmt: skip
    assert paths("sub", "./sub/", "sub/deep/..", tree / "sub") == ["sub/deep/y.tif", "sub/z.webp"]


@POSIX
def test_a_folder_behind_a_link_is_the_same_and_a_link_to_a_file_is_not(tree: Path) -> None:
    (tree / "link").symlink_to("sub")
    assert paths("sub", "link") == ["sub/deep/y.tif", "sub/z.webp"]
    (tree / "other.jpg").symlink_to("b.jpg")
    assert paths("b.jpg", "other.jpg") == ["b.jpg", "other.jpg"]


def test_what_kosmoscope_wrote_is_no_photo(tree: Path) -> None:
    for name in ("out/annotated/1.jpg", "sub/drawn.jpg", "sub/cut\nout.png"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
    claim(tree / "drawn")
    mark(tree / "out/annotated")
    claim(tree / "sub").note(tree / "sub/drawn.jpg", tree / "sub/cut\nout.png")
    for name in ("out/annotated/1.jpg", "drawn/2.jpg", "sub/drawn.jpg", "sub/cut\nout.png"):
        (tree / name).touch()
    expected = ["a.PNG", "b.jpg", "c.d/e.gif", "sub/deep/y.tif", "sub/z.webp"]
    assert paths(".") == [f"./{name}" for name in expected]
    assert sorted(paths("**")) == expected
    assert paths("sub") == ["sub/deep/y.tif", "sub/z.webp"], "a folder of others, named or not"
    assert said("drawn", ".") == (
        "1 file of other kinds (.txt), 2 folders that kosmoscope wrote, 2 pictures that kosmoscope "
        "wrote were passed over"
    )
    assert paths("drawn") == paths("drawn/*.jpg") == ["drawn/2.jpg"], "but who names it means it"
    assert paths("drawn/2.jpg") == ["drawn/2.jpg"]


def test_what_version_0_1_wrote_is_no_photo(tree: Path) -> None:
    files = {
        "out/run.json": '{"format": 1, "model": {}}', "out/results.jsonl": "",
        "out/annotated/1.jpg": "", "out/gallery/thumbs/1.jpg": "", "out/segments/1.png": "",
        "out/export-yolo/data/1.jpg": "", "out/mine.jpg": "",
        "seg/segment-settings.json": "{}", "seg/a-labels.png": "", "seg/a-overlay.jpg": "",
        "seg/a-1-a-dog.png": "", "seg/own.png": "", f"g/thumbs/{'ab' * 12}-480.webp": "",
        "e/.kosmoscope-export": "{}", "e/data/1.jpg": "",
    }  # fmt: skip
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    assert paths("out", "seg", "g") == [
        "out/mine.jpg", "seg/own.png", "g: no pictures in it; 1 picture that kosmoscope wrote was "
        "passed over",
    ]  # fmt: skip
    assert not [p for p in paths(".") if p.startswith("./e/")]
    claim_results(tree / "out")
    (tree / "out/run.json").write_text('{"format": 1, "model": {}, "folder": "x"}')
    (tree / "out/more").mkdir()
    (tree / "out/more/1.jpg").touch()
    assert paths("out") == ["out/mine.jpg", "out/more/1.jpg"], "it is marked when it is taken over"


def test_a_source_that_stands_for_nothing_is_a_problem(tree: Path) -> None:
    (tree / "empty/below").mkdir(parents=True)
    (tree / "others").mkdir()
    for name in ("a.dng", "b.DNG", "c.mp4", "README"):
        (tree / "others" / name).touch()
    (tree / "list.txt").write_text("\n\n")
    (tree / "table.csv").write_text("path\n")
    assert paths("empty", "b.jpg", "@list.txt", "table.csv", "others", "others/*.dng", "no*") == [
        "empty: no pictures in it",
        "b.jpg",
        "list.txt: no paths in it",
        "table.csv: no paths in it",
        "others: no pictures in it; 4 files of other kinds (.dng, .mp4, no extension) were passed "
        "over",
        "others/*.dng: no pictures match; 1 file of other kinds (.dng) was passed over",
        "no*: no pictures match; 1 file of other kinds (.txt) was passed over",
    ]
    assert said("others", "./others", "b.jpg") == (
        "4 files of other kinds (.dng, .mp4, no extension) were passed over"
    )


ROWS = ["b.jpg", "sub/z.webp"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_in_other_encodings(tree: Path, encoding: str, end: str) -> None:
    (tree / "\N{SNOWMAN}.jpg").touch()
    expected = [*ROWS, "\N{SNOWMAN}.jpg"]
    text = end.join(expected) + end
    (tree / "list.txt").write_bytes(text.encode(encoding))
    assert paths("@list.txt") == expected
    assert paths("-", stdin=text.encode(encoding)) == expected
    (tree / "table.csv").write_bytes(f"id;path{end}1;{f'{end}2;'.join(expected)}".encode(encoding))
    assert paths("table.csv") == expected
    rows = end.join(json.dumps({"filename": p}, ensure_ascii=False) for p in expected)
    (tree / "table.jsonl").write_bytes(rows.encode(encoding))
    assert paths("table.jsonl") == expected


def test_a_list_in_a_broken_encoding_is_told(tree: Path) -> None:
    (tree / "list.txt").write_bytes("b.jpg\na.PNG\n".encode("utf-16") + b"\0")
    assert "not UTF-16-LE to its end" in paths("@list.txt")[-1]
    (tree / "nul.txt").write_bytes(b"a\0b\0c\0d\0e\0")
    assert paths("@nul.txt") == ["a", "b", "c", "d", "e"], "names of one letter, ended by NUL"
    (tree / "b.txt").write_bytes(b"BMW.jpg\nb.jpg\n")
    assert paths("@b.txt") == ["BMW.jpg", "b.jpg"], "no bitmap"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "heading", ["path", "Filename", "IMAGE", "file_name", "url", "File Name", "Foto", None]
)
@pytest.mark.parametrize("name", ["table.csv", "@table.tsv", "@table.txt"])
def test_tables_of_any_shape(tree: Path, delimiter: str, heading: str | None, name: str) -> None:
    """Other separators, an id in front, any usual heading, or none."""
    rows = [] if heading is None else [f"id{delimiter}{heading}"]
    rows += [f"{i}{delimiter}{row}" for i, row in enumerate(ROWS, 1)]
    (tree / name.lstrip("@")).write_text("\r\n".join(rows))
    if name == "@table.txt" and heading == "Foto":
        return  # nothing says that these are columns; each line is reported as no file
    assert paths(name) == ROWS


def test_a_table_without_pictures_is_refused_with_a_word_about_columns(tree: Path) -> None:
    (tree / "t.csv").write_text("id;words\n1;a\n2;b\n")
    assert paths("t.csv") == [
        "t.csv: none of the columns (id, words) holds pictures; expected a heading such as path, "
        "image, file_name, filename"
    ]
    (tree / "one.csv").write_text("nowhere1\nnowhere2\n")
    assert paths("one.csv")[-1:] == ["nowhere2"]
    (tree / "excel.csv").write_text("sep=;\nid;path\n1;b.jpg\n")
    assert paths("excel.csv") == ["b.jpg"]
    (tree / "comma, in name.jpg").touch()
    (tree / "l.txt").write_text("comma, in name.jpg\nb.jpg\n")
    assert paths("@l.txt") == ["comma, in name.jpg", "b.jpg"]

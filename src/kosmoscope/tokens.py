"""Text to ids and back, the tags, and the location tokens with their geometry.

A Kosmos-2 vocabulary is an XLM-R style unigram one, then eleven tags, then one location token for
each cell of a square grid over the picture (released: 32 x 32 cells, row by row). The tags are the
ones of the Kosmos-2 paper (arXiv 2306.14824, section 2); `transformers` adds them in
``models/kosmos2/processing_kosmos2.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from kosmoscope.errors import BoxError, PromptError, TokenizerError
from kosmoscope.files.text import reason
from kosmoscope.geometry import XYXY, check_xyxy_norm

TAGS = (
    "</doc>",
    "<image>",
    "</image>",
    "</chunk>",
    "</line>",
    "<phrase>",
    "</phrase>",
    "<object>",
    "</object>",
    "</delimiter_of_multi_objects/>",
    "<grounding>",
)
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""Tokens that `transformers` leaves out of decoded text; the tags it keeps."""

_LOCATION = re.compile(r"<patch_index_(\d+)>")
_SPACE = "▁"


@dataclass(frozen=True, slots=True)
class TokenSet:
    """The ids that mean something other than text.

    Raises:
        TokenizerError: the location tokens are not those of a square grid, or leave the vocabulary.
    """

    bos: int
    pad: int
    eos: int
    unk: int
    image_open: int
    image_close: int
    phrase_open: int
    phrase_close: int
    object_open: int
    object_close: int
    delimiter: int
    grounding: int
    first_location: int
    """The upper left cell's id; the others follow row by row."""
    location_count: int
    """How many cells the grid has: side * side."""
    vocab_size: int
    """Number of ids, locations included."""
    markup: frozenset[int]
    """All ids that are not ordinary text, except the location tokens."""

    def __post_init__(self) -> None:
        n = self.location_count
        if n < 1 or math.isqrt(n) ** 2 != n:
            raise TokenizerError(f"{n} location tokens; expected a square number such as 1024")
        if self.first_location < 0 or self.first_location + n > self.vocab_size:
            raise TokenizerError(f"{n} location tokens leave the {self.vocab_size} ids there are")

    @property
    def side(self) -> int:
        """Cells along each side of the grid."""
        return math.isqrt(self.location_count)

    def is_location(self, token_id: int) -> bool:
        """Say whether this id is a location token."""
        return 0 <= token_id - self.first_location < self.location_count

    def cell(self, token_id: int) -> int:
        """Return the cell (0 .. side * side - 1, row by row) of a location token.

        Raises:
            ValueError: not a location token.
        """
        if self.is_location(token_id):
            return token_id - self.first_location
        raise ValueError(f"token {token_id} is not a location token")

    def location_id(self, cell: int) -> int:
        """Return the token id of a cell (0 .. side * side - 1).

        Raises:
            BoxError: no such cell.
        """
        if not 0 <= cell < self.location_count:
            raise BoxError(f"cell {cell} is not on the grid: expected 0..{self.location_count - 1}")
        return self.first_location + cell

    def is_text(self, token_id: int) -> bool:
        """Say whether this id is an ordinary piece of text."""
        return (
            0 <= token_id < self.vocab_size
            and token_id not in self.markup
            and not self.is_location(token_id)
        )


def cells_to_xyxy(upper_left: int, lower_right: int, side: int) -> XYXY:
    """Return the normalised box that a pair of cells stands for.

    The corners are the centres of the two cells; where both lie in one row or one column that box
    would be empty, and the outer edges of the cells are taken. The rule is Microsoft's (unilm,
    ``kosmos-2/demo/decode_string.py``) and `patch_index_to_coordinate` in transformers'
    ``processing_kosmos2.py``.

    Args:
        upper_left: cell of the upper left corner, 0 .. side * side - 1, row by row.
        lower_right: cell of the lower right corner.
        side: cells along each side of the picture.

    Returns:
        (x1, y1, x2, y2), normalised to 0..1 over the upright picture.

    Raises:
        BoxError: a cell is not on the grid, or the pair is inverted.
    """
    for cell in (upper_left, lower_right):
        if not 0 <= cell < side * side:
            raise BoxError(f"cell {cell} is not on the grid: expected 0..{side * side - 1}")
    top, left = divmod(int(upper_left), side)
    bottom, right = divmod(int(lower_right), side)
    if right < left or bottom < top:
        raise BoxError(
            f"cells {upper_left}, {lower_right} are an inverted box: column {right}, row {bottom} "
            f"is left of or above column {left}, row {top}"
        )
    if left == right or top == bottom:
        return (left / side, top / side, (right + 1) / side, (bottom + 1) / side)
    return ((left + 0.5) / side, (top + 0.5) / side, (right + 0.5) / side, (bottom + 0.5) / side)


def location_token(cell: int) -> str:
    """Return how the location token of a cell (0 .. side * side - 1) is written."""
    return f"<patch_index_{cell:04d}>"


def xyxy_to_cells(xyxy: Sequence[float], side: int) -> tuple[int, int]:
    """Return the cells of a normalised box's upper left and lower right corners.

    The smallest range of cells that covers the box: floor for the first corner, ceil - 1 for the
    second (`coordinate_to_patch_index` in transformers' ``processing_kosmos2.py``), kept on the
    grid. Undoes `cells_to_xyxy` exactly for every side up to 21 and every power of two; for some
    other sides (22 is the first) rounding moves a corner that lies on a cell's edge by one cell.

    Args:
        xyxy: any sequence of four numbers x1, y1, x2, y2 in 0..1.
        side: cells along each side of the picture.

    Raises:
        BoxError: not four finite numbers in 0..1 with x1 < x2 and y1 < y2.
    """
    return covering_cells(check_xyxy_norm(xyxy), side)


def covering_cells(xyxy_norm: XYXY, side: int) -> tuple[int, int]:
    """Return what `xyxy_to_cells` does, of any four finite numbers.

    Corners outside the picture go to the cells at its edge; an empty or inverted box takes those
    from its first corner on, one row or column of them.
    """
    x1, y1, x2, y2 = xyxy_norm
    last = side - 1
    left, top = (min(max(math.floor(edge * side), 0), last) for edge in (x1, y1))
    right = min(max(math.ceil(x2 * side - 1), left), last)
    bottom = min(max(math.ceil(y2 * side - 1), top), last)
    return top * side + left, bottom * side + right


class Tokenizer:
    """The checkpoint's ``tokenizer.json``, and what its ids mean. Make one with `from_file`."""

    def __init__(
        self, backend: tokenizers.Tokenizer, tokens: TokenSet, contents: Sequence[str], source: str
    ) -> None:
        """Wrap a `tokenizers.Tokenizer` whose id ``i`` is written ``contents[i]``."""
        self.tokens = tokens
        self._backend = backend
        self._source = source
        self._contents = list(contents)
        self._pieces = [c.replace(_SPACE, " ") for c in self._contents]
        first = tokens.first_location
        for i in (*tokens.markup, *range(first, first + tokens.location_count)):
            self._pieces[i] = ""
        self._specials = frozenset(i for i in tokens.markup if self._contents[i] in SPECIALS)
        names = sorted({self._contents[i] for i in tokens.markup} | {*SPECIALS, *TAGS})
        self._markup = re.compile("|".join([*map(re.escape, names), _LOCATION.pattern]))
        # A prepended "▁" is taken off the first token again, as the file's decoder says.
        self._strip_first = getattr(backend.decoder, "prepend_scheme", "always") != "never"

    @classmethod
    def from_file(cls, path: Path) -> Tokenizer:
        """Read a ``tokenizer.json``.

        Raises:
            TokenizerError: missing or damaged, not a unigram tokenizer with metaspaces, or without
                the tags and the location tokens of a square grid. The message names the file.
        """
        try:
            text = path.read_text(encoding="utf-8")
            data = json.loads(text)
        except OSError as e:
            raise TokenizerError(f"{path}: cannot be read: {e.strerror or e}") from e
        except (ValueError, RecursionError) as e:
            raise TokenizerError(f"{path}: not JSON: {reason(e)}") from e
        try:
            contents, tokens = _vocabulary(data)
        except TokenizerError as e:
            raise TokenizerError(f"{path}: {e}") from e
        except (LookupError, TypeError, ValueError, AttributeError) as e:
            raise TokenizerError(f"{path}: not a tokenizer.json: {reason(e)}") from e
        try:
            backend = tokenizers.Tokenizer.from_str(text)
        except Exception as e:  # the library raises nothing narrower
            raise TokenizerError(f"{path}: cannot be loaded: {reason(e)}") from e
        backend.no_padding()
        backend.no_truncation()
        known = backend.get_vocab_size(with_added_tokens=True)
        if known != len(contents):
            raise TokenizerError(f"{path}: {known} tokens for {len(contents)} ids; expected equal")
        return cls(backend, tokens, contents, str(path))

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self._contents)

    def check_matches(
        self, *, vocab_size: int, bos: int, pad: int, eos: int, file: str | Path
    ) -> None:
        """Check that this tokenizer and the config in `file` speak of the same vocabulary.

        Sizes must be equal: with more rows than tokens the model can say ids that mean nothing.

        Raises:
            TokenizerError: they disagree; the message names both files and both numbers.
        """
        for name, ours, theirs in (
            ("vocab_size", self.size, vocab_size),
            ("bos_token_id", self.tokens.bos, bos),
            ("pad_token_id", self.tokens.pad, pad),
            ("eos_token_id", self.tokens.eos, eos),
        ):
            if ours != theirs:
                raise TokenizerError(
                    f"{self._source}: disagrees with {file}: {name} is {ours} in the tokenizer "
                    f"and {theirs} in the config"
                )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a user's plain text, without ``<s>`` and ``</s>``.

        Raises:
            PromptError: the text is blank, has a NUL character or half a surrogate pair, or
                contains markup (a tag, a location token, ``<s>`` ...); the message names it.
        """
        if not text.strip():
            raise PromptError("the text is empty; expected at least one word")
        found = self._markup.search(text)
        if found:
            raise PromptError(
                f"the text contains the markup {found[0]!r}; expected plain text (a prompt with "
                "tags has to be marked as tagged)"
            )
        ids = self.encode_tagged(text)
        # Normalisation can make markup of look-alikes (full-width '＜s＞'): the unigram model knows
        # the special tokens' names as pieces.
        for i in ids:
            if i != self.tokens.unk and not self.tokens.is_text(i):
                raise PromptError(f"the text contains a look-alike of {self._contents[i]!r}")
        if not ids:
            raise PromptError("the text has no visible character; expected at least one word")
        return ids

    def encode_tagged(self, text: str) -> list[int]:
        """Return the ids of a prompt with tags, as in ``<grounding><phrase> a dog</phrase>``.

        Never call this with a user's text inside: `encode` that and join the ids.

        Raises:
            PromptError: the text has a NUL character or half a surrogate pair.
        """
        if "\0" in text:
            raise PromptError(f"the text has a NUL character at offset {text.index(chr(0))}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as e:
            raise PromptError(f"the text has half a surrogate pair at offset {e.start}") from e
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def piece(self, token_id: int) -> str:
        """Return the text of one ordinary piece, with its leading space; '' for markup."""
        return self._pieces[token_id] if 0 <= token_id < len(self._pieces) else ""

    def decode(
        self, ids: Iterable[int], *, keep_tags: bool = False, keep_special: bool = False
    ) -> str:
        """Return the text of ids. Ids outside the vocabulary are skipped.

        Args:
            ids: token ids.
            keep_tags: write tags and location tokens too; this is what `transformers` returns from
                ``batch_decode(..., skip_special_tokens=True)``.
            keep_special: write ``<s>``, ``<pad>``, ``</s>``, ``<unk>`` and ``<mask>`` too.
        """
        parts: list[str] = []
        tokens = self.tokens
        for i in ids:
            if not 0 <= i < len(self._contents):
                continue
            if i in self._specials:
                if not keep_special:
                    continue
            elif not keep_tags and not tokens.is_text(i):
                continue
            replacement = " " if parts or not self._strip_first else ""
            parts.append(self._contents[i].replace(_SPACE, replacement))
        return "".join(parts)


def _vocabulary(data: Any) -> tuple[list[str], TokenSet]:
    """Check a parsed tokenizer.json; return what each id is written as, and the ids' meaning."""
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise TokenizerError("not a tokenizer.json: expected a JSON object with a 'model'")
    model = data["model"]
    if model.get("type", "Unigram") != "Unigram" or not isinstance(model.get("vocab"), list):
        raise TokenizerError(f"a {model.get('type')} tokenizer; expected Unigram")
    if model.get("byte_fallback"):
        raise TokenizerError("a tokenizer with byte fallback; expected one without")
    for part in ("pre_tokenizer", "decoder"):
        if not _has_metaspace(data.get(part)):
            raise TokenizerError(f"the {part} is not a Metaspace with {_SPACE!r}")
    contents = [str(piece) for piece, _score in model["vocab"]]
    extra: set[int] = set()
    for token in sorted(data.get("added_tokens") or (), key=lambda t: int(t["id"])):
        i, content = int(token["id"]), str(token["content"])
        if i == len(contents):
            contents.append(content)
        elif not 0 <= i < len(contents) or contents[i] != content:
            raise TokenizerError(f"the added token {content!r} has the id {i}, which does not fit")
        if token.get("special"):
            extra.add(i)
    return contents, _token_set(contents, extra)


def _has_metaspace(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    inner = part.get("pretokenizers") or part.get("decoders") or ()
    if part.get("type") == "Sequence":
        return any(_has_metaspace(p) for p in inner)
    return part.get("type") == "Metaspace" and part.get("replacement") == _SPACE


def _token_set(contents: Sequence[str], special: set[int]) -> TokenSet:
    ids = {content: i for i, content in enumerate(contents)}
    names = (*SPECIALS, *TAGS)
    missing = [t for t in names if t not in ids and t != "<mask>"]
    if missing:
        raise TokenizerError(f"not a Kosmos-2 tokenizer: without {', '.join(missing)}")
    locations = [(i, c) for i, c in enumerate(contents) if _LOCATION.fullmatch(c)]
    if not locations:
        raise TokenizerError("not a Kosmos-2 tokenizer: without location tokens <patch_index_0000>")
    first = locations[0][0]
    for cell, (i, content) in enumerate(locations):
        if i != first + cell or content != location_token(cell):
            raise TokenizerError(
                f"id {i} is {content}; expected {location_token(cell)} at id {first + cell}"
            )
    return TokenSet(
        bos=ids["<s>"],
        pad=ids["<pad>"],
        eos=ids["</s>"],
        unk=ids["<unk>"],
        image_open=ids["<image>"],
        image_close=ids["</image>"],
        phrase_open=ids["<phrase>"],
        phrase_close=ids["</phrase>"],
        object_open=ids["<object>"],
        object_close=ids["</object>"],
        delimiter=ids["</delimiter_of_multi_objects/>"],
        grounding=ids["<grounding>"],
        first_location=first,
        location_count=len(locations),
        vocab_size=len(contents),
        markup=frozenset(ids[t] for t in names if t in ids) | (special - dict(locations).keys()),
    )

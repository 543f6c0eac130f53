"""Make the table of what nouns mean, from WordNet and from the nouns of captions.

    python -m recipes.words.build --wordnet /usr/share/wordnet --captions captions.txt.gz \\
      src/kosmoscope/questions/words/nouns.txt

`--wordnet` is the folder of Debian's wordnet-base (WordNet 3.0), `--captions` a text with one
caption a line. The same files always give the same bytes.

A noun that a picture's text says is taken in its first sense, or in the one that photographs show
(`SENSES`): a mouse is a device. A noun that is asked for finds what is below it in any of its first
`ASKED` senses: a plant is a factory first, and is asked for as what grows.
"""

from __future__ import annotations

import argparse
import gzip
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.export.nouns import head_noun, singular
from kosmoscope.files.writing import write_text
from kosmoscope.questions.language.tokens import words_of
from recipes.pocket.naming import NAMES
from recipes.words.corrections import CUT, EXTRA, SENSES, TOO_GENERAL

LEAST = 3
"""Nouns of fewer captions are left out."""
ASKED = 3
_PHYSICAL = "physical entity"


@dataclass(slots=True)
class Synset:
    """A sense, and what it is a kind of."""

    words: tuple[str, ...]
    above: tuple[str, ...] = ()


@dataclass(slots=True)
class WordNet:
    """Nouns alone."""

    synsets: dict[str, Synset] = field(default_factory=dict)
    senses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Noun -> its senses, the commonest first."""
    hardly: set[str] = field(default_factory=set)
    """Adjectives of which WordNet's texts have no use as a noun."""

    @classmethod
    def read(cls, folder: Path) -> WordNet:
        """Read `data.noun` and `index.noun` (wndb(5WN) says what is in them)."""
        found = cls()
        for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines():
            if line.startswith(" "):
                continue  # the licence
            parts = line.partition("|")[0].split()
            many = int(parts[3], 16)
            words = tuple(parts[4 : 4 + 2 * many : 2])
            rest = parts[4 + 2 * many + 1 :]
            above = tuple(rest[i + 1] for i in range(0, len(rest) - 3, 4) if rest[i] == "@")
            named = tuple(w.replace("_", " ") for w in words if w.islower())
            found.synsets[parts[0]] = Synset(named, above)
        for line in (folder / "index.noun").read_text(encoding="latin-1").splitlines():
            if not line.startswith(" "):
                parts = line.split()
                noun = parts[0].replace("_", " ")
                found.senses[noun] = tuple(parts[-int(parts[2]) :])
                if parts[-int(parts[2]) - 1] == "0":
                    found.hardly.add(noun)
        adjectives = (folder / "index.adj").read_text(encoding="latin-1").splitlines()
        found.hardly &= {line.partition(" ")[0] for line in adjectives}
        for synset in found.synsets.values():
            synset.above = tuple(one for one in synset.above if not found.cut(synset, one))
        return found

    def cut(self, below: Synset, above: str) -> bool:
        """Say whether a kind is one of `CUT`."""
        pairs = ((a, b) for a in below.words for b in self.synsets[above].words)
        return any(pair in CUT for pair in pairs)

    def is_physical(self, sense: str) -> bool:
        """Say whether something of that sense can be seen."""
        synset = self.synsets[sense]
        return _PHYSICAL in synset.words or any(map(self.is_physical, synset.above))

    def said(self, noun: str) -> str | None:
        """Return the sense in which a picture's text says a noun."""
        senses = self.senses.get(noun, ())
        number = SENSES.get(noun, 1)
        return senses[number - 1] if number <= len(senses) else None


def nouns_of(captions: Iterable[str], known: WordNet) -> list[str]:
    """Return the nouns to be in the table, in their order."""
    counts: Counter[str] = Counter()
    for caption in captions:
        words = [singular(word) for word in words_of(caption)]
        pairs = [f"{a} {b}" for a, b in pairwise(words)]
        counts.update({w for w in (*words, *pairs) if head_noun(w) == w})
    common = {noun for noun, many in counts.items() if many >= LEAST and len(noun) > 2}
    common -= known.hardly
    common |= {head_noun(name) for name in (*CLASS_NAMES, *NAMES)}
    common |= {noun for pair in EXTRA for noun in pair}
    return sorted(noun for noun in common if known.said(noun) or any(noun in p for p in EXTRA))


def table_of(nouns: list[str], known: WordNet) -> list[str]:
    """Return the table's lines: a sense each, before those that are kinds of it."""
    said: dict[str, set[str]] = {}
    for noun in nouns:
        if (sense := known.said(noun)) is not None:
            for word in (noun, *known.synsets[sense].words):
                fit = (word == noun or word not in known.hardly) and head_noun(word) == word
                if fit and known.said(word) == sense:
                    said.setdefault(sense, set()).add(word)
    wanted: dict[str, None] = {}

    def visit(sense: str) -> None:
        if sense not in wanted:
            for one in known.synsets[sense].above:
                visit(one)
            wanted[sense] = None

    for sense in sorted(said):
        visit(sense)
    # What nobody would ask for joins what is below it to what is above.
    number: dict[str, int] = {}
    lines: list[str] = []
    above: dict[str, set[int]] = {}
    common = set(nouns)
    for sense in wanted:
        synset = known.synsets[sense]
        asked = {
            word
            for word in synset.words
            if word in common
            and known.is_physical(sense)
            and word not in TOO_GENERAL
            and sense in known.senses[word][:ASKED]
            and (word not in SENSES or known.said(word) == sense)
        } - said.get(sense, set())
        up = {n for one in synset.above for n in above[one]}
        words = said.get(sense, set()) - TOO_GENERAL
        if not words and not asked:
            above[sense] = up
            continue
        number[sense] = len(lines)
        above[sense] = {number[sense]}
        lines.append("|".join((",".join(sorted(words)), ",".join(sorted(asked)), _numbers(up))))
    for below, over in EXTRA:
        kinds = [i for i, line in enumerate(lines) if over in line.split("|")[0].split(",")]
        lines.append(f"{below}||{_numbers(kinds)}")
    return lines


def _numbers(values: Iterable[int]) -> str:
    return " ".join(map(str, sorted(values)))


def main(arguments: list[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wordnet", type=Path, required=True)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(arguments)
    known = WordNet.read(args.wordnet)
    with gzip.open(args.captions, "rt", encoding="utf-8") as file:
        nouns = nouns_of(file, known)
    lines = table_of(nouns, known)
    write_text(args.out, (line + "\n" for line in lines))
    print(f"{args.out}: {len(nouns)} nouns, {len(lines)} senses, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

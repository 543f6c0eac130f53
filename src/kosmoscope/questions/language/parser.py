"""From a question in words to a tree; every text is a question, so nothing is ever refused.

A recursive descent over the tokens (docs/search.md has the grammar). Each step takes at least one
token and looks at a fixed number ahead; only a thing after "or" may be read twice, so that the work
grows with the text alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from kosmoscope.export.nouns import singular
from kosmoscope.questions.language import lexicon as lx
from kosmoscope.questions.language.amounts import amount_at
from kosmoscope.questions.language.cursor import Cursor
from kosmoscope.questions.language.drafts import (
    Draft,
    Group,
    Growing,
    Negated,
    drafts_of,
    finished,
    grouped,
)
from kosmoscope.questions.language.filters import (
    dated,
    named_filter,
    read_date,
    read_places,
    read_score,
)
from kosmoscope.questions.language.tokens import MAX_CHARACTERS, MAX_TOKENS, tokens_of, words_of
from kosmoscope.questions.language.tree import (
    SOME,
    Folder,
    Node,
    Query,
    Relation,
    Words,
)

MAX_DEPTH = 12
"""Of parentheses and of "not"; deeper ones are passed over."""


def parse(text: str) -> Query:
    """Read a question. Never raises: what has no place becomes words, and a note says so."""
    tokens, cut = tokens_of(text)
    reader = _Reader(Cursor(tokens))
    if cut:
        reader.cursor.note(
            f"only the first {MAX_CHARACTERS} characters and {MAX_TOKENS} words were read"
        )
    found = reader.question()
    return Query(found, reader.score, tuple(dict.fromkeys(reader.cursor.notes)))


@dataclass(slots=True)
class _Reader:
    cursor: Cursor
    depth: int = 0
    score: tuple[float, float] = (0.0, 1.0)
    last: Draft | None = None
    """The thing that was named last: what follows without "and" is said of it."""
    subject: Draft | None = None
    """The thing of which the last relation was said: a relation after "and" is said of it."""

    def question(self) -> Node | None:
        self._opening()
        parts: list[Growing] = []
        while not self.cursor.ended:
            if (found := self._alternatives()) is not None:
                parts.append(found)
            if self.cursor.marks(")"):
                self._pass_over()
        return finished(grouped(parts, every=True))

    def _opening(self) -> None:
        self.cursor.at += len(self.cursor.phrase(lx.OPENINGS))

    def _pass_over(self) -> None:
        text = self.cursor.text
        if text not in ".,;:!?'\"-":
            self.cursor.note(f"'{text}' says nothing here; it was passed over")
        self.cursor.at += 1

    # The grammar.

    def _alternatives(self) -> Growing | None:
        parts: list[Growing] = []
        while True:
            if (found := self._conjunction()) is not None:
                parts.append(found)
            if self.cursor.word() not in lx.OR and not self.cursor.marks("|"):
                return grouped(parts, every=False)
            self.cursor.at += 1

    def _conjunction(self) -> Growing | None:
        self.last = self.subject = None
        parts: list[Growing] = []
        joined = False
        while not self.cursor.ended:
            if self.cursor.word() in lx.OR or self.cursor.marks("| )"):
                break
            if self.cursor.word() in lx.AND or self.cursor.marks("& , ;"):
                self.cursor.at, joined = self.cursor.at + 1, True
                continue
            found = self._part(joined)
            parts += [] if found is None else [found]
            joined = False
        return grouped(parts, every=True)

    def _part(self, joined: bool) -> Growing | None:
        """Read one part; None where it was said of a thing before, or says nothing."""
        if self.cursor.marks("("):
            return self._parentheses()
        amount = amount_at(self.cursor.tokens, self.cursor.at, after_thing=self.last is not None)
        if amount is None and self.cursor.marks("- !") and self.cursor.word(1):
            return self._excluded()
        if amount is None and self.cursor.word() in lx.NOTHING:
            return self._negation(joined)
        kind = self.cursor.tokens[self.cursor.at].kind
        if kind == "quoted":
            words = tuple(map(singular, words_of(self.cursor.text)))
            self.cursor.at += 1
            return Words(words) if words else None
        if kind == "folder":
            name = self.cursor.text.strip("/")
            self.cursor.at += 1
            return Folder(name) if name else None
        if (score := read_score(self.cursor, self.score)) is not None:
            self.score = score
            return None
        if (taken := read_date(self.cursor)) is not None:
            return taken
        if (places := read_places(self.cursor, self._goes_on_after_place)) is not None:
            if self.last is None:
                return self._new(Draft(places=places))
            self.last.place(places)
            return None
        if amount is None and (self.cursor.phrase(lx.RELATIONS) or self.cursor.phrase(lx.UNTOLD)):
            return self._relation(joined, negated=False)
        return self._thing()

    def _excluded(self) -> Growing:
        """Read `-dog`: the one word is not there."""
        draft = Draft()
        draft.describe([self.cursor.word(1)], [])
        self.cursor.at += 2
        return Negated(self._new(draft))

    def _parentheses(self) -> Growing | None:
        self.cursor.at += 1
        if self.depth >= MAX_DEPTH:
            self.cursor.note(f"parentheses more than {MAX_DEPTH} deep were passed over")
            return None
        self.depth += 1
        found = self._alternatives()
        self.depth -= 1
        if self.cursor.marks(")"):
            self.cursor.at += 1
        self.last = self.subject = None
        return found

    def _negation(self, joined: bool) -> Growing | None:
        word = self.cursor.tokens[self.cursor.at].text
        self.cursor.at += 1
        self.cursor.skip(lx.FILLERS)
        if self.cursor.ended:
            self.cursor.note(f"'{word}' has nothing after it; it was passed over")
            return None
        amount = amount_at(self.cursor.tokens, self.cursor.at, after_thing=True)
        if amount is None and self.cursor.phrase(lx.RELATIONS) and self.last is not None:
            return self._relation(joined, negated=True)
        if self.depth >= MAX_DEPTH or self.cursor.word() in lx.OR or self.cursor.marks("| ) & , ;"):
            self.cursor.note(f"'{word}' has nothing after it; it was passed over")
            return None
        self.depth += 1
        self.last = self.subject = None
        found = self._part(joined=False)
        self.depth -= 1
        if found is None:
            return None
        parts: list[Growing] = [Negated(found)]
        while isinstance(found, Draft) and self.cursor.word() in lx.OR and self._goes_on(1):
            self.cursor.at += 1  # "no dogs or cats" has neither
            if (found := self._thing()) is not None:
                parts.append(Negated(found))
        return grouped(parts, every=True)

    def _goes_on(self, ahead: int) -> bool:
        """Say whether a noun phrase without article or amount begins here."""
        at = self.cursor.at + ahead
        return self._plain(ahead) and amount_at(self.cursor.tokens, at) is None

    def _new(self, draft: Draft) -> Draft:
        self.last, self.subject = draft, None
        return draft

    def _relation(self, joined: bool, *, negated: bool) -> Growing | None:
        """Read how the last thing stands to another one."""
        phrase = self.cursor.phrase(lx.RELATIONS)
        words = " ".join(phrase or self.cursor.phrase(lx.UNTOLD))
        self.cursor.at += len(phrase or self.cursor.phrase(lx.UNTOLD))
        subject = (self.subject if joined else None) or self.last
        made = None if subject is not None else self._new(Draft())
        subject = subject or made
        assert subject is not None
        self.cursor.skip(lx.FILLERS)
        others = self._related_things()
        if not others:
            self.cursor.note(f"'{words}' has no thing after it; it was passed over")
            self.last = None if made is not None else self.last
            return None
        if not phrase:
            self.cursor.note(f"boxes cannot tell '{words}': both things are looked for")
            self.last, self.subject = others[-1], None
            found = grouped([*others], every=False)
            return found if made is None or found is None else grouped([made, found], every=True)
        name = lx.RELATIONS[phrase]
        if phrase[0] in lx.TOUCHING_IS_A_GUESS:
            self.cursor.note(f"'{words}' is taken as: their boxes touch")
        subject.related.append((cast(Relation, name), others, negated))
        self.subject = subject
        return made

    def _related_things(self) -> list[Draft]:
        """Read the other thing of a relation, or several of which it may be any."""
        if self.cursor.marks("("):
            return self._related_in_parentheses()
        found = self._thing()
        others = [] if found is None else [found]
        while others and (another := self._alternative()) is not None:
            others.append(another)
        return others

    def _related_in_parentheses(self) -> list[Draft]:
        """Read things with what is said of them."""
        self.cursor.at += 1
        if self.depth >= MAX_DEPTH:
            return self._related_things()
        self.depth += 1
        outer = self.last, self.subject
        found = self._alternatives()
        self.depth -= 1
        if self.cursor.marks(")"):
            self.cursor.at += 1
        self.last, self.subject = outer
        others = drafts_of(found)
        if not others and isinstance(found, Group):
            others = [p for p in found.parts if isinstance(p, Draft)][:1]
            if others:
                self.cursor.note(
                    "after a relation stands one thing: the first in the parentheses counts"
                )
        return others

    def _alternative(self) -> Draft | None:
        """Read "or a bus" after "left of a car". None, and nothing read, where something is said
        of the bus: then it is looked for by itself."""
        if self.cursor.word() not in lx.OR and not self.cursor.marks("|"):
            return None
        kept = self.cursor.at, len(self.cursor.notes), self.last, self.subject
        self.cursor.at += 1
        self.last = None
        found = None if self._begins_no_thing() else self._thing()
        if found is not None and self._says_more():
            found = None
        if found is None:
            self.cursor.at, notes, self.last, self.subject = kept
            del self.cursor.notes[notes:]
        return found

    def _begins_no_thing(self) -> bool:
        """Say whether something else than a thing begins here; may read it."""
        return (
            self.cursor.ended
            or self.cursor.tokens[self.cursor.at].kind in ("quoted", "folder")
            or self.cursor.marks("( - !")
            or self.cursor.word() in lx.NOTHING
            or bool(self.cursor.phrase(lx.RELATIONS) or self.cursor.phrase(lx.UNTOLD))
            or read_score(self.cursor, self.score) is not None
            or read_date(self.cursor) is not None
            or read_places(self.cursor, self._goes_on_after_place) is not None
        )

    def _says_more(self) -> bool:
        """Say whether a relation or a place follows, which is said of the thing before it."""
        at, notes = self.cursor.at, len(self.cursor.notes)
        self.cursor.skip(lx.FILLERS)
        if self.cursor.word() in lx.NOTHING:
            self.cursor.at += 1
            self.cursor.skip(lx.FILLERS)
            more = bool(self.cursor.phrase(lx.RELATIONS))
        else:
            places = read_places(self.cursor, self._goes_on_after_place) is not None
            amount = amount_at(self.cursor.tokens, self.cursor.at, after_thing=True)
            more = places or (
                amount is None
                and bool(self.cursor.phrase(lx.RELATIONS) or self.cursor.phrase(lx.UNTOLD))
            )
        self.cursor.at = at
        del self.cursor.notes[notes:]
        return more

    def _thing(self) -> Draft | None:
        """Read a thing: how many, what it is like, what it is called."""
        start = self.cursor.at
        draft = Draft()
        self.cursor.skip(lx.FILLERS)
        if found := amount_at(self.cursor.tokens, self.cursor.at):
            draft.count, self.cursor.at = found
        while self.cursor.word() in lx.ARTICLES or (
            self.cursor.word() == "of" and self.cursor.at > start
        ):
            self.cursor.at += 1
        run = self._run()
        if noun := self._enclosed("{", "}"):
            for word in run:
                draft.look(word)
            draft.noun = " ".join(noun)
            draft.words = self._enclosed("[", "]")
            return self._new(draft)
        exact = self._enclosed("[", "]") if run else []
        if run:
            said = [w for w in run if w in lx.COLOURS or w in lx.SIZES]
            if said == run and self.last is not None and draft.count == SOME and run != ["orange"]:
                for word in run:  # "a car that is red"
                    self.last.look(word)
                return None
            draft.describe(run, exact)
            return self._new(draft)
        if self.cursor.at > start:
            if draft.count != SOME:
                text = " ".join(t.text for t in self.cursor.tokens[start : self.cursor.at])
                self.cursor.note(f"'{text}' has no thing after it; it was passed over")
            return None
        if not self.cursor.ended and not self.cursor.marks(")"):
            self._pass_over()
        return None

    def _run(self) -> list[str]:
        """Read the words of a noun phrase, up to what begins something else."""
        run: list[str] = []
        while word := self.cursor.word():
            colours = (
                word in lx.COLOURS
                and self.cursor.word(1) == "and"
                and self.cursor.word(2) in lx.COLOURS
            )
            if colours and self._plain(3):
                run += [word, self.cursor.word(2)]
                self.cursor.at += 3
                continue
            if not self._plain(0, run):
                break
            if run and word in lx.POSTURES:
                self.cursor.note(f"boxes cannot tell '{word}'; it was passed over")
            else:
                run.append(word)
            self.cursor.at += 1
        return run

    def _plain(self, ahead: int, run: list[str] | None = None) -> bool:
        """Say whether a word goes on with a noun phrase, and begins nothing else."""
        word = self.cursor.word(ahead)
        if not word or word in lx.OR or word in lx.AND or word in lx.NOTHING or word in lx.FILLERS:
            return False
        if self.cursor.phrase(lx.RELATIONS, ahead) or self.cursor.phrase(lx.UNTOLD, ahead):
            return False
        if named_filter(self.cursor, ahead):
            return False
        if not run:
            return word not in lx.ARTICLES and word != "of"
        if word in lx.ARTICLES or word in lx.NUMBERS:
            return run[-1] == "of"
        at = self.cursor.at + ahead
        return not (dated(self.cursor, ahead) or amount_at(self.cursor.tokens, at))

    def _goes_on_after_place(self, ahead: int) -> bool:
        """Say whether a place is none: "on the left bank", "in the front garden"."""
        return self._plain(ahead, ["left"])

    def _enclosed(self, opening: str, closing: str) -> list[str]:
        """Read words as they are: `[young]` behind a thing, `{right}` for its name."""
        if not self.cursor.marks(opening):
            return []
        words, ahead = [], 1
        while word := self.cursor.word(ahead):
            words.append(word)
            ahead += 1
        if not self.cursor.marks(closing, ahead):
            return []
        self.cursor.at += ahead + 1
        return words

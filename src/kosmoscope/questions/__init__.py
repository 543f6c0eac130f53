"""Questions in words: what they ask, and how likely what is known of a picture satisfies them.

    language            a text -> a tree, and a tree -> canonical words
    evaluate            a tree and a picture's record -> how likely it is an answer, and by what
    words               what nouns mean: other words for a thing, and its kinds
    known               descriptions of a picture -> its record
    looking, colours    what its file says besides

Nothing here knows of a database or a page: `kosmoscope.search` asks an index of a folder,
`kosmoscope.gallery` what its page holds. docs/search.md has the grammar.
"""

from kosmoscope.questions.evaluate import CUT_OFF, PictureRecord, Seen, Verdict, evaluate
from kosmoscope.questions.language import Query, parse, wording

__all__ = ["CUT_OFF", "PictureRecord", "Query", "Seen", "Verdict", "evaluate", "parse", "wording"]

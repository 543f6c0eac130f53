"""What a message in plain words asks for, by rules that docs/server.md states.

In this order, on the last message of the user, whatever its case, the last full stop or question
mark and a "please" taken away:

1. nothing, "describe (it, this, the picture ...)", "caption (this ...)", "what is in this picture",
   "what do you see": describe, briefly; with "in detail" or "detailed" in it, in detail.
2. "what is in 0.1,0.2,0.5,0.9" (four fractions, in brackets or not): refer.
3. "where is X", "where are X", "find X", "locate X", "detect X", "ground X", "point to X",
   "point at X": ground X.
4. Anything else is a question: ask.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kosmoscope.errors import PromptError
from kosmoscope.prompts import Prompt, ask_prompt, describe_prompt, ground_prompt, refer_prompt
from kosmoscope.scope import EncodedImage

MOST_CHARACTERS = 100_000
"""Of a text; a longer one is not even made into tokens, which takes a while."""

Verb = Literal["describe", "ground", "refer", "ask"]

_PICTURE = r"(?:(?:this|the|that|my|an?) )?(?:image|picture|photo|photograph|scene)"
_OBJECT = rf"(?:it|this|that|{_PICTURE})"
_DETAIL = r"(?: (?:in (?:great |more |full )?detail|briefly|in brief|in one sentence|shortly))"
_DESCRIBE = re.compile(
    rf"(?:(?:brief|short|detailed) description|(?:briefly )?describe(?: {_OBJECT})?{_DETAIL}?"
    rf"|(?:write |give |make )?(?:me )?(?:an? )?(?:(?:brief|short|detailed) )?"
    rf"(?:caption|description)(?: (?:of |for )?{_OBJECT})?{_DETAIL}?"
    rf"|what(?: is|'s|’s) (?:in|on|shown in) {_OBJECT}|what do you see(?: in {_OBJECT})?"
    r"|brief|detailed)"
)
_NUMBER = r"(\d*\.?\d+)"
_REFER = re.compile(
    rf"what(?: is|'s|’s) (?:in|at|inside) (?:the )?(?:box )?[\[(]?{_NUMBER}"
    + rf"\s*[, ]\s*{_NUMBER}" * 3
    + r"[\])]?"
)
_GROUND = re.compile(
    r"(?:can you )?(?:where(?: is| are|'s|’s)|find|locate|detect|ground|point (?:to|at)):? (.+)"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to know of a picture."""

    verb: Verb
    text: str = ""
    """The phrase, the question, or "brief" or "detailed"."""
    box: tuple[float, ...] = ()

    def prompt(self, image: EncodedImage) -> Prompt:
        """Return the prompt for a picture."""
        match self.verb:
            case "describe":
                return describe_prompt(image, self.text)
            case "ground":
                return ground_prompt(image, self.text)
            case "refer":
                return refer_prompt(image, self.box)
            case "ask":
                return ask_prompt(image, self.text)


def wish(message: str) -> Wish:
    """Return what a message asks for; see the rules above.

    Raises:
        PromptError: it is longer than any model reads.
    """
    if len(message) > MOST_CHARACTERS:
        raise PromptError(f"the text has {len(message)} characters; expected {MOST_CHARACTERS}")
    plain = " ".join(message.split())
    core = re.sub(r"^please,? |,? please$", "", plain.rstrip(" .?!:"), flags=re.IGNORECASE)
    lower = core.lower()
    if not core or _DESCRIBE.fullmatch(lower):
        return Wish("describe", "detailed" if "detail" in lower else "brief")
    if found := _REFER.fullmatch(lower):
        return Wish("refer", box=tuple(float(v) for v in found.groups()))
    if found := re.fullmatch(_GROUND.pattern, core, re.IGNORECASE):
        return Wish("ground", found[1])
    return Wish("ask", plain)

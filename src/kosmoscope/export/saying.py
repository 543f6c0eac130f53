"""What of the things said about a picture is its caption, and how a caption begins.

A phrase that was looked for, what stands in a box, and the answer to a question are no captions of
the picture, though each is the text of a description. The text itself says what was asked: nothing
else is needed, so that descriptions read from bare JSON lines count alike.
"""

from __future__ import annotations

import re

from kosmoscope.types import GroundedCaption

# "<grounding><phrase> a dog</phrase><object>...": all was given but the boxes.
_LOOKED_FOR = re.compile(r"\s*(?:<grounding>)?\s*<phrase>[^<]*(?:<[^<>]*>\s*)*")
# "<grounding><phrase> It</phrase><object>...</object> is": asked about a box.
_REFERRED = re.compile(r"\s*(?:<grounding>)?\s*<phrase> ?It</phrase><object>.*?</object> ?is\b")
_ASKED = re.compile(r"\s*(?:<grounding>)?\s*Question:")
_LEAD = re.compile(
    r"""(?ix) ^\s*
    (?: (?:an?|the|this|these) \s+ )?
    (?: image | picture | photo | photograph )s? \s+
    (?: (?:is|are) \s+ )?
    (?: of | shows? | showing | features? | featuring | depicts? | depicting | captures?
      | capturing | presents? | displays? | contains? ) \b \s*"""
)


def is_caption(description: GroundedCaption) -> bool:
    """Say whether a description's text describes its picture."""
    if description.finish_reason == "complete" or not description.caption.strip():
        return False
    if _ASKED.match(description.prompt) or _ASKED.match(description.tagged):
        return False
    return not (_LOOKED_FOR.fullmatch(description.tagged) or _REFERRED.match(description.tagged))


def asked_for(description: GroundedCaption) -> str:
    """Return what stands before a text that is no caption: the question, or "Looked for:"."""
    if is_caption(description) or not description.caption.strip():
        return ""
    asked = description.prompt.strip()
    if not _ASKED.match(asked):
        return "Looked for:" if _LOOKED_FOR.fullmatch(description.tagged) else ""
    # Of parsed text the question is a part.
    return "" if description.caption.startswith(asked) else asked


def without_lead(caption: str) -> str:
    """Return a caption without "An image of" or "The image shows"; all of it where that is all."""
    return _LEAD.sub("", caption, count=1) or caption

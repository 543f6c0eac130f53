"""How likely a picture satisfies a question: `evaluate`, of a `PictureRecord`, by the rules."""

from kosmoscope.search.evaluate.record import PictureRecord, Seen
from kosmoscope.search.evaluate.rules import Evidence, Meaning, Verdict, evaluate

__all__ = ["Evidence", "Meaning", "PictureRecord", "Seen", "Verdict", "evaluate"]

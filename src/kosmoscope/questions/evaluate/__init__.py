"""How likely a picture satisfies a question: `evaluate`, of a `PictureRecord`, by the rules."""

from kosmoscope.questions.evaluate.record import PictureRecord, Seen
from kosmoscope.questions.evaluate.rules import CUT_OFF, Evidence, Meaning, Verdict, evaluate

__all__ = ["CUT_OFF", "Evidence", "Meaning", "PictureRecord", "Seen", "Verdict", "evaluate"]

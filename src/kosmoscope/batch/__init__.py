"""Batches: many pictures in, a folder of results out, killed and resumed at will.

`find_pictures` says what is to be described, `Task` what is asked, `run_batch` does it and
`read_results` reads it back. The format of the output folder is in docs/batch.md.
"""

from kosmoscope.batch.pipeline import BATCH_SIZE, PictureDone, Sink, describe_pictures
from kosmoscope.batch.results import Result, read_results
from kosmoscope.batch.runner import Summary, run_batch
from kosmoscope.batch.sources import Source, find_pictures, watch_pictures
from kosmoscope.batch.store_sink import Progress
from kosmoscope.batch.tasks import Task
from kosmoscope.errors import FolderBusyError, FolderMismatchError, OutputError

__all__ = [
    "BATCH_SIZE",
    "FolderBusyError",
    "FolderMismatchError",
    "OutputError",
    "PictureDone",
    "Progress",
    "Result",
    "Sink",
    "Source",
    "Summary",
    "Task",
    "describe_pictures",
    "find_pictures",
    "read_results",
    "run_batch",
    "watch_pictures",
]

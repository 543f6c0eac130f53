"""Every error that kosmoscope raises for its users.

The tree::

    KosmoscopeError
    +-- InputError (ValueError)        what the caller handed in cannot be used
    |   +-- ImageError                 a picture; `.source` names it
    |   |   +-- ImageNotFoundError     no such file, or it cannot be read
    |   |   +-- EmptyImageError        zero bytes
    |   |   +-- UnsupportedImageError  a kind of file that is not read
    |   |   +-- CorruptImageError      truncated, bad checksum, nonsense dimensions
    |   |   +-- ImageTooLargeError     over the pixel or byte limit
    |   |   +-- StackError             an image stack: slices missing, uneven, of several kinds
    |   +-- PromptError                a prompt, a phrase or a question
    |   +-- BoxError                   a box: not finite, out of range, inverted, empty
    |   +-- OptionError                an option out of its range
    +-- ModelError                     a model cannot be found, read or run
    |   +-- ModelNotFoundError         no such name or folder
    |   +-- CheckpointError            a file of a checkpoint is wrong; the message names it
    |   |   +-- TokenizerError         tokenizer.json is wrong or disagrees with config.json
    |   +-- DownloadError              the hub could not be reached, or a transfer broke
    |       +-- OfflineError           not in the cache, and offline mode is on
    +-- IndexDamagedError              the index of a folder of results is damaged
    +-- OutputError                    a result cannot be written
        +-- FolderBusyError            another process writes into the output folder
        +-- FolderMismatchError        the folder holds results of another model, options or tasks

Messages are one line: what is wrong, in which file, and what would be right. The command line
prints them as they are; a server maps each class to a status in one table of its own.
"""

from __future__ import annotations


class KosmoscopeError(Exception):
    """Base class of all errors raised on purpose."""


class KosmoscopeWarning(UserWarning):
    """Something works, and otherwise than expected. The command line shows it as a note."""


class InputError(KosmoscopeError, ValueError):
    """Something that the caller handed in cannot be used."""


class ImageError(InputError):
    """A picture cannot be used. `source` names it (a path, or '<bytes>' and the like)."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source
        self.problem = problem

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.source, self.problem)


class ImageNotFoundError(ImageError):
    """There is no such file, or it cannot be opened."""


class EmptyImageError(ImageError):
    """The file has zero bytes."""


class UnsupportedImageError(ImageError):
    """A kind of file that is not read (PDF, SVG, video ...)."""


class CorruptImageError(ImageError):
    """The file claims to be a picture but cannot be decoded."""


class ImageTooLargeError(ImageError):
    """The picture is over the pixel limit or the file over the byte limit."""


class StackError(ImageError):
    """An image stack cannot be used: slices are missing, doubled, uneven, tilted, of mixed sizes,
    compressed without a decoder, in colour, or of several volumes of which none was chosen."""


class PromptError(InputError):
    """A prompt, phrase or question is empty, too long or contains markup."""


class BoxError(InputError):
    """A box is not finite, out of range, inverted or empty."""


class OptionError(InputError):
    """An option is out of its range, or two options exclude each other."""


class ModelError(KosmoscopeError):
    """A model cannot be found, read or run."""


class ModelNotFoundError(ModelError):
    """There is no model of that name and no such folder."""


class CheckpointError(ModelError):
    """A file of a checkpoint is missing, damaged or not what the config says."""


class TokenizerError(CheckpointError):
    """tokenizer.json is damaged, of another kind, or disagrees with config.json."""


class DownloadError(ModelError):
    """The hub could not be reached, refused, or the transfer broke off."""


class OfflineError(DownloadError):
    """The files are not in the cache and offline mode is on."""


class IndexDamagedError(KosmoscopeError):
    """The index of a folder of results is damaged, or of another version."""


class OutputError(KosmoscopeError):
    """A result cannot be written: no such folder, no permission, the disk is full."""


class FolderBusyError(OutputError):
    """Another process writes into the output folder."""


class FolderMismatchError(OutputError):
    """The output folder holds results that were asked for in another way."""

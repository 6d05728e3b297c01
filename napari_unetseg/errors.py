"""Everything that can go wrong, as one tree.

Each leaf also inherits the builtin that a caller would expect, so that
``except FileNotFoundError`` works without knowing this package::

    UnetsegError
    ├── VolumeError (ValueError)            the input is no usable volume
    │   ├── VolumeNotFoundError (FileNotFoundError)
    │   ├── UnsupportedFormatError          RGB, OME-Zarr 0.6, unknown suffix
    │   ├── MetadataError                   scales, axes, levels that contradict
    │   ├── MissingChunkError (OSError)     a chunk that should be there is not
    │   └── VoxelValueError                 NaN or infinite voxels
    ├── LabelsError (ValueError)            labels that are no integers, wrong shape
    │   ├── TakenBackError                  a stroke that is not in effect any more
    │   └── DamagedOverlayError             a chunk that cannot be decoded
    ├── NothingHereError (ValueError)       no object at the click
    ├── MissingMapError (LookupError)       a prediction without the map asked for
    ├── EditError (ValueError)              objects that cannot be changed as asked
    ├── ProjectError (ValueError)
    │   ├── ProjectNotFoundError (FileNotFoundError)
    │   ├── NewerProjectError               written by a later version
    │   ├── DamagedJournalError             the journal cannot be read, or not wholly
    │   ├── VolumeChangedError              the volume is not the one that was annotated
    │   ├── ReadOnlyError (PermissionError) folder or session that must not be written
    │   └── ProjectLockedError (ReadOnlyError)  somebody else has it open
    ├── DiskFullError (OSError)
    ├── ModelError (ValueError)
    │   ├── ModelNotFoundError (FileNotFoundError)
    │   ├── ModelMismatchError              wrong channels, classes or raters
    │   ├── CorruptModelError               weights and card do not belong together
    │   └── UnsafeCheckpointError           pickled: never loaded
    ├── RunMismatchError (ValueError)       a run log of other inputs: no resume
    ├── ClusterError (RuntimeError)         no scheduler, or no worker
    │   └── WorkersDiedError                every worker that tried a block has died
    ├── BackendError (RuntimeError)         what should run a network is not there
    ├── MemoryBudgetError (MemoryError)     computed before starting
    ├── TrainingError (ValueError)          nothing to learn from
    ├── ExportError (ValueError)
    ├── JobFailedError (RuntimeError)       a child process ended badly
    └── Cancelled                           asked to stop; not a fault
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class UnetsegError(Exception):
    """Base of all errors that a person may read.

    Parameters
    ----------
    what
        What is wrong, as the beginning of a sentence without a full stop.
    got, expected
        The value that was found and the one that would have been right.
    do
        What the reader can do about it, as a sentence of its own.
    """

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        expected: object = None,
        do: str | None = None,
    ) -> None:
        self.what, self.got, self.expected, self.do = what, got, expected, do
        super().__init__(what)

    def __str__(self) -> str:
        text = self.what.rstrip(".")
        if self.got is not None:
            text += f": got {self.got}"
        if self.expected is not None:
            text += f", expected {self.expected}"
        return f"{text}. {self.do}" if self.do else f"{text}."

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between processes; OSError's own __reduce__ would lose fields.
        fields = {"got": self.got, "expected": self.expected, "do": self.do}
        return _rebuild, (type(self), self.what, fields)


def _rebuild(
    kind: type[UnetsegError], what: str, fields: dict[str, Any]
) -> UnetsegError:
    return kind(what, **fields)


class VolumeError(UnetsegError, ValueError):
    """The input is no usable volume."""


class VolumeNotFoundError(VolumeError, FileNotFoundError):
    """There is nothing at this path or address."""


class UnsupportedFormatError(VolumeError):
    """A format, version or layout that is not read."""


class MetadataError(VolumeError):
    """The metadata contradicts itself or the arrays."""


class MissingChunkError(VolumeError, OSError):
    """A chunk that should be on disk is not."""


class VoxelValueError(VolumeError):
    """The voxels hold NaN or infinite values."""


class LabelsError(UnetsegError, ValueError):
    """These labels cannot be used as labels."""


class TakenBackError(LabelsError):
    """The stroke is undone or reverted already, or not undone."""


class DamagedOverlayError(LabelsError):
    """A chunk of an overlay cannot be decoded; the journal has it all."""


class NothingHereError(UnetsegError, ValueError):
    """There is no object at the click."""


class MissingMapError(UnetsegError, LookupError):
    """The prediction has no map of this name."""


class EditError(UnetsegError, ValueError):
    """The objects cannot be changed as asked."""


class ProjectError(UnetsegError, ValueError):
    """The project folder cannot be used as it is."""


class ProjectNotFoundError(ProjectError, FileNotFoundError):
    """There is no project at this path."""


class NewerProjectError(ProjectError):
    """A later version of the program wrote this project."""


class DamagedJournalError(ProjectError):
    """The file of the journal is damaged; what can be read of it can be restored."""


class VolumeChangedError(ProjectError):
    """The volume is not the one that the project was made for."""


class ReadOnlyError(ProjectError, PermissionError):
    """Something would have to be written where writing is not possible."""


class ProjectLockedError(ReadOnlyError):
    """Another program instance has this project open."""


class DiskFullError(UnetsegError, OSError):
    """The disk or the quota is full."""


class ModelError(UnetsegError, ValueError):
    """The model cannot be used."""


class ModelNotFoundError(ModelError, FileNotFoundError):
    """There is no model version of this name."""


class ModelMismatchError(ModelError):
    """The model does not fit the volume or the project."""


class CorruptModelError(ModelError):
    """Weights and card do not belong together, or are damaged."""


class UnsafeCheckpointError(ModelError):
    """A pickled checkpoint: it could run code, so it is never loaded."""


class RunMismatchError(UnetsegError, ValueError):
    """The log belongs to a run with other inputs."""


class ClusterError(UnetsegError, RuntimeError):
    """The cluster is not there, or was lost."""


class WorkersDiedError(ClusterError):
    """Every worker that tried a block has died."""


class BackendError(UnetsegError, RuntimeError):
    """What should run a network is not there."""


class MemoryBudgetError(UnetsegError, MemoryError):
    """The smallest possible block needs more memory than is allowed."""


class TrainingError(UnetsegError, ValueError):
    """There is nothing to learn from, or learning went wrong."""


class ExportError(UnetsegError, ValueError):
    """The labels cannot be written as asked."""


class JobFailedError(UnetsegError, RuntimeError):
    """A child process ended without a result."""


class Cancelled(UnetsegError):
    """Somebody asked to stop."""


_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def explained_writing(what: str, path: Path | str) -> Iterator[None]:
    """Turn the operating system's write failures into sentences.

    Parameters
    ----------
    what
        What was being written, e.g. ``"the stroke"``.
    path
        Where it was being written.

    Raises
    ------
    DiskFullError, ReadOnlyError
        Instead of the plain ``OSError``; other errors pass unchanged.
    """
    try:
        yield
    except UnetsegError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"The disk is full, {what} could not be written to {path}",
                do="Free some space and try again; nothing written before is lost.",
            ) from error
        if error.errno in _READ_ONLY:
            raise ReadOnlyError(
                f"{what[:1].upper()}{what[1:]} could not be written, "
                f"{path} is read-only",
                do="Give yourself write access, or work in another folder.",
            ) from error
        raise

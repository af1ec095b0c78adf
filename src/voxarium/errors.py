"""The exception tree: every error has a `code` for programs and a `fix` for people.

Errors are grouped by what a caller would do about them, not by where they arise. The fix is attached as a note,
so a plain traceback shows it too.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ChecksumError",
    "Code",
    "ConflictError",
    "ExistsError",
    "FormatError",
    "InputError",
    "InterruptedJobError",
    "NotFoundError",
    "ReleaseFrozenError",
    "StoreError",
    "UnsupportedError",
    "VoxariumError",
]


class Code(StrEnum):
    """Stable identifiers of what went wrong. Append only: scripts match on them."""

    # input
    ARGUMENT_INVALID = "argument-invalid"
    AXES_UNKNOWN = "axes-unknown"
    AXES_MISMATCH = "axes-mismatch"
    BOX_OUT_OF_BOUNDS = "box-out-of-bounds"
    CHUNK_MISALIGNED = "chunk-misaligned"
    DTYPE_RANGE = "dtype-range"
    KEY_UNSAFE = "key-unsafe"
    SLICE_MISMATCH = "slice-mismatch"
    TARGET_IN_SOURCE = "target-in-source"
    TRANSFORM_INVALID = "transform-invalid"
    UNIT_UNKNOWN = "unit-unknown"
    URI_INVALID = "uri-invalid"
    VOXEL_SIZE_UNKNOWN = "voxel-size-unknown"
    # not found, exists
    PATH_MISSING = "path-missing"
    METADATA_MISSING = "metadata-missing"
    FOLDER_EMPTY = "folder-empty"
    FORMAT_UNRECOGNISED = "format-unrecognised"
    LEVEL_MISSING = "level-missing"
    VERSION_MISSING = "version-missing"
    TARGET_EXISTS = "target-exists"
    # format
    METADATA_INVALID = "metadata-invalid"
    CHUNK_CORRUPT = "chunk-corrupt"
    CHUNK_TRUNCATED = "chunk-truncated"
    CHECKSUM_MISMATCH = "checksum-mismatch"
    SHARD_INDEX_CORRUPT = "shard-index-corrupt"
    FILE_TRUNCATED = "file-truncated"
    SIZE_IMPLAUSIBLE = "size-implausible"
    # unsupported
    CODEC_UNKNOWN = "codec-unknown"
    CODEC_NOT_INSTALLED = "codec-not-installed"
    EXTRA_NOT_INSTALLED = "extra-not-installed"
    FEATURE_UNSUPPORTED = "feature-unsupported"
    DTYPE_UNSUPPORTED = "dtype-unsupported"
    NOT_INVERTIBLE = "not-invertible"
    STORE_READ_ONLY = "store-read-only"
    LOSS_DECLARED = "loss-declared"
    # stores
    STORE_UNREADABLE = "store-unreadable"
    STORE_UNWRITABLE = "store-unwritable"
    STORE_FULL = "store-full"
    STORE_PERMISSION = "store-permission"
    # jobs
    PLAN_CHANGED = "plan-changed"
    JOB_INTERRUPTED = "job-interrupted"
    IMAGE_INCOMPLETE = "image-incomplete"
    NOTHING_TO_RESUME = "nothing-to-resume"
    # archives
    LOG_MISSING = "log-missing"
    LOG_BUSY = "log-busy"
    KEY_MISSING = "key-missing"
    NAME_REFUSED = "name-refused"
    RELEASE_MISSING = "release-missing"
    RELEASE_WITHDRAWN = "release-withdrawn"
    RELEASE_REFUSED = "release-refused"
    RELEASE_FROZEN = "release-frozen"
    RELEASE_BUSY = "release-busy"
    DATASET_BUSY = "dataset-busy"


class VoxariumError(Exception):
    """Base of every error this package raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong and where.
    code : Code
        Stable identifier for programs.
    fix : str
        What the reader should do next.
    """

    def __init__(self, message: str, *, code: Code, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fix = fix
        self.add_note(f"fix: {fix}")

    def __str__(self) -> str:
        # KeyError shows repr(args[0]); a sentence reads better.
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling (process pools, Dask).
        return (_rebuild, (type(self), self.message, self.code, self.fix))


def _rebuild(cls: type[VoxariumError], message: str, code: Code, fix: str) -> VoxariumError:
    return cls(message, code=code, fix=fix)


class NotFoundError(VoxariumError, KeyError):
    """Nothing is stored there."""


class ExistsError(VoxariumError):
    """Something is stored there already and was not to be replaced."""


class InputError(VoxariumError, ValueError):
    """An argument cannot be used as given."""


class FormatError(VoxariumError):
    """Stored bytes or metadata do not follow their specification."""


class ChecksumError(FormatError):
    """Stored bytes disagree with their checksum."""


class UnsupportedError(VoxariumError):
    """The thing is valid, but this installation or this driver cannot do it."""


class StoreError(VoxariumError):
    """A store could not be reached, read or written. Never means "absent"."""


class ConflictError(VoxariumError):
    """The state found differs from the state expected."""


class ReleaseFrozenError(VoxariumError):
    """A published release cannot change."""


class InterruptedJobError(VoxariumError):
    """A job was stopped; what it finished is kept and it can be resumed."""

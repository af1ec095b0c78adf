"""Copies of a part: some members of a dataset, some levels, a region."""

from __future__ import annotations

from voxarium.archive.copying.options import CopyOptions
from voxarium.archive.copying.sources import CopySource
from voxarium.errors import Code, UnsupportedError

__all__ = ["narrow"]


def narrow(source: CopySource, options: CopyOptions) -> None:
    """Leave out what was not asked for, and let documents say so."""
    if options.partial:
        raise UnsupportedError("a part", code=Code.FEATURE_UNSUPPORTED, fix="copy all")

"""Checks that need to know how many voxels have each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from voxarium.model.image import ArrayInfo
from voxarium.model.rules import Finding

__all__ = ["HistogramCheckDriver"]


@runtime_checkable
class HistogramCheckDriver(Protocol):
    """A driver of checks with rules about the values of an array, all of which have to be read for them."""

    def wants_histogram(self, info: ArrayInfo, /) -> bool:
        """Tell whether an array states anything that its values could contradict."""

    def check_histogram(self, path: str, info: ArrayInfo, histogram: Mapping[int, int], /) -> Sequence[Finding]:
        """Return findings about an array, given the number of its voxels by value, those in absent chunks too.

        Parameters
        ----------
        path : str
            Of the array in the store.
        """

"""Who has rules about how many voxels of an array have which value."""

from __future__ import annotations

from voxarium.core.registry import check_drivers
from voxarium.model.histogram_checks import HistogramCheckDriver
from voxarium.model.image import ArrayInfo

__all__ = ["histogram_drivers"]


def histogram_drivers(info: ArrayInfo) -> tuple[HistogramCheckDriver, ...]:
    """Return the drivers of checks with rules about the values of an array of whole numbers; none for most arrays."""
    if info.dtype.kind not in "iu":
        return ()
    asked = (driver for driver in check_drivers() if isinstance(driver, HistogramCheckDriver))
    return tuple(driver for driver in asked if driver.wants_histogram(info))

"""Looking at an opened image as at any other, whatever its format."""

from __future__ import annotations

from voxarium.core.image import Image
from voxarium.model.checking import Sheet
from voxarium.validation import publishing, quality
from voxarium.validation.collecting import Collector
from voxarium.validation.data import check_alignment

__all__ = ["examine"]


def examine(found: Collector, image: Image) -> None:
    """Check an image against the rules that hold for any: those that no voxel needs to be read for."""
    sheet = Sheet(version="", rules={**quality.RULES, **publishing.RULES}, key=image.path)
    quality.check_quality(sheet, image)
    publishing.check_lossless(sheet, image)
    found.extend(sheet.findings)
    found.extend(check_alignment(image))

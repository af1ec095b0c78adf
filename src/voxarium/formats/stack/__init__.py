"""Images of two dimensions in files of their own: single ones, folders of slices, and files named by a pattern."""

from voxarium.formats.stack.folders import StackDriver
from voxarium.formats.stack.patterns import FilePatternCollectionDriver, FilePatternDriver

__all__ = ["FilePatternCollectionDriver", "FilePatternDriver", "StackDriver"]

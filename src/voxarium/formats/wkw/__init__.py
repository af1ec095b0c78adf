"""WKW arrays of WEBKNOSSOS."""

from __future__ import annotations

from voxarium.formats.wkw.array import WkwDriver

__all__ = ["WkwDriver"]

"""The logical digest of anything that can be opened, and where two images differ."""

from voxarium.core.digesting.blocks import BlockDigester
from voxarium.core.digesting.comparing import Comparison, compare
from voxarium.core.digesting.running import DigestProgress, logical_digest, open_digest
from voxarium.core.digesting.updating import updated_digest

__all__ = [
    "BlockDigester",
    "Comparison",
    "DigestProgress",
    "compare",
    "logical_digest",
    "open_digest",
    "updated_digest",
]

"""Brotli. https://datatracker.ietf.org/doc/html/rfc7932

Only read here: CloudFiles packs chunks on local disks this way when asked.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from typing_extensions import Buffer

from voxarium.errors import Code, UnsupportedError
from voxarium.model.codec import CodecKind, SizeBounds, check_size, corrupt, truncated, wrong_size

__all__ = ["Brotli"]

_STEP: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Brotli:
    """Brotli at a quality."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    key: ClassVar[Hashable] = "br"
    quality: int = 5

    @property
    def text(self) -> str:
        """Description for people."""
        return f"br:{self.quality}"

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return 1, given[1] + given[1] // 4 + 65536

    def encode(self, data: Buffer) -> bytes:
        """Compress."""
        packed: bytes = _brotli().compress(bytes(data), quality=self.quality)
        return packed

    def decode(self, data: Buffer, size: SizeBounds, _out: object = None) -> bytes:
        """Decompress no more than `size` allows, whatever the payload holds."""
        brotli = _brotli()
        unpacker = brotli.Decompressor()
        parts: list[bytes] = []
        found = 0
        rest = bytes(data)
        try:
            while not unpacker.is_finished():
                part = unpacker.process(rest, output_buffer_limit=_STEP)
                if not part and not rest and unpacker.can_accept_more_data():
                    raise truncated(f"brotli payload ends early, after {found} bytes")
                rest = b""
                parts.append(part)
                found += len(part)
                if found > size[1]:
                    raise wrong_size("brotli payload", found, size)
        except brotli.error as error:
            raise corrupt(f"brotli payload cannot be decoded: {error}") from error
        check_size("brotli payload", found, size)
        return b"".join(parts)


def _brotli() -> Any:  # Any: the module has no types
    try:
        import brotli

        if not hasattr(brotli.Decompressor, "can_accept_more_data"):
            raise ImportError("older than 1.2")
    except ImportError as error:
        raise UnsupportedError(
            "chunks named .br are packed with brotli, which this installation cannot read",
            code=Code.CODEC_NOT_INSTALLED,
            fix="pip install 'voxarium[brotli]'",
        ) from error
    return brotli

"""Checksums around a payload: CRC-32C (Zarr v3), and those of numcodecs.

https://zarr-specs.readthedocs.io/en/latest/v3/codecs/crc32c/index.html
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import ChecksumError, Code
from voxarium.model.codec import CodecKind, SizeBounds, as_bytes_array, truncated
from voxarium.model.fields import Fields

__all__ = ["Adler32", "Crc32", "Crc32c", "Fletcher32", "JenkinsLookup3"]

Location = Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class _Checksum(ABC):
    """Four bytes, little-endian, before or behind the payload."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    text: ClassVar[str]
    usual: ClassVar[Location] = "end"
    location: Location = "end"

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a configuration (Zarr v3 has no settings, numcodecs a location)."""
        location = fields.choice("location", ("start", "end"), cls.usual)
        fields.done()
        return cls("start" if location == "start" else "end")

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return self.text, self.location

    @abstractmethod
    def checksum(self, data: NDArray[np.uint8]) -> int:
        """Return the checksum of bytes."""

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size with the checksum."""
        return given[0] + 4, given[1] + 4

    def encode(self, data: Buffer) -> bytes:
        """Return the payload with its checksum."""
        flat = as_bytes_array(data)
        mark = self.checksum(flat).to_bytes(4, "little")
        return b"".join((mark, flat.data) if self.location == "start" else (flat.data, mark))

    def decode(self, data: Buffer, _size: SizeBounds, _out: object = None) -> memoryview:
        """Return a view of the payload.

        Raises
        ------
        ChecksumError
            If payload and checksum disagree.
        """
        flat = as_bytes_array(data)
        if flat.size < 4:
            raise truncated(f"payload of {flat.size} bytes has no {self.text} checksum")
        mark, rest = (flat[:4], flat[4:]) if self.location == "start" else (flat[-4:], flat[:-4])
        stored, computed = int.from_bytes(mark.tobytes(), "little"), self.checksum(rest)
        if stored != computed:
            raise ChecksumError(
                f"{self.text} checksum of {rest.size} bytes is {computed:08x}, stored is {stored:08x}",
                code=Code.CHECKSUM_MISMATCH,
                fix="the stored bytes are damaged; copy the object again from its source",
            )
        return rest.data


class Crc32c(_Checksum):
    """CRC-32C (Castagnoli)."""

    __slots__ = ()
    text: ClassVar[str] = "crc32c"

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """Return the checksum of bytes."""
        value: int = google_crc32c.value(data)
        return value


class Crc32(_Checksum):
    """CRC-32 as in zlib."""

    __slots__ = ()
    text: ClassVar[str] = "crc32"
    usual: ClassVar[Location] = "start"

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """Return the checksum of bytes."""
        return zlib.crc32(data.data)


class Adler32(_Checksum):
    """Adler-32 as in zlib."""

    __slots__ = ()
    text: ClassVar[str] = "adler32"
    usual: ClassVar[Location] = "start"

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """Return the checksum of bytes."""
        return zlib.adler32(data.data)


class Fletcher32(_Checksum):
    """Fletcher-32 as in HDF5; always behind the payload."""

    __slots__ = ()
    text: ClassVar[str] = "fletcher32"

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a numcodecs configuration, which has no settings."""
        fields.done()
        return cls()

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """Return the checksum of bytes."""
        from numcodecs.fletcher32 import Fletcher32 as Reference

        if data.size == 0:
            return 0
        # Its folded sums distinguish 0 from 65535, which a plain modulus would not.
        packed: bytes = Reference().encode(data)
        return int.from_bytes(packed[-4:], "little")


@dataclass(frozen=True, slots=True)
class JenkinsLookup3(_Checksum):
    """Bob Jenkins' lookup3 as in HDF5; always behind the payload."""

    text: ClassVar[str] = "jenkins_lookup3"
    initval: int = 0

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a numcodecs configuration."""
        initval = fields.integer("initval", 0, 2**32 - 1, 0)
        if fields.raw("prefix", None) is not None:
            fields.wrong("prefix", "null")
        fields.done()
        return cls("end", initval)

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return self.text, self.initval

    def checksum(self, data: NDArray[np.uint8]) -> int:
        """Return the checksum of bytes."""
        from numcodecs.jenkins import jenkins_lookup3

        value: int = jenkins_lookup3(data, self.initval)
        return value

"""The three files ITK keeps transforms in: text, HDF5, and MATLAB 4."""

from __future__ import annotations

import io
import math
import re
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, UnsupportedError
from voxarium.spec.itk_transform.parameters import Part, malformed

__all__ = [
    "HDF5_MAGIC",
    "TEXT_MAGIC",
    "dump_hdf5",
    "dump_text",
    "is_matlab",
    "parse_hdf5",
    "parse_matlab",
    "parse_text",
]

TEXT_MAGIC: Final = b"#Insight Transform File"
HDF5_MAGIC: Final = b"\x89HDF\r\n\x1a\n"
_MOST_TEXT: Final = 64 * 2**20
_MOST_NUMBERS: Final = 2**28
_MATLAB_NAME: Final = re.compile(rb"[A-Za-z0-9]+_(?:double|float)_[1-9]_[1-9]\0")
_MATLAB_TYPES: Final = {0: "<f8", 10: "<f4", 1000: ">f8", 1010: ">f4"}
_GROUP: Final = "TransformGroup"


# -- text
def parse_text(raw: bytes, where: str) -> list[Part]:
    """Return the transforms of a text file."""
    if len(raw) > _MOST_TEXT:
        malformed(where, f"has {len(raw)} bytes, more than a text of parameters ever needs")
    parts: list[Part] = []
    for line in raw.decode("latin-1").splitlines():
        key, mark, value = line.partition(":")
        if line.startswith("#") or not mark:
            if line.strip() and not line.startswith("#"):
                malformed(where, f"has a line without a colon: {line[:60]!r}")
            continue
        key = key.strip()
        if key == "Transform":
            parts.append(Part(value.strip(), np.zeros(0), np.zeros(0)))
        elif key in ("Parameters", "FixedParameters"):
            if not parts:
                malformed(where, "has parameters before any transform")
            last = parts[-1]
            numbers = _numbers(value, where)
            parts[-1] = (
                Part(last.kind, numbers, last.fixed)
                if key == "Parameters"
                else Part(last.kind, last.parameters, numbers)
            )
        else:
            malformed(where, f"has the unknown key {key[:60]!r}")
    return parts


def _numbers(text: str, where: str) -> NDArray[np.float64]:
    try:
        return np.array([float(v) for v in text.split()], np.float64)
    except ValueError:
        malformed(where, f"has parameters that are no numbers: {text.strip()[:60]!r}")


def dump_text(parts: list[Part]) -> bytes:
    """Return the text of transforms; numbers keep all their digits."""
    lines = ["#Insight Transform File V1.0"]
    for i, part in enumerate(parts):
        if len(part.parameters) > 1000:
            raise UnsupportedError(
                "a displacement field is not written as text",
                code=Code.FEATURE_UNSUPPORTED,
                fix="write a file that ends with .h5",
            )
        lines += [f"#Transform {i}", f"Transform: {part.kind}"]
        if not part.kind.startswith("Composite"):
            lines.append(f"Parameters: {_text(part.parameters)}".rstrip())
            lines.append(f"FixedParameters: {_text(part.fixed)}".rstrip())
    return ("\n".join(lines) + "\n").encode()


def _text(numbers: NDArray[Any]) -> str:
    return " ".join(repr(float(v)) for v in numbers)


# -- MATLAB 4, as ANTs writes it
def is_matlab(raw: bytes) -> bool:
    """Tell whether bytes look like a MATLAB 4 file with a transform."""
    return len(raw) > 20 and _MATLAB_NAME.match(raw, 20) is not None


def parse_matlab(raw: bytes, where: str) -> list[Part]:
    """Return the transforms of a MATLAB 4 file: variables come in pairs, parameters and ``fixed``."""
    parts: list[Part] = []
    at = 0
    while at < len(raw):
        if len(raw) - at < 20:
            malformed(where, "ends in the midst of a variable")
        little = struct.unpack_from("<i", raw, at)[0] in (0, 10)
        kind, rows, columns, imaginary, length = struct.unpack_from("<5i" if little else ">5i", raw, at)
        dtype = _MATLAB_TYPES.get(kind)
        if dtype is None or imaginary or not 0 < length <= 256 or rows < 0 or columns < 0:
            malformed(where, "has a variable that is no list of real numbers")
        count = rows * columns
        data = at + 20 + length
        size = np.dtype(dtype).itemsize * count
        if size > len(raw) - data:
            malformed(where, "ends in the midst of a variable")
        name = raw[at + 20 : data].rstrip(b"\0").decode("latin-1")
        numbers = np.frombuffer(raw, dtype, count, data).astype(np.float64)
        at = data + size
        if name == "fixed" and parts:
            parts[-1] = Part(parts[-1].kind, parts[-1].parameters, numbers)
        else:
            parts.append(Part(name, numbers, np.zeros(0)))
    return parts


# -- HDF5
def _h5py() -> Any:  # Any: an optional package
    try:
        import h5py
    except ImportError as error:
        raise UnsupportedError(
            "transforms in HDF5 need h5py, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[hdf5]'",
        ) from error
    return h5py


def parse_hdf5(raw: bytes, where: str) -> list[Part]:
    """Return the transforms of an HDF5 file."""
    h5py = _h5py()
    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            group = file[_GROUP]
            count = len(group)
            if count > 1000:
                malformed(where, f"holds {count} transforms")
            return [_member(group[str(i)], where) for i in range(count)]
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, UnicodeError) as error:
        malformed(where, f"cannot be read as transforms in HDF5: {error}")


def _member(group: Any, where: str) -> Part:  # Any: an h5py group
    kind = group["TransformType"]
    if math.prod(kind.shape) != 1:
        malformed(where, "has a transform without a type")
    text = kind[()] if kind.shape == () else kind[:].ravel()[0]
    name = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    parameters, fixed = (
        _dataset(group, (f"Transform{what}", f"Tranform{what}"), where)  # ITK 4 left out a letter
        for what in ("Parameters", "FixedParameters")
    )
    return Part(name, parameters, np.asarray(fixed, np.float64))


def _dataset(group: Any, names: tuple[str, ...], where: str) -> NDArray[Any]:
    for name in names:
        if name in group:
            found = group[name]
            if found.size is None or found.size > _MOST_NUMBERS or found.dtype.kind not in "iuf" or found.is_virtual:
                malformed(where, f"has {name} that are no list of numbers")
            if found.external:
                malformed(where, f"keeps {name} in another file")
            return np.asarray(found[()], found.dtype.newbyteorder("=")).ravel()
    return np.zeros(0)


def dump_hdf5(parts: list[Part]) -> bytes:
    """Return an HDF5 file of transforms."""
    h5py = _h5py()
    out = io.BytesIO()
    text = h5py.string_dtype("ascii")
    with h5py.File(out, "w", libver=("earliest", "v110")) as file:
        for name, value in (("ITKVersion", "5.0.0"), ("HDFVersion", h5py.version.hdf5_version)):
            file.create_dataset(name, data=np.array([value.encode()], object), dtype=text)
        group = file.create_group(_GROUP)
        for i, part in enumerate(parts):
            member = group.create_group(str(i))
            member.create_dataset("TransformType", data=np.array([part.kind.encode()], object), dtype=text)
            if not part.kind.startswith("Composite"):
                member.create_dataset("TransformFixedParameters", data=part.fixed)
                member.create_dataset("TransformParameters", data=np.asarray(part.parameters, np.float64))
    return out.getvalue()

"""Headers of the ``.dat`` files that Janelia's FIB-SEM microscopes write, versions 1 to 9.

Spec: https://github.com/clbarnes/jeiss-specs (tables of fields per version; there is no official document). The
header has 1024 bytes, big-endian. Behind it lie the voxels, row by row; those of several detectors alternate. Behind
the voxels, at ``FileLength``, the software appends a description of itself that nobody else can read.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.axes import Axis
from voxarium.model.transforms import Scale, Transform

__all__ = ["HEADER_BYTES", "MAGIC", "DatHeader", "check_tiles", "parse_header"]

HEADER_BYTES: Final = 1024
MAGIC: Final = (3555587570).to_bytes(4, "big")
_VERSIONS: Final = range(1, 10)
_MOST: Final = 1 << 20
_CHANNELS: Final = range(1, 5)
_TILE: Final = re.compile(r"_[0-9]-[0-9]{1,2}-[0-9]{1,2}\.dat\Z", re.IGNORECASE)  # a date has two digits first
_TEXT: Final = re.compile(r"S([0-9]+)\Z")

# Per group of fields: first and last version, then "name:type:place". Types are those of NumPy, S is padded text.
_FIELDS: Final = (
    (1, 9, "FileMagicNum:u4:0 FileVersion:u2:4 FileType:u2:6 SWdate:S10:8 TimeStep:f8:24 ChanNum:u1:32 EightBit:u1:33"),
    (9, 9, "Restart:u1:68 StageMove:u1:69 FirstX:i4:70 FirstY:i4:74"),
    (1, 9, "XResolution:u4:100 YResolution:u4:104 ZeissScanSpeed:u1:111"),
    (1, 3, "Oversampling:u1:108 AIDelay:i2:109 ScanRate:f8:112 FramelineRampdownRatio:f8:120 Xmin:f8:128 Xmax:f8:136"),
    (4, 9, "Oversampling:u2:108 ScanRate:f4:112 FramelineRampdownRatio:f4:116 Xmin:f4:120 Xmax:f4:124"),
    (4, 9, "Detmin:f4:128 Detmax:f4:132 DecimatingFactor:u2:136"),
    (1, 9, "AI1:u1:151 AI2:u1:152 AI3:u1:153 AI4:u1:154 Notes:S200:180 DetA:S10:380 DetB:S18:390"),
    (9, 9, "SampleID:S25:155"),
    (1, 2, "DetC:S20:700 DetD:S20:720 Mag:f8:408 PixelSize:f8:416 WD:f8:424 EHT:f8:432 SEMApr:u1:440"),
    (1, 2, "HighCurrent:u1:441 SEMCurr:f8:448 SEMRot:f8:456 ChamVac:f8:464 GunVac:f8:472 SEMStiX:f8:480"),
    (1, 2, "SEMStiY:f8:488 SEMAlnX:f8:496 SEMAlnY:f8:504 StageX:f8:512 StageY:f8:520 StageZ:f8:528 StageT:f8:536"),
    (1, 2, "StageR:f8:544 StageM:f8:552 BrightnessA:f8:560 ContrastA:f8:568 BrightnessB:f8:576 ContrastB:f8:584"),
    (1, 2, "FIBFocus:f8:608 FIBProb:u1:616 FIBCurr:f8:624 FIBRot:f8:632 FIBAlnX:f8:640 FIBAlnY:f8:648"),
    (1, 2, "FIBStiX:f8:656 FIBStiY:f8:664 FIBShiftX:f8:672 FIBShiftY:f8:680"),
    (3, 9, "DetC:S20:410 DetD:S20:430 Mag:f4:460 PixelSize:f4:464 WD:f4:468 EHT:f4:472 SEMApr:u1:480"),
    (3, 9, "HighCurrent:u1:481 SEMCurr:f4:490 SEMRot:f4:494 ChamVac:f4:498 GunVac:f4:502 SEMShiftX:f4:510"),
    (3, 9, "SEMShiftY:f4:514 SEMStiX:f4:518 SEMStiY:f4:522 SEMAlnX:f4:526 SEMAlnY:f4:530 StageX:f4:534"),
    (3, 9, "StageY:f4:538 StageZ:f4:542 StageT:f4:546 StageR:f4:550 StageM:f4:554 BrightnessA:f4:560"),
    (3, 9, "ContrastA:f4:564 BrightnessB:f4:568 ContrastB:f4:572 FIBFocus:f4:604 FIBProb:u1:608 FIBCurr:f4:620"),
    (3, 9, "FIBRot:f4:624 FIBAlnX:f4:628 FIBAlnY:f4:632 FIBStiX:f4:636 FIBStiY:f4:640 FIBShiftX:f4:644"),
    (3, 9, "FIBShiftY:f4:648"),
    (1, 9, "Mode:u1:600 FileLength:i8:1000"),
    (5, 9, "MillingXResolution:u4:652 MillingYResolution:u4:656 MillingXSize:f4:660 MillingYSize:f4:664"),
    (5, 9, "MillingULAng:f4:668 MillingURAng:f4:672 MillingLineTime:f4:676 FIBFOV:f4:680 MillingLinesPerImage:u2:684"),
    (5, 9, "MillingPIDOn:u1:686 MillingPIDMeasured:u1:689 MillingPIDTarget:f4:690 MillingPIDTargetSlope:f4:694"),
    (5, 9, "MillingPIDP:f4:698 MillingPIDI:f4:702 MillingPIDD:f4:706 MachineID:S30:800"),
    (5, 8, "SEMSpecimenI:f4:980"),
    (6, 9, "Temperature:f4:850 FaradayCupI:f4:854 FIBSpecimenI:f4:858 BeamDump1I:f4:862 MillingYVoltage:f4:870"),
    (6, 9, "FocusIndex:f4:874 FIBSliceNum:u4:878"),
    (6, 8, "SEMSpecimenICurrent:f4:866"),
    (9, 9, "SEMSpecimenI:f4:866"),
    (8, 9, "BeamDump2I:f4:882 MillingI:f4:886"),
)
_CODES: Final = {"u1": "B", "u2": "H", "u4": "I", "i2": "h", "i4": "i", "i8": "q", "f4": "f", "f8": "d"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatHeader:
    """What a header says.

    Parameters
    ----------
    version : int
        1 to 9.
    shape : tuple of int
        Rows and columns; with several detectors these as a last axis.
    dtype : numpy.dtype
        As stored: signed 16-bit, or unsigned 8-bit.
    detectors : tuple of str
        A name per channel; empty when unknown.
    pixel_size : float or None
        Nanometres, within the plane; the header does not say how thick a slice is.
    metadata : mapping
        Every field of the version.
    """

    version: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    detectors: tuple[str, ...]
    pixel_size: float | None
    metadata: Mapping[str, Any]  # Any: JSON

    @property
    def stop(self) -> int:
        """Byte behind the last voxel."""
        return HEADER_BYTES + math.prod(self.shape) * self.dtype.itemsize

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes of one slice."""
        unit = None if self.pixel_size is None else "nanometer"
        spatial = tuple(Axis(name=n, type="space", unit=unit) for n in "yx")
        channels = (Axis(name="c", type="channel", labels=self.detectors),)
        return spatial if len(self.shape) == 2 else spatial + channels

    @property
    def transform(self) -> Transform | None:
        """Voxel centre → world of one slice, where the header tells the size of a pixel."""
        if self.pixel_size is None:
            return None
        return Scale((self.pixel_size, self.pixel_size, *(1.0,) * (len(self.shape) - 2)))

    def agrees_with(self, other: DatHeader) -> bool:
        """Tell whether two slices can be in one stack."""
        return self.shape == other.shape and self.dtype == other.dtype

    def __str__(self) -> str:
        return f"{self.dtype.newbyteorder('=')} {self.shape}"


def parse_header(head: bytes, where: str) -> DatHeader:
    """Parse the first 1024 bytes of a file.

    Raises
    ------
    FormatError
        If they are no header of a version known, or state an impossible size.
    """
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        raise _invalid(f"{where} does not begin as a FIB-SEM .dat file")
    (version,) = struct.unpack_from(">H", head, 4)
    if version not in _VERSIONS:
        raise _invalid(f"{where} says it is version {version}; {_VERSIONS[0]} to {_VERSIONS[-1]} are known")
    metadata: dict[str, Any] = {name: _value(head, kind, at) for name, kind, at in _fields(version)}
    channels, eight = metadata["ChanNum"], metadata["EightBit"]
    if channels not in _CHANNELS:
        raise _invalid(f"{where} has {channels} channels; the microscope has four detectors")
    rows, columns = metadata["YResolution"], metadata["XResolution"]
    if not 0 < rows <= _MOST or not 0 < columns <= _MOST:
        raise _invalid(f"{where} claims {rows} x {columns} pixels")
    metadata["Scaling"] = _scaling(head, version, channels)
    size = metadata["PixelSize"]
    return DatHeader(
        version=version,
        shape=(rows, columns) if channels == 1 else (rows, columns, channels),
        dtype=np.dtype("u1" if eight == 1 else ">i2"),
        detectors=_detectors(metadata, channels),
        pixel_size=float(f"{size:.7g}") if isinstance(size, float) and 1e-12 < size < 1e6 else None,
        metadata=metadata,
    )


def check_tiles(names: Sequence[str], where: str) -> None:
    """Raise InputError when files are tiles that lie side by side, which are no slices of one stack.

    Examples
    --------
    >>> check_tiles(["M_21-05-20_0-0-0.dat", "M_21-05-21_0-0-0.dat"], "here")
    """
    tiles = {m[0] for name in names if (m := _TILE.search(name))}
    if len(tiles) > 1:
        raise InputError(
            f"{where} holds tiles that lie side by side: {', '.join(sorted(tiles)[:9])}",
            code=Code.SLICE_MISMATCH,
            fix=f"choose one tile with a glob, such as {where.rstrip('/')}/*{min(tiles)}",
        )


def _invalid(message: str) -> FormatError:
    return FormatError(message, code=Code.METADATA_INVALID, fix="copy the file again from the microscope's archive")


def _fields(version: int) -> Iterator[tuple[str, str, int]]:
    for first, last, group in _FIELDS:
        if first <= version <= last:
            for entry in group.split():
                name, kind, at = entry.split(":")
                yield name, kind, int(at)


def _value(head: bytes, kind: str, at: int) -> Any:  # Any: JSON
    text = _TEXT.match(kind)
    if text:
        return head[at : at + int(text[1])].split(b"\0")[0].decode("ascii", "replace").rstrip()
    (value,) = struct.unpack_from(">" + _CODES[kind], head, at)
    return _json(value)


def _json(value: float) -> Any:  # Any: JSON
    return value if isinstance(value, int) or math.isfinite(value) else repr(value)


def _scaling(head: bytes, version: int, channels: int) -> list[list[Any]]:  # Any: JSON
    """Return offset, gain, and two more factors per channel."""
    rows = channels if version < 7 else 2
    code = "d" if version == 1 else "f"
    rows = min(rows, 64 // (4 * struct.calcsize(code)))  # the field has 64 bytes, whatever the count of channels
    values = [_json(v) for v in struct.unpack_from(f">{rows * 4}{code}", head, 36)]
    return [values[i : i + 4] for i in range(0, len(values), 4)]


def _detectors(metadata: Mapping[str, Any], channels: int) -> tuple[str, ...]:
    """Return the names of the detectors whose inputs were on."""
    on = [i for i in range(4) if metadata[f"AI{i + 1}"]]
    names = tuple(str(metadata[f"Det{'ABCD'[i]}"]) for i in on)
    return names if len(names) == channels and all(names) else ()

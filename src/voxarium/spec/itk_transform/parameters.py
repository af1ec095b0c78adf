"""From parameters of ITK's transform classes to transforms and back.

ITK counts axes x, y, z and works in LPS millimetres. A transform maps points of the fixed (output) image to the moving
one. Matrix transforms have a centre: out = A (p − centre) + centre + translation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.anatomy import from_xyz, to_xyz
from voxarium.model.quaternions import rotation_of
from voxarium.model.transforms import Identity, Scale, Sequence, Transform, Translation
from voxarium.model.vector_field import ArrayField, VectorField
from voxarium.model.warps import Displacements

__all__ = ["COMPOSITE", "Part", "dump_parts", "malformed", "parse_parts"]

_Floats = NDArray[np.float64]

COMPOSITE: Final = "CompositeTransform"
_TYPE: Final = re.compile(r"([A-Za-z0-9]+)_(double|float)_([1-9])_([1-9])\Z")
_MOST_PARTS: Final = 1000
_MATRICES: Final = ("AffineTransform", "MatrixOffsetTransformBase", "Rigid3DTransform")
_AXES: Final = (2, 3)
_LARGEST: Final = 1e150


@dataclass(frozen=True, slots=True)
class Part:
    """One transform of a file, as it stands there."""

    kind: str
    parameters: NDArray[Any]  # Any: float32 or float64
    fixed: _Floats


def malformed(where: str, message: str) -> NoReturn:
    """Raise the error of a file that cannot be read."""
    raise FormatError(f"{where} {message}", code=Code.METADATA_INVALID, fix="write it again with ITK or SimpleITK")


def parse_parts(parts: list[Part], where: str) -> tuple[Transform, int, tuple[str, ...]]:
    """Return the transform of a file's parts, its number of axes, and notes.

    Raises
    ------
    FormatError
        If the parameters do not fit their types.
    UnsupportedError
        If a type is not known here.
    """
    if not 0 < len(parts) <= _MOST_PARTS:
        malformed(where, f"holds {len(parts)} transforms")
    head, ndim = _kind(parts[0].kind, where)
    if head != COMPOSITE:
        if len(parts) > 1:
            raise UnsupportedError(
                f"{where} holds {len(parts)} transforms, and no CompositeTransform that says how they are joined",
                code=Code.FEATURE_UNSUPPORTED,
                fix="split the file, or join them in a CompositeTransform",
            )
        transform, notes = _parse(parts[0], where, ndim)
        return transform, ndim, notes
    steps: list[Transform] = []
    told: list[str] = []
    for part in reversed(parts[1:]):  # the one added last is applied first
        inner, count = _kind(part.kind, where)
        if inner == COMPOSITE:
            malformed(where, "holds a composite transform in another one")
        if count != ndim:
            malformed(where, f"joins transforms of {ndim} and {count} axes")
        transform, notes = _parse(part, where, ndim)
        steps.append(transform)
        told += notes
    return (Sequence(tuple(steps)) if steps else Identity()), ndim, tuple(told)


def _kind(text: str, where: str) -> tuple[str, int]:
    match = _TYPE.match(text)
    if match is None or match[3] != match[4] or int(match[3]) not in _AXES:
        raise UnsupportedError(
            f"{where} holds a transform of type {text[:80]!r}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="use transforms between two or three axes",
        )
    return match[1], int(match[3])


def _parse(part: Part, where: str, ndim: int) -> tuple[Transform, tuple[str, ...]]:
    kind = _kind(part.kind, where)[0]
    if kind == "DisplacementFieldTransform":
        return _field(part, where, ndim), ()
    numbers = np.asarray(part.parameters, np.float64)
    if not (np.abs(numbers) < _LARGEST).all() or not (np.abs(part.fixed) < _LARGEST).all():
        malformed(where, f"has a {kind} with numbers that are not finite, or far too large")
    if kind == "IdentityTransform":
        return Identity(), ()
    try:
        if kind == "TranslationTransform":
            return Translation(tuple(_exactly(numbers, ndim, kind, where)[::-1].tolist())), ()
        return _centred(kind, numbers, part.fixed, where, ndim)
    except InputError as error:
        malformed(where, f"has a {kind} that cannot be: {error.message}")


def _exactly(numbers: _Floats, count: int, kind: str, where: str) -> _Floats:
    if len(numbers) != count:
        malformed(where, f"has a {kind} with {len(numbers)} parameters instead of {count}")
    return numbers


def _centred(kind: str, numbers: _Floats, fixed: _Floats, where: str, ndim: int) -> tuple[Transform, tuple[str, ...]]:
    """Return a transform by a matrix around a centre."""
    if kind == "ScaleTransform":
        linear, shift = np.diag(_exactly(numbers, ndim, kind, where)), np.zeros(ndim)
    elif kind in _MATRICES:
        _exactly(numbers, ndim * ndim + ndim, kind, where)
        linear, shift = numbers[: ndim * ndim].reshape(ndim, ndim), numbers[ndim * ndim :]
    elif (kind, ndim) in _ROTATIONS:
        count, make = _ROTATIONS[kind, ndim]
        linear, shift = make(_exactly(numbers, count, kind, where), bool(len(fixed) > ndim and fixed[ndim]))
    else:
        raise UnsupportedError(
            f"{where} holds a {kind}, which is not read",
            code=Code.FEATURE_UNSUPPORTED,
            fix="turn it into a displacement field, or into an AffineTransform",
        )
    centre = fixed[:ndim] if len(fixed) else np.zeros(ndim)
    if len(centre) != ndim:
        malformed(where, f"has a {kind} with {len(fixed)} fixed parameters instead of {ndim}")
    offset = shift + centre - linear @ centre
    notes = (f"the centre of the {kind} became part of its translation",) if centre.any() else ()
    matrix = np.column_stack([linear, offset])
    if kind == "ScaleTransform" and not centre.any():
        return Scale(tuple(numbers[::-1].tolist())), notes
    return from_xyz(matrix), notes


def _turn(axis: int, angle: float) -> _Floats:
    out = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[i, i] = out[j, j] = math.cos(angle)
    out[i, j], out[j, i] = -math.sin(angle), math.sin(angle)
    return out


def _euler(p: _Floats, zyx: bool) -> tuple[_Floats, _Floats]:
    x, y, z = (_turn(i, float(p[i])) for i in range(3))
    return (z @ y @ x if zyx else z @ x @ y), p[3:]


def _versor(p: _Floats) -> _Floats:
    square = float(p[:3] @ p[:3])
    if square > 1 + 1e-9:
        raise InputError(
            "its versor is longer than 1", code=Code.TRANSFORM_INVALID, fix="give the vector part of a unit quaternion"
        )
    return rotation_of((float(p[0]), float(p[1]), float(p[2]), math.sqrt(max(0.0, 1.0 - square))))


def _flat(angle: float) -> _Floats:
    return _turn(2, angle)[:2, :2]


_Make = Callable[[_Floats, bool], tuple[_Floats, _Floats]]
_ROTATIONS: Final[Mapping[tuple[str, int], tuple[int, _Make]]] = {
    ("Euler3DTransform", 3): (6, _euler),
    ("VersorTransform", 3): (3, lambda p, _: (_versor(p), np.zeros(3))),
    ("VersorRigid3DTransform", 3): (6, lambda p, _: (_versor(p), p[3:])),
    ("Similarity3DTransform", 3): (7, lambda p, _: (_versor(p) * p[6], p[3:6])),
    ("Euler2DTransform", 2): (3, lambda p, _: (_flat(float(p[0])), p[1:])),
    ("Rigid2DTransform", 2): (3, lambda p, _: (_flat(float(p[0])), p[1:])),
    ("Similarity2DTransform", 2): (4, lambda p, _: (_flat(float(p[1])) * p[0], p[2:])),
}


def _field(part: Part, where: str, ndim: int) -> Transform:
    """Return a displacement field: size, origin, spacing and direction are fixed, the vectors are parameters."""
    fixed = part.fixed
    if len(fixed) != 3 * ndim + ndim * ndim or not (np.abs(fixed) < _LARGEST).all():
        malformed(where, "has a displacement field without size, origin, spacing and direction")
    size = fixed[:ndim]
    if not ((size >= 1) & (size == np.round(size)) & (size < 2**31)).all() or math.prod(
        int(n) for n in size
    ) * ndim != len(part.parameters):
        malformed(where, f"has a displacement field of size {size.tolist()} with {len(part.parameters)} parameters")
    origin, spacing = fixed[ndim : 2 * ndim], fixed[2 * ndim : 3 * ndim]
    placed = np.column_stack([fixed[3 * ndim :].reshape(ndim, ndim) * spacing, origin])
    shape = tuple(int(n) for n in size[::-1])
    vectors = part.parameters.reshape(*shape, ndim)[..., ::-1]
    try:
        return Displacements(field=VectorField(ArrayField(vectors), from_xyz(placed).inverse()))
    except (InputError, UnsupportedError) as error:
        malformed(where, f"has a displacement field that cannot be: {error.message}")


# -- writing
def dump_parts(transform: Transform, ndim: int) -> list[Part]:
    """Return the parts of a file.

    Raises
    ------
    UnsupportedError
        If ITK has no class for a step, or not for so many axes.
    """
    if ndim not in _AXES:
        raise UnsupportedError(
            f"transforms of {ndim} axes are not written for ITK",
            code=Code.FEATURE_UNSUPPORTED,
            fix="write the part of two or three space axes",
        )
    if not isinstance(transform, Sequence):
        return [_part(transform, ndim)]
    steps = [_part(t, ndim) for t in transform.transforms]
    return [Part(f"{COMPOSITE}_double_{ndim}_{ndim}", np.zeros(0), np.zeros(0)), *reversed(steps)]


def _part(transform: Transform, ndim: int) -> Part:
    kind: str
    parameters: NDArray[Any]
    fixed = np.zeros(0)
    match transform:
        case Identity():
            kind, parameters = "IdentityTransform", np.zeros(0)
        case Translation(translation) if len(translation) == ndim:
            kind, parameters = "TranslationTransform", np.array(translation[::-1])
        case Scale(scale) if len(scale) == ndim:
            kind, parameters, fixed = "ScaleTransform", np.array(scale[::-1]), np.zeros(ndim)
        case Displacements() if transform.field is not None:
            kind, (parameters, fixed) = "DisplacementFieldTransform", _dump_field(transform, ndim)
        case _:
            matrix = transform.matrix(ndim)
            if matrix.shape != (ndim, ndim + 1):
                raise UnsupportedError(
                    f"a transform from {ndim} to {len(matrix)} axes has no class in ITK",
                    code=Code.FEATURE_UNSUPPORTED,
                    fix="write a transform that keeps the number of axes",
                )
            matrix = to_xyz(matrix)
            parameters = np.concatenate([matrix[:, :-1].ravel(), matrix[:, -1]])
            kind, fixed = "AffineTransform", np.zeros(ndim)
    return Part(f"{kind}_double_{ndim}_{ndim}", parameters, fixed)


def _dump_field(transform: Displacements, ndim: int) -> tuple[NDArray[Any], _Floats]:
    field = transform.field
    source = None if field is None else field.source
    if field is None or field.interpolation != "linear" or not isinstance(source, ArrayField) or field.ndim != ndim:
        raise UnsupportedError(
            "only linear displacement fields in memory are written for ITK",
            code=Code.FEATURE_UNSUPPORTED,
            fix="read the field into an ArrayField first",
        )
    placed = to_xyz(field.to_index.inverse().matrix(ndim))
    spacing = np.linalg.norm(placed[:, :-1], axis=0)
    direction = placed[:, :-1] / spacing
    if np.abs(direction.T @ direction - np.eye(ndim)).max() > 1e-6:
        raise UnsupportedError(
            "the grid of the field is sheared, which ITK cannot hold",
            code=Code.FEATURE_UNSUPPORTED,
            fix="resample the field onto a grid with right angles",
        )
    size = np.array(source.shape[::-1], np.float64)
    fixed = np.concatenate([size, placed[:, -1], spacing, direction.ravel()])
    return np.ascontiguousarray(source.vectors[..., ::-1], np.float64).ravel(), fixed

"""File names with placeholders: which plane of which image a file holds.

A pattern is a path whose parts in braces stand for what changes from file to file, as in
``{well}/f{field}_c{c}_z{z}.tif``. ``row``, ``column``, ``well`` (row and column, as in B03) and ``field`` say which
image a plane belongs to; ``t``, ``c`` and ``z`` where it is in that image; other names stand for any text, as ``*``
does. Nothing stands for a slash. A placeholder that occurs twice means the same text both times.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from voxarium.errors import Code, InputError
from voxarium.model.keys import checked_key, natural_key

__all__ = ["AXES", "Arrangement", "Group", "Pattern", "arrange", "parse_pattern"]

AXES: Final = ("t", "c", "z")
_MOST_PIECES: Final = 48
_MOST_OPEN: Final = 8  # of those that stand for any text
_LONGEST: Final = 1000
_SHOWN: Final = 3
_TOKEN: Final = re.compile(r"\{([^{}]*)\}|(\*+)|([{}?\[\]])")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ASK: Final = "write placeholders as in scan/{well}_{field}_{c}_{z}.tif"

_Kind = Literal["literal", "digits", "letters", "row", "well", "word", "text", "any"]
_KINDS: Final[Mapping[str, _Kind]] = {
    "row": "row", "column": "digits", "field": "digits", "well": "well", "t": "digits", "c": "word", "z": "digits",
}  # fmt: skip
_RUNS: Final = {
    "digits": re.compile(r"[0-9]+"),
    "letters": re.compile(r"[A-Za-z]+"),
    "word": re.compile(r"[A-Za-z0-9-]+"),
}
_WELL: Final = re.compile(r"([A-Za-z]+)([0-9]+)")
# What would be a matter of taste when one directly follows the other.
_UNCLEAR: Final = {
    "digits": {"digits", "word"}, "well": {"digits", "word"}, "letters": {"letters", "word", "row", "well"},
    "row": {"row", "word", "well"}, "word": {"digits", "word", "letters", "row", "well"},
    "text": {"text", "any"}, "any": {"text", "any"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Piece:
    """A literal text, or a placeholder of a name."""

    kind: _Kind
    text: str

    def stops(self, key: str, start: int) -> Iterator[int]:
        """Yield where the piece may end, the likeliest first."""
        if self.kind == "literal":
            if key.startswith(self.text, start):
                yield start + len(self.text)
        elif self.kind in ("text", "any"):
            end = key.find("/", start)
            yield from range(start + (self.kind == "text"), (len(key) if end < 0 else end) + 1)
        elif self.kind == "well":
            found = _WELL.match(key, start)
            if found is not None:
                yield from range(found.end(), found.start(2), -1)
        else:
            kinds = ("letters", "digits") if self.kind == "row" else (self.kind,)
            for kind in kinds:
                found = _RUNS[kind].match(key, start)
                if found is not None:
                    yield from range(found.end(), start, -1)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path with placeholders.

    Parameters
    ----------
    text : str
        As it was written.
    pieces : tuple
        What it is made of.
    """

    text: str
    pieces: tuple[_Piece, ...]

    @property
    def names(self) -> frozenset[str]:
        """Names of the placeholders."""
        return frozenset(p.text for p in self.pieces if p.kind not in ("literal", "any"))

    @property
    def kind(self) -> Literal["image", "series", "plate"]:
        """What the files are together."""
        if self.names & {"well", "row"}:
            return "plate"
        return "series" if "field" in self.names else "image"

    @property
    def axes(self) -> tuple[str, ...]:
        """Axes that files are the positions of: t, c, z."""
        return tuple(a for a in AXES if a in self.names)

    def parts(self) -> tuple[Pattern, ...]:
        """Return the patterns of the folders, and of the file in the last."""
        return tuple(Pattern(part, _pieces(part)) for part in self.text.split("/"))

    @property
    def literal(self) -> bool:
        """Whether there are no placeholders."""
        return all(p.kind == "literal" for p in self.pieces)

    def resembles(self, key: str) -> bool:
        """Tell whether a key begins and ends as the pattern does."""
        first, last = self.pieces[0], self.pieces[-1]
        begins = first.kind != "literal" or key.startswith(first.text)
        return begins and (last.kind != "literal" or key.endswith(last.text))

    def match(self, key: str) -> dict[str, str] | None:
        """Return the text of each placeholder; None when `key` does not fit."""
        if len(key) > _LONGEST or not self.resembles(key):
            return None
        ends = _matched(self.pieces, key)
        if ends is None:
            return None
        out: dict[str, str] = {}
        for piece, start, stop in zip(self.pieces, (0, *ends), ends, strict=False):
            if piece.kind not in ("literal", "any") and out.setdefault(piece.text, key[start:stop]) != key[start:stop]:
                return None
        return out


def _matched(pieces: Sequence[_Piece], key: str) -> list[int] | None:
    """Return where each piece ends. Dead ends are remembered: no name takes long, whatever the pattern."""
    dead: set[tuple[int, int]] = set()
    ends: list[int] = []
    waiting = [pieces[0].stops(key, 0)]
    while waiting:
        stop = next(waiting[-1], None)
        if stop is None:
            waiting.pop()
            if ends:
                dead.add((len(ends), ends.pop()))
        elif len(waiting) == len(pieces):
            if stop == len(key):
                return [*ends, stop]
        elif (len(waiting), stop) not in dead:
            ends.append(stop)
            waiting.append(pieces[len(waiting)].stops(key, stop))
    return None


# -- parsing
def _refused(text: str, why: str, fix: str = _ASK) -> InputError:
    return InputError(f"the pattern {text[:200]!r} {why}", code=Code.ARGUMENT_INVALID, fix=fix)


@lru_cache(maxsize=8)
def parse_pattern(text: str) -> Pattern:
    """Parse a path with placeholders.

    Raises
    ------
    InputError
        If it is no safe path, or what belongs to which placeholder would be unclear.

    Examples
    --------
    >>> sorted(parse_pattern("scan/{well}_{c}_{z}.tif").match("scan/B03_DAPI_7.tif").items())
    [('c', 'DAPI'), ('well', 'B03'), ('z', '7')]
    """
    if len(text) > _LONGEST:
        raise _refused(text, f"has {len(text)} characters", "use a shorter one")
    pieces = _pieces(checked_key(text))
    if len(pieces) > _MOST_PIECES or sum(p.kind in ("text", "any") for p in pieces) > _MOST_OPEN:
        raise _refused(text, "has too many parts", f"use at most {_MOST_OPEN} placeholders for any text")
    for a, b in itertools.pairwise(pieces):
        if b.kind in _UNCLEAR.get(a.kind, ()):
            raise _refused(text, f"does not say where {a.text} ends and {b.text} begins", "put a character between")
    out = Pattern(text, pieces)
    names = out.names
    if "well" in names and names & {"row", "column"}:
        raise _refused(text, "has a well beside its row or column", "use {well}, or {row} and {column}")
    if ("row" in names) != ("column" in names):
        raise _refused(text, "has a row without a column, or a column without a row", "use both, or {well}")
    return out


def _pieces(text: str) -> tuple[_Piece, ...]:
    out: list[_Piece] = []
    at = 0
    for found in _TOKEN.finditer(text):
        if found.start() > at:
            out.append(_Piece("literal", text[at : found.start()]))
        at = found.end()
        name, stars, stray = found.groups()
        if stray is not None:
            raise _refused(text, f"has a {stray} that is no placeholder")
        if stars is not None:
            out.append(_Piece("any", "*"))
        elif _NAME.fullmatch(name) is None:
            raise _refused(text, f"has a placeholder {{{name}}}")
        else:
            out.append(_Piece(_KINDS.get(name, "text"), name))
    if at < len(text) or not out:
        out.append(_Piece("literal", text[at:]))
    # Rows are letters where a column follows directly, as in B03.
    return tuple(
        _Piece("letters", p.text) if p.text == "row" and p.kind == "row" and q is not None and q.kind == "digits" else p
        for p, q in zip(out, [*out[1:], None], strict=True)
    )


# -- arranging
@dataclass(frozen=True, slots=True)
class Group:
    """The files of one image.

    Parameters
    ----------
    row, column, field : str
        Where it is, as files call it; empty when they do not say.
    planes : mapping of tuple of int to str
        Key of the file at each position along the axes.
    texts : mapping
        What other placeholders stand for, where that is the same in all files.
    """

    row: str
    column: str
    field: str
    planes: Mapping[tuple[int, ...], str]
    texts: Mapping[str, str]

    @property
    def path(self) -> str:
        """Its name among the others: ``B/03/1``."""
        return "/".join(p for p in (self.row, self.column, self.field or ("0" if self.row else "")) if p)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Files by image and position.

    Parameters
    ----------
    pattern : Pattern
        What the names were compared with.
    groups : mapping of str to Group
        Images by their paths, in order.
    positions : tuple of tuple of str
        Per axis of the pattern, what positions are called, in order: the same in all images.
    unmatched : tuple of str
        Some files that begin and end alike, and do not fit.
    unmatched_count : int
        How many do not.
    """

    pattern: Pattern
    groups: Mapping[str, Group]
    positions: tuple[tuple[str, ...], ...]
    unmatched: tuple[str, ...] = ()
    unmatched_count: int = 0


@lru_cache(maxsize=2)  # members of a plate are opened one after the other, from the same list of files
def arrange(text: str, keys: tuple[str, ...]) -> Arrangement:
    """Sort files into images and positions.

    Raises
    ------
    InputError
        If the pattern is unclear, or two files have the same position.

    Examples
    --------
    >>> arrange("{c}_{z}.tif", ("GFP_10.tif", "GFP_9.tif", "DAPI_9.tif")).positions
    (('DAPI', 'GFP'), ('9', '10'))
    """
    pattern = parse_pattern(text)
    found: dict[tuple[str, str, str], list[tuple[str, dict[str, str]]]] = {}
    unmatched: list[str] = []
    for key in keys:
        values = pattern.match(key)
        if values is None:
            unmatched += [key] if pattern.resembles(key) else []
            continue
        found.setdefault(_place(values), []).append((key, values))
    every = [v for files in found.values() for _, v in files]
    positions = tuple(tuple(sorted({v[a] for v in every}, key=natural_key)) for a in pattern.axes)
    numbers = tuple({name: i for i, name in enumerate(names)} for names in positions)
    groups = (
        _group(pattern, place, found[place], numbers)
        for place in sorted(found, key=lambda p: ((len(p[0]), p[0]), natural_key(p[1]), natural_key(p[2])))
    )
    return Arrangement(pattern, {g.path: g for g in groups}, positions, tuple(unmatched[:_SHOWN]), len(unmatched))


def _place(values: Mapping[str, str]) -> tuple[str, str, str]:
    well = _WELL.fullmatch(values.get("well", ""))
    row, column = well.groups() if well is not None else (values.get("row", ""), values.get("column", ""))
    return row, column, values.get("field", "")


def _group(
    pattern: Pattern,
    place: tuple[str, str, str],
    files: Iterable[tuple[str, Mapping[str, str]]],
    numbers: Sequence[Mapping[str, int]],
) -> Group:
    planes: dict[tuple[int, ...], str] = {}
    texts: dict[str, set[str]] = {}
    for key, values in files:
        position = tuple(n[values[a]] for a, n in zip(pattern.axes, numbers, strict=True))
        other = planes.setdefault(position, key)
        if other != key:
            raise InputError(
                f"{other} and {key} are the same plane, says the pattern {pattern.text[:200]!r}",
                code=Code.SLICE_MISMATCH,
                fix="put a placeholder where their names differ, or write one of the names out",
            )
        for name, value in values.items():
            if name not in _KINDS:
                texts.setdefault(name, set()).add(value)
    return Group(*place, planes, {n: next(iter(v)) for n, v in texts.items() if len(v) == 1})

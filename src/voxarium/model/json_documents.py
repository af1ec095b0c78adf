"""A JSON document as stored, for checks: what is no JSON, and what JSON does not forbid and nobody should write."""

from __future__ import annotations

import json
from typing import Any, Final

from voxarium.model.checking import Place, Sheet, short

__all__ = ["read_object"]

_MOST_BYTES: Final = 64 << 20
_MOST_NAMED: Final = 20
_DEEPEST: Final = 200  # real documents stay below 20; what is deeper breaks those who print or copy it


def read_object(raw: bytes, sheet: Sheet, broken: str, twice: str) -> Place | None:
    """Return the JSON object in a document; None, and a finding, where it holds none.

    Parameters
    ----------
    raw : bytes
        The document.
    sheet : Sheet
        Takes what is wrong.
    broken, twice : str
        Rules that say that it is a JSON object, and that no object in it names a member twice.

    Examples
    --------
    >>> read_object(b'{"a": 1}', Sheet("", {}), "XX-001", "XX-002")["a"].value
    1
    """
    repeated: dict[str, None] = {}

    def gathered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: JSON
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen and len(repeated) < _MOST_NAMED:
                    repeated[name] = None
                seen.add(name)
        return found

    fix = "restore the document from a copy; it may be cut off, or not be metadata at all"
    if len(raw) > _MOST_BYTES:
        sheet.report(broken, f"has {len(raw):,} bytes, more than metadata ever need", fix)
        return None
    try:
        value = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=gathered, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        sheet.report(broken, f"is not JSON: {short(str(error))}", fix)
        return None
    if _is_deep(value):
        sheet.report(broken, f"has values inside each other, more than {_DEEPEST} deep", fix)
        return None
    place = Place(value, "", sheet)
    for name in repeated:
        place.report(twice, f"has {short(name)} twice in one object", "keep the one that is meant: readers differ")
    if isinstance(value, dict):
        return place
    place.report(broken, f"holds {short(value)} instead of an object", fix)
    return None


def _is_deep(value: Any) -> bool:
    layer = [value] if isinstance(value, dict | list) else []
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for outer in layer:
            inner += (v for v in (outer.values() if isinstance(outer, dict) else outer) if isinstance(v, dict | list))
        if not inner:
            return False
        layer = inner
    return True


def _refused(word: str) -> Any:  # Any: never returns
    raise ValueError(f"{word} is no JSON number")

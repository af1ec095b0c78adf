"""The catalogue: datasets in a line each, and what a query chooses of them. The page's script does the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from voxarium.core.report import bytes_text
from voxarium.view.portal.facts import DatasetFacts
from voxarium.view.portal.words import length_text

__all__ = ["FACETS", "PAGE_SIZE", "SORTS", "Chosen", "Query", "Summary", "choose", "summary_of"]

PAGE_SIZE: Final = 48
FACETS: Final[Mapping[str, str]] = {
    "organism": "Organism", "modality": "Modality", "format": "Format", "license": "Licence",
}  # fmt: skip
"""Facets by their name in addresses, and what people read."""
SORTS: Final[Mapping[str, str]] = {
    "name": "Name", "newest": "Newest release", "finest": "Finest voxels", "largest": "Largest",
}  # fmt: skip
_MOST_TEXT: Final = 800
_MOST_VALUES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A dataset as its card and the index show it.

    Parameters
    ----------
    name, href, cover : str
        Its address; the page and the picture, relative to the catalogue.
    title, blurb : str
        For people.
    organism, modality, format, license : tuple of str
        By which it is filtered.
    voxel : float or None
        Smallest edge of a voxel of any image, in nanometres.
    voxel_text, size_text : str
        Of the main image; of all.
    nbytes, layers, labels : int
        Decoded bytes without coarser levels; numbers of things in it, and of labels among them.
    release, published : str
        Newest release, and when it was made.
    text : str
        What words are looked for in, in small letters.
    """

    name: str
    href: str
    cover: str
    title: str
    blurb: str = ""
    organism: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    format: tuple[str, ...] = ()
    license: tuple[str, ...] = ()
    voxel: float | None = None
    voxel_text: str = ""
    shape_text: str = ""
    size_text: str = ""
    nbytes: int = 0
    layers: int = 0
    labels: int = 0
    release: str = ""
    published: str = ""
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the line of the index."""
        return asdict(self)


def summary_of(facts: DatasetFacts, href: str, cover: str) -> Summary:
    """Return the line of a dataset; `href` and `cover` lead to its page and picture from the catalogue."""
    document, main = facts.document, facts.main
    finest = min((min(nm) for layer in facts.rasters if (nm := layer.voxel_nm) and min(nm) > 0), default=None)
    blurb = "" if document is None else " ".join(document.description.split())
    current = facts.history.current
    licence = "" if document is None else document.license
    authors = [] if document is None else [p.name for p in document.authors]
    words = [
        facts.title, facts.address, *facts.organisms, *facts.modalities, *facts.formats, licence, *authors,
        *facts.dois, *(layer.name for layer in facts.layers[:60]), blurb,
    ]  # fmt: skip
    return Summary(
        name=facts.address,
        href=href,
        cover=cover,
        title=facts.title,
        blurb=blurb if len(blurb) <= 220 else blurb[:219].rsplit(" ", 1)[0] + " …",
        organism=facts.organisms,
        modality=facts.modalities,
        format=facts.formats,
        license=(licence,) if licence else (),
        voxel=None if finest is None or not math.isfinite(finest) else float(f"{finest:.6g}"),
        voxel_text="" if main is None else main.voxel_text,
        shape_text="" if main is None else main.shape_text,
        size_text=bytes_text(facts.nbytes) if facts.nbytes else "",
        nbytes=facts.nbytes,
        layers=len(facts.layers),
        labels=sum(layer.kind == "label" or layer.role == "label" for layer in facts.layers),
        release="" if current is None else current.release.name,
        published="" if current is None else current.release.time,
        text=" ".join(words).lower()[:_MOST_TEXT],
    )


# -------------------------------------------------------------------------------------------------------------- query
@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What somebody looks for: words that all occur, values of facets of which one does, sizes of voxels in nm."""

    words: str = ""
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    voxel_min: float | None = None
    voxel_max: float | None = None
    sort: str = "name"
    page: int = 1

    @classmethod
    def parse(cls, pairs: Iterable[tuple[str, str]]) -> Query:
        """Return the query of an address; what makes no sense in it is left out."""
        known: dict[str, list[str]] = {}
        for name, value in pairs:
            known.setdefault(name, []).append(value)
        facets = {f: tuple(dict.fromkeys(known[f]))[:_MOST_VALUES] for f in FACETS if known.get(f)}
        sort = known.get("sort", ["name"])[-1]
        page = known.get("page", ["1"])[-1]
        return cls(
            words=" ".join(known.get("q", [""])[-1][:200].split()),
            facets={f: kept for f, values in facets.items() if (kept := tuple(v for v in values if v))},
            voxel_min=_length(known.get("voxel_min", [""])[-1]),
            voxel_max=_length(known.get("voxel_max", [""])[-1]),
            sort=sort if sort in SORTS else "name",
            page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 and int(page) else 1,
        )

    def address(self, **changed: Any) -> str:  # Any: values of fields
        """Return the query as part of an address, with some of it changed."""
        q = replace(self, **changed)
        pairs = [("q", q.words)] if q.words else []
        pairs += [(name, v) for name in FACETS for v in q.facets.get(name, ())]
        pairs += [(n, f"{v:g}") for n in ("voxel_min", "voxel_max") if (v := getattr(q, n)) is not None]
        pairs += [("sort", q.sort)] if q.sort != "name" else []
        pairs += [("page", str(q.page))] if q.page != 1 else []
        return f"?{urlencode(pairs)}" if pairs else ""

    def without(self, name: str, value: str) -> Query:
        """Return the query without a value of a facet, from the first page."""
        left = tuple(v for v in self.facets.get(name, ()) if v != value)
        facets = {k: (left if k == name else v) for k, v in self.facets.items() if k != name or left}
        return replace(self, facets=facets, page=1)

    @property
    def chips(self) -> list[tuple[str, str]]:
        """What is filtered by, in words, and the address without it."""
        out = [(v, self.without(name, v).address() or "?") for name, values in self.facets.items() for v in values]
        if self.voxel_min is not None or self.voxel_max is not None:
            out.append((self._voxel_words(), self.address(voxel_min=None, voxel_max=None, page=1) or "?"))
        return out

    def _voxel_words(self) -> str:
        if self.voxel_max is None:
            return f"voxels from {length_text(self.voxel_min or 0)}"
        if self.voxel_min is None:
            return f"voxels up to {length_text(self.voxel_max)}"
        return f"voxels {length_text(self.voxel_min)} to {length_text(self.voxel_max)}"


def _length(text: str) -> float | None:
    try:
        value = float(text) if len(text) < 30 else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a query chooses.

    Parameters
    ----------
    items : sequence of Summary
        On the page that was asked for.
    total, everything : int
        How many are chosen, and how many there are.
    counts : mapping
        By facet, (value, datasets that would be shown with it): those that pass all other filters.
    page, pages : int
        Which page this is.
    """

    items: Sequence[Summary]
    total: int
    everything: int
    counts: Mapping[str, Sequence[tuple[str, int]]]
    page: int
    pages: int


def choose(summaries: Sequence[Summary], query: Query, size: int = PAGE_SIZE) -> Chosen:
    """Return the datasets that a query chooses, in order, a page of them."""
    words = query.words.lower().split()
    named = [s for s in summaries if all(w in s.text for w in words)]
    fitting = [s for s in named if _within(s, query)]
    counts = {}
    for name in FACETS:
        others = {n: v for n, v in query.facets.items() if n != name}
        counted = Counter(v for s in fitting if _has(s, others) for v in getattr(s, name))
        counted.update(dict.fromkeys(query.facets.get(name, ()), 0))
        counts[name] = sorted(counted.items(), key=lambda item: (-item[1], item[0].lower()))[:_MOST_VALUES]
    found = sorted((s for s in fitting if _has(s, query.facets)), key=lambda s: _order(s, query.sort))
    pages = max(1, math.ceil(len(found) / size))
    page = min(query.page, pages)
    return Chosen(
        items=found[(page - 1) * size : page * size],
        total=len(found),
        everything=len(summaries),
        counts=counts,
        page=page,
        pages=pages,
    )


def _within(summary: Summary, query: Query) -> bool:
    low, high = query.voxel_min, query.voxel_max
    if low is None and high is None:
        return True
    voxel = summary.voxel
    return voxel is not None and (low is None or voxel >= low) and (high is None or voxel <= high)


def _has(summary: Summary, facets: Mapping[str, tuple[str, ...]]) -> bool:
    return all(set(values) & set(getattr(summary, name)) for name, values in facets.items())


def _order(summary: Summary, sort: str) -> tuple[Any, ...]:  # Any: what sorts
    last = (summary.title.lower(), summary.name)
    if sort == "newest":
        return (not summary.published, *(-ord(c) for c in summary.published), *last)
    if sort == "finest":
        return (summary.voxel is None, summary.voxel or 0.0, *last)
    return (-summary.nbytes, *last) if sort == "largest" else last

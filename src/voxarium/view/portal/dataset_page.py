"""What the page of a dataset shows, in the words of its template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from voxarium.core.report import bytes_text
from voxarium.spec.dataset_document import FILE_NAME, DatasetView
from voxarium.view.portal.coordinate_picture import coordinate_picture, kind_class
from voxarium.view.portal.coordinates import Coordinates, coordinates_of, extent_of
from voxarium.view.portal.facts import DatasetFacts, LayerFacts, PublishedRelease
from voxarium.view.portal.snippets import shell
from voxarium.view.portal.words import identifier_link, length_text, lengths_text, licence_link, safe_link, times

if TYPE_CHECKING:
    from voxarium.view.portal.pages import Extras, Links

__all__ = ["page_values"]

_MOST_PARAGRAPHS: Final = 40
_MOST_VIEWED: Final = 12
_MAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,20}")
_STATES: Final = {"passed": "good", "accepted": "", "advised": "", "off": ""}
_SECTIONS: Final = (
    ("layers", "Layers"), ("coordinates", "Coordinates"), ("views", "Views"), ("open", "Open in …"),
    ("releases", "Releases"), ("provenance", "Provenance"), ("validation", "Validation"),
)  # fmt: skip


def page_values(links: Links, facts: DatasetFacts, extras: Extras) -> dict[str, Any]:  # Any: what the template uses
    """Return the values of the template."""
    from markupsafe import Markup

    coordinates = coordinates_of(facts)
    # Made by us from numbers and escaped names; the one piece that is not put together by a template.
    picture = Markup(coordinate_picture(coordinates, facts.title))
    layers = _layers(links, facts, coordinates)
    views = [_view(links, facts, view) for view in facts.document.views[:200]] if facts.document is not None else []
    releases = [_release(links, facts, r) for r in facts.history.releases]
    shown = {"coordinates": bool(picture), "views": bool(views), "provenance": bool(facts.history.steps)}
    document = facts.document
    return {
        "layers": layers,
        "coordinates": coordinates,
        "picture": picture,
        "places": list(_places(coordinates)),
        "views": views,
        "releases": releases,
        "contents": [(name, text) for name, text in _SECTIONS if shown.get(name, True)],
        "cover": links.cover(),
        "cover_words": _cover_words(facts),
        "view": links.view(_viewed(facts)),
        "more_views": extras.more_views,
        "files": links.files(""),
        "authors": _authors(facts),
        "description": _paragraphs("" if document is None else document.description),
        "about": _about(facts, coordinates),
        "citation": _citation(links, facts),
        "documents": [(text, href) for text, path in _documents(facts) if (href := links.files(path))],
        "verify": f"voxarium release verify {shell(links.data_url(''))} {shell(_current(facts))}",
        "validate": f"voxarium validate {shell(links.data_url(''))}",
        "validation": extras.validation,
        "reports": extras.reports,
        "data_note": extras.data_note,
    }


def _current(facts: DatasetFacts) -> str:
    current = facts.history.current
    return current.release.name if current is not None else ""


def _viewed(facts: DatasetFacts) -> list[LayerFacts]:
    """Return the layers that are shown at first: the main image, what else is small in number, and labels."""
    return list(facts.rasters[:_MOST_VIEWED])


def _cover_words(facts: DatasetFacts) -> str:
    main, over = facts.main, facts.overlay
    words = f"Middle slice of {main.name or facts.title}" if main is not None else f"Picture of {facts.title}"
    return f"{words} with {over.name} in colour" if over is not None else words


def _paragraphs(text: str) -> list[str]:
    found = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]
    return [p for p in found if p][:_MOST_PARAGRAPHS]


def _authors(facts: DatasetFacts) -> list[dict[str, str]]:
    people = () if facts.document is None else facts.document.authors[:500]
    return [
        {"name": p.name, "href": safe_link(p.identifier) or _orcid(p.identifier), "affiliation": p.affiliation}
        for p in people
    ]


def _orcid(text: str) -> str:
    return f"https://orcid.org/{text}" if re.fullmatch(r"(?:\d{4}-){3}\d{3}[\dX]", text) else ""


# ------------------------------------------------------------------------------------------------------------- layers
def _layers(links: Links, facts: DatasetFacts, coordinates: Coordinates) -> list[dict[str, Any]]:
    numbers = {placed.layer.path: i for i, placed in enumerate(coordinates.layers)}
    rows, first = [], True
    for i, layer in enumerate(facts.layers, 1):
        row = _layer(links, facts, layer) | {"number": numbers.get(layer.path), "anchor": i}
        rows.append(row | {"first": first and bool(row["snippets"])})
        first = first and not row["snippets"]
    return rows


def _layer(links: Links, facts: DatasetFacts, layer: LayerFacts) -> dict[str, Any]:
    image = layer.image
    base: dict[str, Any] = {
        "facts": layer,
        "name": layer.name or facts.title,
        "color": kind_class(layer),
        "role": layer.role or layer.kind,
        "picture": links.picture(layer),
        "files": links.files(layer.path),
        "view": "",
        "snippets": [],
        "chunks": "",
        "shards": "",
        "codecs": "",
        "dtype": "",
        "bytes": "",
        "levels": "",
    }
    if image is None:
        return base
    array = image.levels[0].array
    count = len(image.levels)
    return base | {
        "view": links.view([layer]),
        "snippets": links.snippets(layer),
        "chunks": "one piece" if array.contiguous else times(array.chunk_shape),
        "shards": times(array.shard_shape) if array.shard_shape else "",
        "codecs": ", ".join(array.codecs[:6]),
        "dtype": image.dtype.name,
        "bytes": bytes_text(layer.nbytes),
        "levels": f"{count} level{'' if count == 1 else 's'}",
    }


def _places(coordinates: Coordinates) -> Iterator[dict[str, Any]]:
    for i, placed in enumerate(coordinates.layers):
        low, high = placed.low, placed.high
        sizes = [h - a for a, h in zip(low, high, strict=True)]
        yield {
            "number": i,
            "name": placed.layer.name or "the image",
            "color": kind_class(placed.layer),
            "size": lengths_text(sizes) if coordinates.measured else times([round(s) for s in sizes]),
            "spans": [
                f"{_length(a, coordinates.measured)} … {_length(h, coordinates.measured)}"
                for a, h in zip(low, high, strict=True)
            ],
        }


def _length(value: float, measured: bool) -> str:
    return length_text(value) if measured else f"{value:g}"


def _view(links: Links, facts: DatasetFacts, view: DatasetView) -> dict[str, str]:
    names = set(view.members)
    layers = [layer for layer in facts.rasters if layer.name in names]
    at = _position(view.extra.get("position"))
    words = ", ".join(view.members[:8]) + (f" and {len(view.members) - 8} more" if len(view.members) > 8 else "")
    where = f" · at {', '.join(f'{v:g}' for v in at)}" if at else ""
    nm = None if at is None else [v * f for v, f in zip(at, _view_units(facts), strict=True)]
    return {"name": view.name, "note": words + where, "href": links.view(layers, nm) if layers else ""}


def _position(found: Any) -> list[float] | None:  # Any: JSON of anybody
    if not isinstance(found, (list, tuple)) or len(found) != 3:
        return None
    return [float(v) for v in found] if all(isinstance(v, (int, float)) and abs(v) < 1e18 for v in found) else None


def _view_units(facts: DatasetFacts) -> list[float]:
    """Return nanometres per unit of the positions of views: those of the first system, else of the main image."""
    from voxarium.errors import VoxariumError
    from voxarium.model.axes import unit_factor

    systems = () if facts.document is None else facts.document.systems
    main = facts.main
    axes = systems[0].axes if systems else (() if main is None or main.image is None else main.image.axes)
    space = [a for a in axes if a.type == "space"]
    try:
        units = [unit_factor(a.unit or "", "nanometer") for a in space]
    except VoxariumError:
        units = []
    return units if len(units) == 3 else [1.0] * 3


# -------------------------------------------------------------------------------------------------------------- facts
def _text(text: str, href: str = "") -> dict[str, str]:
    return {"text": text, "href": href}


def _about(facts: DatasetFacts, coordinates: Coordinates) -> list[tuple[str, list[dict[str, str]]]]:
    document, main = facts.document, facts.main
    out: list[tuple[str, list[dict[str, str]]]] = [
        ("Organism", [_text(t) for t in facts.organisms]),
        ("Modality", [_text(t) for t in facts.modalities]),
        ("Voxel size", [_text(main.voxel_text)] if main is not None else []),
        ("Extent (z, y, x)", [_text(_extent(coordinates))]),
        ("Data", [_text(f"{bytes_text(facts.nbytes)} in {len(facts.layers):,} layers")] if facts.nbytes else []),
        ("Formats", [_text(", ".join(facts.formats))] if facts.formats else []),
    ]
    if document is not None:
        licence = document.license
        out.append(("Licence", [_text(licence, licence_link(licence))] if licence else [_text("none stated")]))
        contact = document.contact
        mail = f"mailto:{contact}" if _MAIL.fullmatch(contact) else safe_link(contact)
        out.append(("Contact", [_text(contact, mail)] if contact else []))
        out.append(("Identifiers", [_text(i, identifier_link(i)) for i in facts.dois[:20]]))
        out.append(("Funding", [_text(_funding(f)) for f in document.funding[:20]]))
        out += [(_capital(k), [_text(v)]) for k, v in _specimen(document.specimen)]
    return [(name, [v for v in values if v["text"]]) for name, values in out if any(v["text"] for v in values)]


def _extent(coordinates: Coordinates) -> str:
    if not coordinates.layers or not coordinates.measured:
        return ""
    low, high = extent_of(coordinates.layers)
    return lengths_text([h - a for a, h in zip(low, high, strict=True)])


def _funding(found: Mapping[str, Any]) -> str:
    return ", ".join(str(v)[:200] for k, v in found.items() if isinstance(v, (str, int)) and k != "url")


def _specimen(specimen: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = ("organism", "organisms", "species", "taxon", "modality", "modalities", "imaging", "technique")
    rest = [(str(k)[:60], v) for k, v in list(specimen.items())[:40] if k not in known]
    return [(k, str(v)[:200]) for k, v in rest if isinstance(v, (str, int, float)) and str(v).strip()]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:].replace("_", " ")


def _documents(facts: DatasetFacts) -> list[tuple[str, str]]:
    if facts.document is None:
        return []
    out = [(FILE_NAME, FILE_NAME)]
    if facts.history.steps:
        out.append(("Provenance log", "provenance-log/"))
    if facts.history.releases:
        out.append(("Release documents", "releases/"))
    return out


# ----------------------------------------------------------------------------------------------------------- releases
def _release(links: Links, facts: DatasetFacts, published: PublishedRelease) -> dict[str, Any]:
    release = published.release
    current = facts.history.current
    objects = f"{release.manifest.objects:,} object{'' if release.manifest.objects == 1 else 's'}"
    return {
        "name": release.name,
        "time": release.time,
        "note": release.note,
        "license": release.license,
        "withdrawn": published.withdrawn,
        "current": current is not None and current.digest == published.digest,
        "size": f"{bytes_text(release.manifest.nbytes)} in {objects}",
        "dois": [_text(d, identifier_link(d)) for d in dict.fromkeys((release.doi, release.concept_doi)) if d],
        "key": published.key,
        "document": links.files(published.key),
        "digest": published.digest,
        "root": release.manifest.sha256,
        "checks": [
            {"name": p.check, "state": p.state, "color": _STATES.get(p.state, ""), "detail": p.reason or p.detail}
            for p in release.policy
            if p.state != "off"
        ],
    }


def _citation(links: Links, facts: DatasetFacts) -> dict[str, str] | None:
    document = facts.document
    if document is None or not (document.authors or facts.dois):
        return None
    current = facts.history.current
    year = current.release.time[:4] if current is not None else ""
    version = current.release.name if current is not None else ""
    people = [p.name for p in document.authors]
    shown = ", ".join(people[:8]) + (" et al." if len(people) > 8 else "")
    doi = next((i for i in facts.dois if identifier_link(i).startswith("https://doi.org/")), "")
    where = identifier_link(doi) or links.data_url("")
    parts = [f"{shown}{f' ({year})' if year else ''}" if shown else year, facts.title, version and f"Version {version}"]
    key = re.sub(r"[^A-Za-z0-9]+", "", (people[0].split()[-1] if people else "") + year) or "dataset"
    fields = {
        "title": facts.title, "author": " and ".join(people), "year": year, "version": version,
        "doi": identifier_link(doi).removeprefix("https://doi.org/"), "url": where,
    }  # fmt: skip
    plain = {name: re.sub(r"[{}\\]", "", value) for name, value in fields.items()}
    lines = [f"  {name} = {{{value}}}," for name, value in plain.items() if value]
    return {
        "text": ". ".join(p for p in (*parts, identifier_link(doi)) if p) + ".",
        "bibtex": "\n".join([f"@misc{{{key},", *lines, "}"]),
    }

"""Pages as HTML, from templates that escape whatever is put into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Protocol

from voxarium.errors import Code, UnsupportedError
from voxarium.view.portal.catalogue import FACETS, SORTS, Chosen, Query, Summary
from voxarium.view.portal.facts import DatasetFacts, LayerFacts
from voxarium.view.portal.snippets import Snippet, code_parts

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["ASSETS", "POLICY", "Links", "SiteFacts", "asset_bytes", "catalogue_html", "dataset_html", "fact_list"]

ASSETS: Final[Mapping[str, str]] = {
    "portal.css": "text/css; charset=utf-8",
    "portal.js": "text/javascript; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Files that pages need, and their types."""

POLICY: Final = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'"
)
"""What pages may load: their own files, and nothing else."""

_BLANK: Final = Summary(name="", href="#", cover="", title="Dataset")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """What stands on every page.

    Parameters
    ----------
    title, description, brand, footer : str
        For people: of the catalogue, a sentence below it, what stands at the top and at the bottom of all pages.
    navigation : sequence of (str, str)
        More links at the top: text and address.
    static : bool
        Whether the pages are files, so that no server filters.
    """

    title: str = "Datasets"
    description: str = ""
    brand: str = "Voxarium"
    footer: str = "Made with Voxarium."
    navigation: Sequence[tuple[str, str]] = ()
    static: bool = False


class Links(Protocol):
    """Where things are, seen from one page. An empty address means that it is not there."""

    def asset(self, name: str) -> str:
        """Return the address of a file of `ASSETS`."""

    def catalogue(self) -> str:
        """Return the address of the catalogue."""

    def cover(self) -> str:
        """Return the address of the picture of the dataset."""

    def picture(self, layer: LayerFacts) -> str:
        """Return the address of the picture of a layer."""

    def files(self, path: str) -> str:
        """Return where what lies at a path of the dataset can be looked at."""

    def data_url(self, path: str) -> str:
        """Return the whole address of what lies at a path of the dataset, for other programs."""

    def view(self, layers: Sequence[LayerFacts], position: Sequence[float] | None = None) -> str:
        """Return the address of a viewer with some layers, at a position in nanometres along z, y, x."""

    def snippets(self, layer: LayerFacts) -> list[Snippet]:
        """Return what can be copied for a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a page of a dataset says beside its facts.

    Parameters
    ----------
    more_views : sequence of (str, str)
        Other viewers: text and address.
    reports : sequence of (str, str)
        Reports of validation: text and address.
    validation : mapping or None
        Their summary: ``valid``, ``words``, ``rows`` with ``rule``, ``message`` and ``where``.
    data_note : str
        What to know about where the data are.
    """

    more_views: Sequence[tuple[str, str]] = ()
    reports: Sequence[tuple[str, str]] = ()
    validation: Mapping[str, Any] | None = None  # Any: JSON
    data_note: str = ""


def asset_bytes(name: str) -> bytes:
    """Return a file of `ASSETS`."""
    return files("voxarium.view.portal").joinpath("assets", name).read_bytes()


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as error:
        raise UnsupportedError(
            "pages need jinja2, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[serve]'",
        ) from error
    folder = files("voxarium.view.portal").joinpath("templates")
    made = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["located"] = _located
    made.filters["breakable"] = _breakable
    return made


def _located(text: str) -> Markup:
    """Return lines to copy, in which addresses relative to the page are marked for its script."""
    from markupsafe import Markup, escape

    parts = []
    for shown, relative in code_parts(text):
        parts.append(Markup('<span data-here="{}">{}</span>').format(relative, shown) if relative else escape(shown))
    return Markup("").join(parts)


def _breakable(text: str) -> Markup:
    """Return a path that may be broken behind its slashes."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in text.split("/"))


def fact_list(summary: Summary) -> list[str]:
    """Return the short facts of a card; the page's script makes the same."""
    layers = f"{summary.layers:,} layer{'' if summary.layers == 1 else 's'}"
    return [f for f in (summary.voxel_text, summary.size_text, layers, *summary.license, summary.release) if f]


def kind_line(summary: Summary) -> str:
    """Return organism and modality."""
    return " · ".join((*summary.organism, *summary.modality))


def _render(name: str, site: SiteFacts, links: Links, **values: Any) -> str:  # Any: what templates use
    policy = POLICY if site.static else ""
    return (
        _environment()
        .get_template(name)
        .render(site=site, links=links, asset=links.asset, policy=policy, kind_line=kind_line, **values)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguePage:
    """What a page of the catalogue shows.

    Parameters
    ----------
    chosen, query : Chosen, Query
        What was asked for, and found.
    index : str
        Address of the index for the page's script.
    action : str
        Address of the page; where it cannot filter, of the first one.
    turning : sequence of (str, str)
        ``prev`` and ``next``, and their addresses.
    looking : bool
        Whether folders are still being looked through.
    """

    chosen: Chosen
    query: Query = field(default_factory=Query)
    index: str = "index.json"
    action: str = ""
    turning: Sequence[tuple[str, str]] = ()
    looking: bool = False


def catalogue_html(site: SiteFacts, links: Links, page: CataloguePage) -> str:
    """Return a page of the catalogue."""
    chosen = page.chosen
    noun = f"dataset{'' if chosen.everything == 1 else 's'}"
    total = f"{chosen.everything:,} {noun}"
    if chosen.total != chosen.everything:
        total = f"{chosen.total:,} of {total}"
    return _render(
        "catalogue.html",
        site,
        links,
        static=site.static,
        chosen=chosen,
        query=page.query,
        index=page.index,
        action=page.action,
        turning=page.turning,
        looking=page.looking,
        total_line=total,
        facets=FACETS,
        sorts=SORTS,
        blank=_BLANK,
        fact_list=fact_list,
    )


def dataset_html(
    site: SiteFacts, links: Links, facts: DatasetFacts, summary: Summary, extras: Extras | None = None
) -> str:
    """Return the page of a dataset."""
    from voxarium.view.portal.dataset_page import page_values

    values = page_values(links, facts, extras or Extras())
    return _render("dataset.html", site, links, facts=facts, summary=summary, **values)

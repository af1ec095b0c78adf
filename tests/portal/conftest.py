"""Datasets to show, and what every page has to keep to."""

from __future__ import annotations

import json
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

import voxarium
from voxarium.cli.main import main

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}{% raw %}"
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "details",
        "dialog",
        "div",
        "dl",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "header",
        "hr",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "ul",
    ]
)
# What an element may only stand in.
PARENTS = {
    "li": {"ul", "ol", "template"}, "dt": {"dl", "div"}, "dd": {"dl", "div"}, "tr": {"thead", "tbody"}, "td": {"tr"},
    "th": {"tr"},
    "thead": {"table"}, "tbody": {"table"}, "option": {"select"}, "legend": {"fieldset"}, "summary": {"details"},
}  # fmt: skip
CHILDREN = {"ul": {"li"}, "ol": {"li"}, "dl": {"dt", "dd", "div"}, "tr": {"td", "th"}, "table": {"thead", "tbody"}}


class Page(HTMLParser):
    """A page that was read strictly: what browsers would silently put right is an error here."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[str, str]] = []  # (innermost element, text)
        self.errors: list[str] = []
        self._open: list[str] = []
        if not text.startswith("<!doctype html>\n"):
            self.errors.append("no doctype")
        self.feed(text)
        self.close()
        if self._open:
            self.errors.append(f"never closed: {self._open}")
        self._check_references()

    def handle_starttag(self, tag, attrs):
        names = [n for n, _ in attrs]
        self.errors += [f"{tag} has {n} twice" for n, k in Counter(names).items() if k > 1]
        self.errors += [f"{tag} has {n}" for n in names if n.startswith("on") or n == "style"]
        parent = self._open[-1] if self._open else ""
        if tag in PARENTS and parent not in PARENTS[tag]:
            self.errors.append(f"{tag} in {parent}")
        if parent in CHILDREN and tag not in CHILDREN[parent]:
            self.errors.append(f"{tag} right in {parent}")
        if tag in BLOCKS and "p" in self._open:
            self.errors.append(f"{tag} in p")
        if tag in ("a", "button", "form", "label") and tag in self._open:
            self.errors.append(f"{tag} in {tag}")
        self.elements.append((tag, dict(attrs), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.errors.append(f"</{tag}> closes {self._open[-1:]}")
            return
        self._open.pop()

    def handle_data(self, data):
        if data.strip():
            parent = self._open[-1] if self._open else ""
            if parent in CHILDREN:
                self.errors.append(f"text right in {parent}")
            self.texts.append((parent, data))

    def _check_references(self):
        ids = Counter(a["id"] for _, a, _ in self.elements if "id" in a)
        self.errors += [f"id {i} {n} times" for i, n in ids.items() if n > 1]
        for tag, attributes, _ in self.elements:
            for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls"):
                for wanted in (attributes.get(name) or "").split():
                    if wanted not in ids:
                        self.errors.append(f"{tag} {name}={wanted} leads nowhere")
            href = attributes.get("href") or ""
            if tag == "a" and href.startswith("#") and href[1:] and href[1:] not in ids:
                self.errors.append(f"{href} leads nowhere")

    # ------------------------------------------------------------------------------------------------------ asking
    def all(self, tag):
        """Return the attributes of all elements of a kind."""
        return [a for t, a, _ in self.elements if t == tag]

    def links(self):
        """Return what the page refers to: (element, address)."""
        return [
            (tag, a[name])
            for tag, a, _ in self.elements
            for name in ("href", "src", "action")
            if a.get(name) is not None
        ]

    def check_accessible(self):
        """Return what people with other senses and hands would miss."""
        missing = []
        labelled = {a["for"] for a in self.all("label") if "for" in a}
        for tag, a, around in self.elements:
            if tag in ("input", "select", "textarea") and not (a.get("id") in labelled or "label" in around):
                missing.append(f"{tag} {a.get('name')} has no label")
            if tag == "img" and "alt" not in a:
                missing.append("img without alt")
            if tag == "svg" and a.get("aria-hidden") != "true" and not (a.get("role") == "img" and a.get("aria-label")):
                missing.append("svg without words")
            if tag == "nav" and not (a.get("aria-label") or a.get("aria-labelledby")):
                missing.append("nav without a name")
            if "tabindex" in a and int(a["tabindex"]) > 0:
                missing.append("an order of its own")
            if tag == "th" and a.get("scope") not in ("col", "row"):
                missing.append("th without scope")
        tags = Counter(t for t, _, around in self.elements if "svg" not in around)
        missing += [f"{tags[t]} of {t}" for t in ("main", "h1", "title") if tags[t] != 1]
        missing += [f"no {t}" for t in ("header", "nav", "footer") if not tags[t]]
        if self.all("html")[0].get("lang") != "en":
            missing.append("no language")
        headings = [
            int(t[1]) for t, _, around in self.elements if t in ("h1", "h2", "h3", "h4") and "template" not in around
        ]
        missing += [f"h{b} after h{a}" for a, b in pairwise(headings) if b > a + 1]
        return missing


@pytest.fixture(scope="session")
def page_of():
    """Return what reads a page."""
    return Page


def run(*arguments):
    assert main([str(a) for a in arguments] + ["--quiet"]) == 0, arguments


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """Return a folder with a published dataset, a hostile one, and images that stand for themselves."""
    pytest.importorskip("PIL")
    pytest.importorskip("pyarrow")
    h5py = pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("archive") / "lab"
    folder.mkdir()
    source = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(5)
    em = rng.integers(0, 255, (12, 40, 61), np.uint8)
    np.save(source / "em.npy", em)
    np.save(source / "cells.npy", (em > 128).astype(np.uint32) * 7)
    np.save(source / "crop.npy", np.full((4, 8, 10), 3, np.uint16))
    place = ("--axes", "zyx", "--unit", "nm", "--voxel-size", "40,8,8", "--levels", "2")
    brain = folder / "brain"
    run("dataset", "create", brain, "--name", "brain", "--license", "CC-BY-4.0", "--author",
        "Ada Lovelace <https://orcid.org/0000-0001-2345-6789>", "--contact", "ada@example.org", "--description",
        "Layer 4 of a mouse.\n\nTwo crops are dense.", "--identifier", "10.5072/brain", "--specimen",
        "organism=Mus musculus", "--specimen", "modality=FIB-SEM", "--specimen", "age=P56")  # fmt: skip
    run("convert", source / "em.npy", brain / "em/fibsem", *place)
    run("convert", source / "cells.npy", brain / "labels/cells", "--role", "label", *place)
    run("convert", source / "crop.npy", brain / "labels/crop1", "--role", "label", "--translation", "80,64,96", *place)
    (brain / "meshes/cells").mkdir(parents=True)
    (brain / "meshes/cells/info").write_text('{"@type": "neuroglancer_legacy_mesh"}')
    run("dataset", "add", brain, "meshes/cells", "--kind", "mesh")
    document = json.loads((brain / "dataset.json").read_text())
    document["title"] = "Mouse cortex"
    document["views"] = [{"name": "A corner", "members": ["em/fibsem", "labels/cells"], "position": [80, 100, 120]}]
    (brain / "dataset.json").write_text(json.dumps(document))
    accepted = [w for check in ("validation", "checksums", "leftovers") for w in ("--accept", f"{check}=a test")]
    run("release", "create", brain, "v1", "--note", "the first", *accepted)
    run("release", "create", brain, "v2", "--note", "the second", *accepted)
    run("release", "tombstone", brain, "v1", "--reason", "a slice was missing")
    voxarium.convert(source / "em.npy", folder / "loose/em.ome.zarr", axes="zyx", voxel_size=8, unit="nanometer")
    voxarium.convert(
        source / "cells.npy", folder / "loose/em.ome.zarr/labels/cells", axes="zyx", voxel_size=8, unit="nanometer",
        role="label",
    )  # fmt: skip
    with h5py.File(folder / "loose/stack.h5", "w") as file:
        file["raw"] = em[:5]
    voxarium.convert(
        source / "em.npy", folder / "fly", axes="zyx", voxel_size=4, unit="nanometer", format="precomputed"
    )
    hostile = folder / "hostile"
    voxarium.convert(source / "em.npy", hostile / "a.zarr", axes="zyx", voxel_size=8, unit="nanometer")
    (hostile / "dataset.json").write_text(json.dumps({
        "voxarium_dataset": "1.0", "name": HOSTILE, "title": HOSTILE, "description": HOSTILE, "license": HOSTILE,
        "authors": [{"name": HOSTILE, "identifier": "javascript:alert(3)", "affiliation": HOSTILE}], "contact": HOSTILE,
        "identifiers": ["javascript:alert(4)", HOSTILE], "funding": [{HOSTILE: HOSTILE}],
        "specimen": {"organism": HOSTILE, "modality": HOSTILE, HOSTILE: HOSTILE},
        "members": [{"name": HOSTILE, "path": "a.zarr", "kind": "image", "description": HOSTILE,
                     "links": [{"member": HOSTILE, "relation": HOSTILE}]}],
        "views": [{"name": HOSTILE, "members": [HOSTILE], "position": [1e999, "x", None]}],
    }))  # fmt: skip
    (folder / "broken.zarr").mkdir()
    (folder / "broken.zarr/zarr.json").write_text("{")
    return folder

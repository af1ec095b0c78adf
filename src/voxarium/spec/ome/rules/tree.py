"""Checking a group in its hierarchy: what its documents say, what lies around it, and what it names below."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from voxarium.model.checked_values import whole
from voxarium.model.checking import Place, Sheet, short
from voxarium.model.rules import Finding
from voxarium.spec.ome.rules.around import Around, GroupFacts, ImageFacts, Told, safe_path
from voxarium.spec.ome.rules.arrays import ArrayFacts, check_arrays
from voxarium.spec.ome.rules.check import check_place
from voxarium.spec.ome.rules.collection_tree import (
    check_container,
    check_plate_tree,
    check_well_tree,
    series_paths,
)
from voxarium.spec.ome.rules.label_tree import LABELS, check_label, check_labels_group, image_facts, unlisted_labels
from voxarium.spec.ome.rules.registry import RULES
from voxarium.spec.ome.rules.storage import HISTORIC, rules_of, stated_version
from voxarium.spec.ome.rules.system_tree import check_references, referenced_paths
from voxarium.spec.ome.series import SERIES_GROUP

__all__ = ["CheckedGroup", "check_group", "check_plain_group"]

_MOST: Final = 10_000
_MOST_LEVELS: Final = 256
_MOST_PROBES: Final = 1000
Kind = Literal["image", "label", "collection", "group"]


@dataclass(frozen=True, slots=True)
class CheckedGroup:
    """What a group is, what is wrong with it, and what it names: paths below it, and what their check must know.

    Levels of an image are named without anything to know: they are arrays, whose own rules are those of Zarr.
    """

    kind: Kind
    findings: tuple[Finding, ...]
    below: tuple[tuple[str, Told | None], ...] = ()


def check_group(facts: GroupFacts, around: Around, told: Told | None, *, deep: bool) -> CheckedGroup:
    """Check a group of OME-Zarr.

    Parameters
    ----------
    facts : GroupFacts
        The group, as its documents say.
    around : Around
        What lies below it.
    told : Told or None
        What the group above said about it.
    deep : bool
        Whether to look at what lies below it; without, its own documents alone are checked.
    """
    stated = stated_version(facts.attributes)
    version = _rules_for(stated, facts, told)
    sheet = Sheet(version, RULES, around.key(facts.name))
    root = Place(dict(facts.attributes), facts.pointer, sheet)
    if facts.error is not None:
        root.report("ST-008", facts.error.message.removeprefix("the document "), facts.error.fix, basis="text")
        return CheckedGroup("group", tuple(sheet.findings))
    if stated in HISTORIC and version == "0.4":
        return _historic(root, stated)
    check = _Check(facts, around, told, sheet, deep)
    check.storage(root, stated)
    kind = check.content(root)
    levels = ((path, None) for path in check.levels)
    return CheckedGroup(kind, _once(sheet.findings), (*check.below.items(), *levels))


def check_plain_group(around: Around) -> CheckedGroup | None:
    """Check a group of Zarr without metadata of OME-Zarr: labels in it are beside no image."""
    found = around.group(LABELS) if LABELS in around.folders("") else None
    if found is None or not isinstance(found.ome.get("labels"), list):
        return None
    version = rules_of(stated_version(found.attributes), found.attributes)
    sheet = Sheet(version, RULES, around.key(f"{LABELS}/{found.name}"))
    root = Place(dict(found.attributes), found.pointer, sheet)
    listed = (root["ome"] if "ome" in found.attributes else root)["labels"]
    listed.report("LB-015", "is beside no image", "move it into the group of the image it is about", basis="text")
    return CheckedGroup("group", tuple(sheet.findings)) if sheet.findings else None


def _rules_for(stated: str | None, facts: GroupFacts, told: Told | None) -> str:
    if stated is None and told is not None:
        return told.version
    if facts.zarr_format == 3 and "ome" not in facts.attributes and facts.error is None:
        return told.version if told is not None and told.version > "0.4" else "0.5"
    if facts.error is not None:
        return told.version if told is not None else "0.5" if facts.zarr_format == 3 else "0.4"
    return rules_of(stated, facts.attributes)


def _historic(root: Place, stated: str | None) -> CheckedGroup:
    """Return the check of a version without rules here."""
    message = f"follows OME-Zarr {stated}, whose rules are not checked"
    root.report("ST-005", message, "bring it to a newer version: voxarium upgrade", basis="text", level="should")
    kind: Kind = "image" if "multiscales" in root.value else "collection"
    return CheckedGroup("label" if "image-label" in root.value else kind, tuple(root.sheet.findings))


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple({(f.rule, f.key, f.pointer, f.message): f for f in reversed([*findings])}.values())[::-1]


class _Check:
    """The check of one group: it collects findings in the sheet, and what is named below."""

    def __init__(self, facts: GroupFacts, around: Around, told: Told | None, sheet: Sheet, deep: bool) -> None:
        self.facts, self.around, self.told, self.sheet, self.deep = facts, around, told, sheet, deep
        self.below: dict[str, Told] = {}
        self.levels: tuple[str, ...] = ()

    # -- Zarr and versions
    def storage(self, root: Place, stated: str | None) -> None:
        """Check the Zarr format of the group's documents, and that its version is that of the group above."""
        facts, version = self.facts, self.sheet.version
        wanted = 2 if version == "0.4" else 3
        rule = "ST-001" if wanted == 2 else "ST-002"
        if facts.zarr_format != wanted:
            root.report(rule, f"is of Zarr {facts.zarr_format}", f"write it as Zarr {wanted}", basis="text")
        if self.told is not None and stated is not None and version != self.told.version:
            self._other_version(root, stated, self.told.version)

    def _other_version(self, root: Place, stated: str, above: str) -> None:
        rules = above if above > "0.4" else self.sheet.version
        own = Sheet(rules, RULES, self.sheet.key, self.sheet.findings)
        place = Place(root.value, root.pointer, own)
        where = place["ome"]["version"] if place["ome"]["version"].there else place
        message = f"follows OME-Zarr {short(stated)}, the group above it {above}"
        where.report("ST-006", message, "bring the whole hierarchy to one version", basis="text")
        if self.sheet.version == "0.4" and self.facts.zarr_format == 2:
            place.report("ST-002", "is of Zarr 2, below a group of Zarr 3", "write it as Zarr 3", basis="text")

    # -- content
    def content(self, root: Place) -> Kind:
        """Check the attributes and, where that is wanted, what lies below; return what the group is."""
        told = self.told
        arrays = self._arrays() if self.deep else {}
        self.levels = tuple(arrays)
        dtype = next((a.dtype for a in arrays.values() if a.zarr_format is not None), None)
        group = told.group if told is not None and told.group in ("labels", "well", "image", "ome") else None
        ome = check_place(root, group, around=None if told is None else told.version, dtype=dtype)
        if not isinstance(ome.value, dict):
            return "group"
        label = ome["image-label"].there or (told is not None and told.group == "label")
        if self.deep:
            check_arrays(ome, arrays, label=label, folder=self.around.path, copies=self._copies())
            if self.sheet.version > "0.5":
                check_references(ome, self.around)
        shapes = {path: facts.shape for path, facts in arrays.items()}
        if ome["multiscales"].there and not label:
            self._labels(image_facts(ome, self.around.path, shapes))
        elif told is not None and told.group == "label" and self.deep:
            check_label(ome, self.around, told, shapes)
        self._collections(ome)
        if ome["multiscales"].there:
            return "label" if label else "image"
        if self.deep and not label and "labels" not in self.facts.ome and LABELS in self.around.folders(""):
            self._name(LABELS, "labels")
        return "collection" if self.below or any(ome[key].there for key in _COLLECTIONS) else "group"

    def _arrays(self) -> dict[str, ArrayFacts]:
        images = self.facts.ome.get("multiscales")
        datasets = [i.get("datasets") for i in images if isinstance(i, dict)] if isinstance(images, list) else []
        listed = [d for found in datasets if isinstance(found, list) for d in found if isinstance(d, dict)]
        paths = dict.fromkeys(d["path"] for d in listed if isinstance(d.get("path"), str))
        found = {path: self.around.array(path) for path in [*paths][:_MOST_LEVELS]}
        return {path: facts for path, facts in found.items() if facts is not None}

    def _copies(self) -> Mapping[str, Any]:
        """Return the entries of consolidated metadata by path: repairs of arrays change them too."""
        held = self.facts.document.get("consolidated_metadata") if self.facts.zarr_format == 3 else None
        entries = held.get("metadata") if isinstance(held, Mapping) else None
        return entries if isinstance(entries, Mapping) else {}

    # -- what is named below
    def _name(self, path: str | None, group: str, **facts: Any) -> None:
        """Name a group below; what is not there is not named, where that is known for the price of a request."""
        safe = None if path is None else safe_path(path)
        if not safe or len(self.below) >= _MOST:
            return
        if (self.deep or group in _GUESSED) and self.around.group(safe) is None:
            return
        top = self.told.top if self.told is not None else self.around
        self.below.setdefault(safe, Told(group=group, version=self.sheet.version, top=top, **facts))

    def _labels(self, image: ImageFacts) -> None:
        """Name the group of labels below an image; or label images in it, where it lists none."""
        found = self.around.group(LABELS) if self.deep else None
        if not self.deep or (found is not None and (found.error is not None or "labels" in found.ome)):
            self._name(LABELS, "labels", image=image)
            return
        for path in unlisted_labels(self.around, found, self.sheet):
            self._name(f"{LABELS}/{path}", "label", image=image)

    def _collections(self, ome: Place) -> None:
        image = None if self.told is None else self.told.image
        for item in ome["labels"].items()[:_MOST]:
            self._name(item.value if isinstance(item.value, str) else None, "label", image=image)
        acquisitions = _ids(ome["plate"]["acquisitions"])
        for item in ome["plate"]["wells"].items()[:_MOST]:
            self._name(item.text("path"), "well", acquisitions=acquisitions)
        for item in ome["well"]["images"].items()[:_MOST]:
            self._name(item.text("path"), "image")
        if ome["bioformats2raw.layout"].there:
            self._container(ome)
        if ome["scene"].there:
            for path in referenced_paths(ome["scene"]):
                self._name(path, "scene-image")
        if self.deep:
            self._deep_collections(ome)

    def _deep_collections(self, ome: Place) -> None:
        if ome["labels"].there:
            for path in check_labels_group(ome["labels"], self.around, self.told):
                self._name(path, "label", image=None if self.told is None else self.told.image)
        checks: dict[str, Callable[[Place], None]] = {
            "plate": lambda p: check_plate_tree(p, self.around),
            "well": lambda p: check_well_tree(p, self.around, self.told),
            "bioformats2raw.layout": lambda _: check_container(ome, self.around),
        }
        for key, check in checks.items():
            if ome[key].there:
                check(ome[key])

    def _container(self, ome: Place) -> None:
        self._name(SERIES_GROUP, "ome")
        if ome["plate"].there:
            return
        series = series_paths(self.around)
        if series is not None:
            for _, path in series:
                self._name(path, "image")
        elif self.deep and self.around.names("") is not None:
            for name in self.around.folders(""):
                if name.isdecimal():
                    self._name(name, "image")
        else:
            for i in range(_MOST_PROBES):
                if self.around.group(str(i)) is None:
                    break
                self._name(str(i), "image")


_GUESSED: Final = ("labels", "ome")  # no document names them
_COLLECTIONS: Final = ("plate", "well", "bioformats2raw.layout", "scene", "labels")


def _ids(acquisitions: Place) -> tuple[int, ...] | None:
    if not acquisitions.there:
        return None
    found = (a["id"].value for a in acquisitions.items())
    return tuple(i for i in found if whole(0).holds(i))

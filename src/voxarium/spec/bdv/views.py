"""From BigDataViewer's XML to one view of its container, and back. No I/O: documents come from a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.array_specs import join_key
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.image import ImageInfo
from voxarium.model.stated_images import short_unit
from voxarium.spec.bdv import layout
from voxarium.spec.bdv.xml import SpimData, ViewSetup, ViewTransform, dump_spim_data, parse_spim_data, view_name

__all__ = [
    "beside",
    "chosen_view",
    "collection",
    "container_collection",
    "dump_xml_of",
    "placement",
    "resolved_container",
    "unplaced",
    "views_in",
    "xml_key",
]

_MOST_NAMED: Final = 8
_CONTAINERS: Final = (".n5", ".h5", ".hdf5")
_ATTRIBUTES: Final = ("illumination", "channel", "tile", "angle")


def chosen_view(data: SpimData, key: str, inner: str) -> tuple[int, int]:
    """Return (time point, setup) of the view that is named, or of the only one.

    Raises
    ------
    NotFoundError
        If there is no such view; or, with the code FORMAT_UNRECOGNISED, if there are several and none is named.
    InputError
        If there is none at all.
    """
    views = data.views()
    if inner:
        found = layout.parse_view_path(inner)
        if found is not None and found[1:] in set(views):
            return found[1], found[2]
    elif len(views) == 1:
        return views[0]
    names = [f"{key}::{view_name(*view)}" for view in views[:_MOST_NAMED]]
    more = f" and {len(views) - len(names)} more" if len(views) > len(names) else ""
    if inner:
        raise NotFoundError(
            f"{key} has no view {inner!r}", code=Code.PATH_MISSING, fix=f"name one of {', '.join(names)}{more}"
        )
    if not views:
        raise InputError(f"{key} describes 0 views", code=Code.ARGUMENT_INVALID, fix="check the XML: it lists no view")
    raise NotFoundError(
        f"{key} describes {len(views)} views",
        code=Code.FORMAT_UNRECOGNISED,
        fix=f"name one of them: {', '.join(names)}{more}",
    )


def resolved_container(key: str, relative: str, where: str) -> str:
    """Return the key of a container that an XML at `key` names; it may not leave the store."""
    parts = [] if relative.startswith("/") else key.split("/")[:-1]
    for part in relative.replace("\\", "/").split("/"):
        if part == "..":
            if not parts:
                relative = f"/{relative}"
                break
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if relative.startswith("/") or ":" in relative or "\0" in relative:
        raise UnsupportedError(
            f"{where} refers to {relative.lstrip('/')!r}, outside the folder that was opened",
            code=Code.FEATURE_UNSUPPORTED,
            fix="put the container beside the XML and give its name there as a relative path",
        )
    return "/".join(parts)


def placement(data: SpimData, view: tuple[int, int]) -> layout.Placement:
    """Return where a view, (time point, setup), lies."""
    setup = data.setup(view[1])
    matrix = data.matrix(*view)
    chain = data.registrations.get(view, ())
    return layout.Placement(
        matrix=matrix,
        voxel_size=setup.voxel_size if setup else None,
        unit=setup.unit if setup else None,
        name=setup.name if setup else "",
        original={"ViewTransforms": [{"Name": t.name, "affine": list(t.affine)} for t in chain]},
        notes=() if matrix is not None else ("the XML has no registration of this view",),
    )


def beside(get: Callable[[str], bytes | None], container: str, view: tuple[int, int]) -> layout.Placement | None:
    """Return the placement of a view by the XML beside its container, or in it; None when there is none."""
    stem = container.rpartition(".")[0]
    folder = container.rpartition("/")[0]
    keys = [f"{stem}.xml"] * bool(stem) + [join_key(folder, "dataset.xml")] * bool(container)
    for key in (*keys, join_key(container, "dataset.xml")):
        raw = get(key) if "::" not in key else None
        try:
            data = None if raw is None else parse_spim_data(raw, key)
            if data is not None and resolved_container(key, data.container, key) == container:
                return placement(data, view)
        except (FormatError, UnsupportedError):  # a foreign or broken XML beside does not spoil the voxels
            continue
    return None


def unplaced() -> layout.Placement:
    """Return the placement of a view of which nothing is known."""
    return layout.own_placement(None, {})


# ---------------------------------------------------------------------------------------------------- collections
def collection(format: str, data: SpimData, path: str) -> CollectionInfo:
    """Return the views of an XML as members, setup by setup."""
    members = []
    several = len(data.timepoints) > 1
    for timepoint, number in data.views():
        setup = data.setup(number)
        name = setup.name if setup is not None and not several else ""
        facts = {"setup": number, "timepoint": timepoint, **(setup.attributes if setup is not None else {})}
        members.append(Member(f"::{view_name(timepoint, number)}", name, "image", facts))
    return CollectionInfo(
        format=format,
        kind="series",
        members=tuple(members),
        name=path.rpartition("/")[2],
        facts={"setups": len(data.setups), "timepoints": len(data.timepoints)},
    )


def container_collection(format: str, found: Sequence[tuple[int, int]], path: str, mark: str) -> CollectionInfo:
    """Return the views, (time point, setup), of a container without its XML; `mark` stands between file and view."""
    members = []
    for timepoint, setup in found:
        inner = layout.hdf5_view(timepoint, setup) if mark else view_name(timepoint, setup)
        members.append(Member(f"{mark}{inner}", "", "image", {"setup": setup, "timepoint": timepoint}))
    return CollectionInfo(format=format, kind="series", members=tuple(members), name=path.rpartition("/")[2])


# -------------------------------------------------------------------------------------------------------- writing
def xml_key(path: str) -> str:
    """Return the key of the XML of a container.

    Examples
    --------
    >>> xml_key("a/em.n5"), xml_key("em.h5"), xml_key("a/em")
    ('a/em.xml', 'em.xml', 'a/em/dataset.xml')
    """
    suffix = next((s for s in _CONTAINERS if path.lower().endswith(s) and len(path) > len(s)), None)
    return join_key(path, "dataset.xml") if suffix is None else f"{path[: -len(suffix)]}.xml"


def views_in(raw: bytes | None) -> set[tuple[int, int]]:
    """Return (time point, setup) of the views of an XML that is to be extended; none when there is none."""
    try:
        data = None if raw is None else parse_spim_data(raw, "the XML")
        return set() if data is None else set(data.views())
    except FormatError:
        return set()


def dump_xml_of(
    image: ImageInfo, loader: str, container: str, view: tuple[int, int] = (0, 0), existing: bytes | None = None
) -> bytes:
    """Return the XML with an image as one view, (time point, setup), beside the views it had.

    Raises
    ------
    ExistsError
        If the XML there belongs to something else.
    """
    timepoint, number = view
    data = _replaceable(existing, loader, container)
    setup = ViewSetup(
        id=number,
        name=image.name,
        size=image.levels[0].array.shape[::-1],
        voxel_size=layout.voxel_size(image),
        unit=short_unit(image.axes[0].unit),
        attributes=dict.fromkeys(_ATTRIBUTES, 0) | {"channel": number},
    )
    matrix = layout.world_matrix(image).ravel().tolist()
    chain = (ViewTransform(affine=tuple(matrix), name="calibration"),)
    if data is None:
        data = SpimData(loader=loader, container=container, setups=(), timepoints=(), registrations={})
    there = {*data.views(), view}
    before = data.setup(number)
    setups = {s.id: s for s in data.setups} | {
        number: replace(setup, attributes=before.attributes) if before else setup
    }
    timepoints = tuple(sorted({*data.timepoints, timepoint}))
    return dump_spim_data(
        SpimData(
            loader=loader,
            container=container,
            setups=tuple(setups[i] for i in sorted(setups)),
            timepoints=timepoints,
            registrations={**data.registrations, view: chain},
            missing=frozenset({(t, s) for t in timepoints for s in setups} - there),
        )
    )


def _replaceable(raw: bytes | None, loader: str, container: str) -> SpimData | None:
    """Return what an XML says that is to be extended; refuse one of another container."""
    if raw is None:
        return None
    try:
        data = parse_spim_data(raw, "the XML")
    except FormatError:
        data = None
    if data is not None and data.container in (container, f"./{container}") and data.loader == loader:
        return data
    raise ExistsError(
        f"there is an XML for {container} already, and it describes something else",
        code=Code.TARGET_EXISTS,
        fix="choose another name for the target, or move the XML away",
    )

"""Projects and datasets of MoBIE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from voxarium.errors import FormatError, InputError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.fields import Fields, Problems, dump_json
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.scene import WORLD, Scene, SceneLoss, SceneNode, SceneSource, SceneView
from voxarium.model.scene_fields import carried, guarded, listed, number, parse_document, refuse, texts
from voxarium.model.scene_losses import lost, with_ids
from voxarium.spec.mobie.defaults import fold_views, promote_placements
from voxarium.spec.mobie.dumping import fitted, write_datasets
from voxarium.spec.mobie.views import parse_view
from voxarium.spec.mobie.words import KINDS, VERSION, P, parse_data

__all__ = ["Mobie", "dump_project", "parse_project"]

_MOST_DATASETS: Final = 1000
_AXES: Final = tuple(Axis(name=n, type="space") for n in "zyx")
Documents = Mapping[str, "bytes | str | Mapping[str, Any]"]


def parse_project(documents: Documents) -> Scene:
    """Return the scene of a project or of a single dataset.

    Parameters
    ----------
    documents : mapping of str to bytes or mapping
        ``project.json`` and ``<dataset>/dataset.json`` of its datasets, or one ``dataset.json`` alone. A project of one
        dataset is that dataset's scene; of several, each is a collection, and ids begin with its name.

    Raises
    ------
    FormatError
        If a document breaks the specification, or is not there.
    """
    if not documents:
        raise refuse("the project", "has no document")
    first, *_ = documents.values()
    body = parse_document(first, "the project")
    try:
        if "datasets" not in body:
            scene = _dataset(body, "dataset.json")
            return replace(scene, bag=replace(scene.bag, records=(SourceRecord(format=P),)))
        return _project(body, documents)
    except InputError as error:
        raise guarded(error, "the project") from error


def _project(body: Mapping[str, Any], documents: Documents) -> Scene:
    problems = Problems("project.json")
    fields = Fields(body, problems)
    names = texts(fields, "datasets") or ()
    if not 0 < len(set(names)) == len(names) <= _MOST_DATASETS:
        problems.add("datasets is not a list of different names")
    version, description = fields.text("specVersion", ""), fields.text("description", "")
    default = fields.text("defaultDataset", names[0] if names else "")
    problems.check()
    extra = carried(fields, P)
    if version not in ("", VERSION):
        extra[f"{P}:specVersion"] = version
    scenes: list[Scene] = []
    for name in names:
        key = f"{name}/dataset.json"
        if key not in documents:
            raise refuse(
                f"project.json names the dataset {name!r}, but {key}", "is not there", "copy the whole project"
            )
        scenes.append(_dataset(parse_document(documents[key], key), key))
    record = SourceRecord(format=P, spec_version=version or None)
    if len(scenes) == 1:
        only = scenes[0]
        extra |= only.bag.extra
        if description and only.description:
            extra[f"{P}:datasetDescription"] = only.description
        bag = Bag(records=(record,), extra=extra)
        return replace(only, name=names[0], description=description or only.description, bag=bag)
    if default != names[0]:
        extra[f"{P}:defaultDataset"] = default
    return _joined(names, scenes, description, Bag(records=(record,), extra=extra))


def _joined(names: tuple[str, ...], scenes: list[Scene], description: str, bag: Bag) -> Scene:
    """Return datasets as collections of one scene."""
    nodes: list[SceneNode] = []
    views: list[SceneView] = []
    for name, scene in zip(names, scenes, strict=True):
        prefixed = _prefixed(scene, f"{name}/")
        extra = dict(scene.bag.extra)
        if scene.timepoints:
            extra[f"{P}:timepoints"] = scene.timepoints[0][1] + 1
        nodes.append(SceneNode(id=name, kind="collection", description=scene.description, extra=extra))
        nodes += [n if n.parent is not None else replace(n, parent=name) for n in prefixed.nodes]
        views += prefixed.views
    return Scene(
        format=P,
        description=description,
        nodes=tuple(nodes),
        views=tuple(views),
        systems=(CoordinateSystem(name=WORLD, axes=_AXES),),
        bag=bag,
    )


def _prefixed(scene: Scene, prefix: str) -> Scene:
    known = {n.id for n in scene.nodes}
    for view in scene.views:  # results of grids and crops are names of this dataset, too
        known |= set(view.visible or ()) | {s for m in view.moves for cell in (*m.nodes, *m.results) for s in cell}
    moved = with_ids(scene, {id: f"{prefix}{id}" for id in known})
    named = tuple(
        replace(
            v,
            name=f"{prefix}{v.name}",
            moves=tuple(
                replace(m, results=tuple(tuple(f"{prefix}{s}" for s in cell) for cell in m.results)) for m in v.moves
            ),
        )
        for v in moved.views
    )
    return replace(moved, views=named)


def _dataset(body: Mapping[str, Any], where: str) -> Scene:
    problems = Problems(where)
    fields = Fields(body, problems)
    nodes: list[SceneNode] = []
    for name, found in fields.mapping("sources").items():
        nodes += _parse_source(name, found, problems)
    views = [parse_view(name, found, problems) for name, found in fields.mapping("views", {}).items()]
    times = number(fields, "timepoints")
    description = fields.text("description", "")
    if times is not None and (not times.is_integer() or not 1 <= times < 2**31):
        problems.add("timepoints is not a number of timepoints")
    problems.check()
    scene = Scene(
        format=P,
        description=description,
        nodes=tuple(nodes),
        views=tuple(views),
        systems=(CoordinateSystem(name=WORLD, axes=_AXES),),
        timepoints=() if times is None else ((0, int(times) - 1),),
        bag=Bag(extra=carried(fields, P)),
    )
    return fold_views(promote_placements(scene))


def _parse_source(name: str, found: object, problems: Problems) -> list[SceneNode]:
    kind = next(iter(found), "") if isinstance(found, Mapping) and len(found) == 1 else ""
    if kind not in KINDS or not isinstance(found, Mapping):
        problems.add(f"sources.{name} is not an object with one key of {', '.join(KINDS)}")
        return []
    fields = Fields(found[kind], problems, f"sources.{name}.{kind}")
    sources = []
    for format, place in fields.mapping("imageData", {}).items():
        body = Fields(place, problems, f"sources.{name}.imageData.{format}")
        remote = body.has("s3Address")
        source = parse_data(format, body.text("s3Address" if remote else "relativePath", ""), remote)
        sources.append(replace(source, extra=carried(body, P)))
    table = _parse_table(fields, problems)
    owns = KINDS[kind] in ("points", "table")
    node = SceneNode(
        id=name,
        kind=KINDS[kind],
        description=fields.text("description", ""),
        sources=(*sources, *((table,) if owns and table is not None else ())),
        extra=carried(fields, P),
    )
    if owns or table is None:
        return [node]
    return [node, SceneNode(id=f"{name}/table", kind="table", parent=name, sources=(table,))]


def _parse_table(fields: Fields, problems: Problems) -> SceneSource | None:
    data = Fields(fields.mapping("tableData", {}), problems, "tableData")
    if not data.has("tsv"):
        return None
    body = Fields(data.mapping("tsv"), problems, "tableData.tsv")
    return SceneSource(uri=body.text("relativePath", ""), format="tsv", extra=carried(body, P))


# -- writing
def dump_project(scene: Scene) -> tuple[dict[str, dict[str, Any]], tuple[SceneLoss, ...]]:
    """Return ``project.json`` and the datasets of a scene, and what they do not say as the scene does."""
    plain, losses = fitted(scene)
    documents, stand_ins = write_datasets(plain)
    return documents, (*losses, *stand_ins, *lost(plain, parse_project(documents), P))


class Mobie:
    """The dialect of MoBIE."""

    name: ClassVar[str] = P
    title: ClassVar[str] = "MoBIE project or dataset"
    files: ClassVar[tuple[str, ...]] = ("project.json", "dataset.json")

    def claims(self, name: str, document: bytes, /) -> bool:
        """Tell whether a document lists datasets with a version, or has sources by kind and views by name."""
        try:
            found = parse_document(document, name)
        except FormatError:
            return False
        if isinstance(found.get("datasets"), list) and ("specVersion" in found or "defaultDataset" in found):
            return True
        sources = found.get("sources")
        if not isinstance(sources, dict) or not isinstance(found.get("views", {}), dict):
            return False
        return all(isinstance(s, dict) and len(s) == 1 and next(iter(s)) in KINDS for s in sources.values())

    def more(self, name: str, document: bytes, /) -> tuple[str, ...]:
        """Return the documents of the datasets."""
        problems = Problems(name)
        fields = Fields(parse_document(document, name), problems)
        names = [n for n in listed(fields, "datasets", _MOST_DATASETS) if isinstance(n, str)]
        return tuple(f"{n}/dataset.json" for n in names)

    def parse(self, documents: Mapping[str, bytes], /) -> Scene:
        """Return the scene; see `parse_project`."""
        return parse_project(documents)

    def dump(self, scene: Scene, /) -> tuple[Mapping[str, bytes], tuple[SceneLoss, ...]]:
        """Return ``project.json`` and the datasets; see `dump_project`."""
        documents, losses = dump_project(scene)
        return {key: dump_json(document) for key, document in documents.items()}, losses

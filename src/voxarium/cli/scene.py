"""``voxarium scene``: several images, how they are placed and shown, in one dialect or another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxarium.cli.arguments import AsJson, Quiet
from voxarium.cli.output import check_output, write_whole
from voxarium.cli.printing import note, print_json, say
from voxarium.errors import Code, ExistsError, InputError, StoreError

if TYPE_CHECKING:
    from voxarium.core.scenes import SceneDocuments
    from voxarium.model.scene import Scene

__all__ = ["scene"]

_MOST_LINES = 40


def scene(
    src: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A document (manifest.json, dataset.xml, project.json …), its folder, or a viewer's link.",
        ),
    ],
    to: Annotated[str | None, typer.Option("--to", metavar="FORMAT", help="Dialect to write.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE|FOLDER", help="Where to write; a folder for several documents."),
    ] = None,
    source_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="Dialect of the source; by content if not given.")
    ] = None,
    view: Annotated[str | None, typer.Option(metavar="NAME", help="View to show, where there is room for one.")] = None,
    base: Annotated[
        str | None, typer.Option(metavar="URI", help="Folder that relative addresses in the source are below.")
    ] = None,
    unit: Annotated[str | None, typer.Option(metavar="NAME", help="Unit of a source that does not say it.")] = None,
    link: Annotated[bool, typer.Option("--link", help="Print a link that a viewer opens, not the document.")] = False,
    viewer: Annotated[
        str | None, typer.Option(metavar="URL", help="Viewer of the link; the public one if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Describe a scene, or write it in another dialect and say what that cannot hold."""
    from voxarium.core.scenes import dump_scene, open_scene, scene_json, scene_link, with_base, with_unit

    if to is None and (out is not None or link):
        raise InputError(
            f"{'--out' if out is not None else '--link'} without --to",
            code=Code.ARGUMENT_INVALID,
            fix="name the dialect to write, such as --to neuroglancer",
        )
    found = open_scene(src, format=source_format)
    found = found if base is None else with_base(found, base)
    found = found if unit is None else with_unit(found, unit)
    if to is None:
        if as_json:
            print_json(scene_json(found))
        elif not quiet:
            say(_text(found))
        return
    written = dump_scene(found, to, view=view)
    if out is not None:
        _write(written, out, overwrite=overwrite)
    address = scene_link(written, viewer) if link else None
    if as_json:
        print_json(_json(written, out, address))
        return
    if address is not None:
        say(address)
    elif out is None:
        _print(written)
    if not quiet:
        _report(written)


def _text(scene: Scene) -> str:
    lines = [f"{scene.name or 'scene'}: {scene.format}, {len(scene.nodes)} nodes, {len(scene.views)} views"]
    units = ", ".join(f"{a.name} in {a.unit}" if a.unit else f"{a.name}, unit unknown" for a in scene.axes)
    if units:
        lines.append(f"  world: {units}")
    for node in scene.nodes[:_MOST_LINES]:
        places = ", ".join(f"{s.format} {s.uri}".strip() for s in node.sources)
        owner = f" of {node.parent}" if node.parent is not None else ""
        lines.append(f"  {node.kind} {node.id}{owner}  {places}".rstrip())
    if len(scene.nodes) > _MOST_LINES:
        lines.append(f"  and {len(scene.nodes) - _MOST_LINES} more nodes (all with --json)")
    lines += [f"  view {v.name}" for v in scene.views[:_MOST_LINES]]
    return "\n".join(lines)


def _write(written: SceneDocuments, out: Path, *, overwrite: bool) -> None:
    """Write one document to a file; several into a folder, the main one last."""
    if len(written.documents) == 1:
        (name, raw), *_ = written.documents.items()
        check_output(out, (Path(name).suffix,), overwrite=overwrite)
        write_whole(out, raw)
        return
    targets = {out / name: raw for name, raw in written.documents.items()}
    if out.is_file():
        raise ExistsError(f"{out} is a file", code=Code.TARGET_EXISTS, fix="name a folder: there are several documents")
    for path in targets:
        if path.exists() and not overwrite:
            raise ExistsError(
                f"{path} exists", code=Code.TARGET_EXISTS, fix="choose another folder, or replace with --overwrite"
            )
    for path, raw in reversed(targets.items()):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{path.parent} could not be made: {error.strerror or error}",
                code=Code.STORE_UNWRITABLE,
                fix="check the folder's permissions",
            ) from error
        write_whole(path, raw)


def _print(written: SceneDocuments) -> None:
    """Print the document; several as one object by name."""
    import json

    if len(written.documents) == 1:
        say(next(iter(written.documents.values())).decode().rstrip("\n"))
    else:
        print_json({name: json.loads(raw) for name, raw in written.documents.items()})


def _json(written: SceneDocuments, out: Path | None, link: str | None) -> dict[str, Any]:
    losses = [{"kind": loss.kind, "where": loss.where, "message": loss.message} for loss in written.losses]
    body: dict[str, Any] = {"format": written.format} | ({} if link is None else {"link": link}) | {"losses": losses}
    if out is not None:
        return {"out": str(out)} | body
    return body | {"documents": {name: raw.decode() for name, raw in written.documents.items()}}


def _report(written: SceneDocuments) -> None:
    """Say on stderr what was lost."""
    for loss in written.losses[:_MOST_LINES]:
        note(
            "lost" if loss.kind not in ("name", "required") else loss.kind,
            f"{loss.where}: {loss.message}",
            "bold yellow",
        )
    if len(written.losses) > _MOST_LINES:
        note("lost", f"and {len(written.losses) - _MOST_LINES} more (all with --json)", "bold yellow")

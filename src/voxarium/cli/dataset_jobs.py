"""Jobs whose target lies in a dataset: the name is checked before, the result listed and recorded after."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from voxarium.cli.printing import note
from voxarium.errors import VoxariumError

if TYPE_CHECKING:
    from voxarium.archive.datasets import DatasetFolder
    from voxarium.archive.layouts import Facts, Place
    from voxarium.core.dataset import Dataset
    from voxarium.core.image import Image
    from voxarium.model.provenance import Artifact

__all__ = ["DatasetJob", "dataset_job", "list_member", "record_in_dataset"]

_UNSAID: Final = ("digests",)


@dataclass(frozen=True, slots=True)
class DatasetJob:
    """A job that writes a member of a dataset."""

    dataset: DatasetFolder
    place: Place

    @property
    def target(self) -> str:
        """Where the layout wants the member."""
        return self.dataset.address(self.place.path)

    def finish(
        self,
        operation: str,
        source: Image | Dataset,
        choices: Mapping[str, Any],
        roots: tuple[str, ...] = (),
        *,
        quiet: bool = False,
    ) -> dict[str, Any]:  # Any: JSON
        """List the member, draw it, and record what was done; return what a report says of it."""
        from voxarium.archive.datasets import open_in
        from voxarium.model.provenance import Activity, Artifact, plain_parameters

        found = open_in(self.target)
        member, notes = list_member(self.dataset, self.place, found)
        if not quiet:
            for text in notes:
                note("note", text, "bold yellow")
        outputs = [Artifact(member.path, root, role=member.kind) for root in roots[:1]]
        entry = self.dataset.record(
            Activity(
                operation=operation,
                inputs=[_input(self.dataset, source)],
                outputs=outputs or [Artifact(member.path, role=member.kind)],
                parameters=plain_parameters({k: v for k, v in choices.items() if v is not None and k not in _UNSAID}),
            )
        )
        return {"dataset": self.dataset.uri, "member": member.name, "entry": entry.sequence}


def _input(dataset: DatasetFolder, source: Image | Dataset) -> Artifact:
    from voxarium.model.provenance import Artifact

    address = "/".join(p for p in (source.store.uri.rstrip("/"), source.path) if p)
    inside = address.removeprefix("file://").removeprefix(f"{dataset.uri}/")
    return Artifact(inside if inside != address.removeprefix("file://") else address)


def dataset_job(target: str, facts: Facts) -> DatasetJob | None:
    """Return the job if the target lies in a dataset.

    Raises
    ------
    InputError
        If the layout of the dataset forbids the name.
    """
    from voxarium.archive.datasets import enclosing_dataset

    found = enclosing_dataset(target)
    if found is None:
        return None
    dataset, given = found
    return DatasetJob(dataset, dataset.place(given, facts))


def list_member(dataset: DatasetFolder, place: Place, found: Image | Dataset | None, facts: Facts | None = None) -> Any:
    """List something as a member, with a picture of it; return the member and notes."""
    from voxarium.archive.datasets import facts_of
    from voxarium.archive.layouts import Facts
    from voxarium.core.image import Image

    notes: tuple[str, ...] = ()
    picture, version = None, ""
    if isinstance(found, Image):
        version = found.info.spec_version or ""
        picture, why = _picture(found)
        notes = (why,) if why else ()
    known = facts or (Facts() if found is None else facts_of(found))
    member, more = dataset.register(place, known, picture=picture, spec_version=version)
    if picture is not None and member.kind == "image":
        _picture_of_all(dataset, picture)
    return member, notes + more


def _picture(image: Image) -> tuple[bytes | None, str]:
    """Return a picture, or why there is none: nothing fails for want of a picture."""
    from voxarium.view.thumbnail import thumbnail_png

    try:
        return thumbnail_png(image), ""
    except VoxariumError as error:
        return None, f"no thumbnail of {image.name}: {error.message}"


def _picture_of_all(dataset: DatasetFolder, picture: bytes) -> None:
    """Give the dataset the picture of its first image, if it has none."""
    path = dataset.layout.thumbnail
    if dataset.document.thumbnail or not dataset.store.put_if_absent(path, _as_jpeg(picture, path)):
        return
    dataset.change(lambda d: replace(d, thumbnail=path))


def _as_jpeg(picture: bytes, path: str) -> bytes:
    if not path.endswith(".jpg"):
        return picture
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as opened:
        opened.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def record_in_dataset(uri: str, operation: str, parameters: Mapping[str, Any], *, source: str = "") -> None:
    """Record what was done to a dataset, or to something in one; nothing where there is none.

    `source`: what it was made from, if that is something else.
    """
    from voxarium.archive.datasets import enclosing_dataset
    from voxarium.model.provenance import Activity, Artifact, plain_parameters

    found = enclosing_dataset(uri, itself=True)
    if found is None:
        return
    dataset, path = found
    dataset.record(
        Activity(
            operation=operation,
            inputs=[Artifact(source or path or ".")],
            outputs=[Artifact(path or ".")],
            parameters=plain_parameters({k: v for k, v in parameters.items() if v is not None}),
        )
    )

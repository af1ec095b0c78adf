"""Jobs whose target lies in a dataset: the name is checked before, the result listed and recorded after.

Every engine that writes into a dataset is called through `voxarium.archive.jobs`, which does this.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from voxarium.archive.datasets import DatasetFolder, enclosing_dataset, facts_of, open_in
from voxarium.archive.layouts import Facts, Place
from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.registry import picture_drawers
from voxarium.errors import VoxariumError
from voxarium.model.provenance import Activity, Artifact, plain_parameters
from voxarium.spec.dataset_document import DatasetMember

__all__ = ["Listed", "MemberJob", "list_member", "member_job", "planned_facts", "record_in_dataset"]

_UNSAID: Final = ("digests",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What became of the result of a job.

    Parameters
    ----------
    dataset : str
        Address of the dataset.
    member : str
        Name in it.
    entry : int
        Number of the entry in the provenance log.
    notes : tuple of str
        What the user should know.
    """

    dataset: str
    member: str
    entry: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return what a report says of it."""
        return {"dataset": self.dataset, "member": self.member, "entry": self.entry}


@dataclass(frozen=True, slots=True)
class MemberJob:
    """A job that writes a member of a dataset.

    Parameters
    ----------
    dataset : DatasetFolder
        Which.
    place : Place
        Where its layout wants the member.
    given : str
        What somebody called the target.
    """

    dataset: DatasetFolder
    place: Place
    given: str

    @property
    def target(self) -> str:
        """Address to write to."""
        return self.dataset.address(self.place.path)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before."""
        if self.given.rstrip("/").endswith(self.place.path):
            return ()
        return (f"{self.place.name} goes to {self.target}, as the layout of the dataset says",)

    def finish(
        self,
        operation: str,
        source: Image | Dataset,
        choices: Mapping[str, Any],  # Any: what was asked
        roots: tuple[str, ...] = (),
    ) -> Listed:
        """List the member, draw it, and record what was done.

        Parameters
        ----------
        operation : str
            For the log.
        source : Image or Dataset
            What was read.
        choices : mapping
            What was asked; None is left out.
        roots : tuple of str
            Of a manifest of the result; the first is recorded.
        """
        derived = "prediction" if isinstance(source, Image) and source.role == "prediction" else None
        meant = choices.get("role") or derived
        member, notes = list_member(self.dataset, self.place, open_in(self.target), role=meant)
        outputs = [Artifact(member.path, root, role=member.kind) for root in roots[:1]]
        entry = self.dataset.record(
            Activity(
                operation=operation,
                inputs=[_input(self.dataset, source)],
                outputs=outputs or [Artifact(member.path, role=member.kind)],
                parameters=plain_parameters({k: v for k, v in choices.items() if v is not None and k not in _UNSAID}),
            )
        )
        return Listed(dataset=self.dataset.uri, member=member.name, entry=entry.sequence, notes=notes)


def _input(dataset: DatasetFolder, source: Image | Dataset) -> Artifact:
    address = "/".join(p for p in (source.store.uri.rstrip("/"), source.path) if p)
    inside = address.removeprefix("file://").removeprefix(f"{dataset.uri}/")
    return Artifact(inside if inside != address.removeprefix("file://") else address)


def planned_facts(source: Image | Dataset, choices: Mapping[str, Any]) -> Facts:  # Any: what was asked
    """Return what a layout wants to know of what a conversion will write."""
    format = choices.get("format") or ""
    if isinstance(source, Dataset):
        return Facts(kind="collection", format=format)
    role = choices.get("role") or source.role
    dtype = str(choices.get("dtype") or source.dtype.name)
    return Facts(kind="label" if role == "label" else "image", format=format, dtype=dtype, role=role)


def member_job(target: str | os.PathLike[str], facts: Facts) -> MemberJob | None:
    """Return the job if the target lies in a dataset.

    Raises
    ------
    InputError
        If the layout of the dataset forbids the name.
    """
    found = enclosing_dataset(target)
    if found is None:
        return None
    dataset, given = found
    return MemberJob(dataset, dataset.place(given, facts), os.fspath(target))


def list_member(
    dataset: DatasetFolder,
    place: Place,
    found: Image | Dataset | None,
    facts: Facts | None = None,
    *,
    role: str | None = None,
) -> tuple[DatasetMember, tuple[str, ...]]:
    """List something as a member, with a picture of it; return the member and notes.

    Few formats have a word for predictions: an image is one if `role` says so, or what is listed if nothing is said.
    """
    notes: tuple[str, ...] = ()
    picture, version = None, ""
    if isinstance(found, Image):
        version = found.info.spec_version or ""
        picture, why = _picture(found)
        notes = (why,) if why else ()
    known = facts or (Facts() if found is None else facts_of(found))
    before = dataset.document.find(place.name)
    if known.role == "intensity" and (role or ("" if before is None else before.role)) == "prediction":
        known = replace(known, role="prediction")
    member, more = dataset.register(place, known, picture=picture, spec_version=version)
    if picture is not None and member.kind == "image":
        _picture_of_all(dataset, picture)
    return member, notes + more


def _picture(image: Image) -> tuple[bytes | None, str]:
    """Return a picture, or why there is none: nothing fails for want of a picture."""
    why = "nothing is installed that draws"
    for drawer in picture_drawers():
        try:
            return drawer.draw(image), ""
        except VoxariumError as error:
            why = error.message
    return None, f"no thumbnail of {image.name}: {why}"


def _picture_of_all(dataset: DatasetFolder, picture: bytes) -> None:
    """Give the dataset the picture of its first image, if it has none."""
    path = dataset.layout.thumbnail
    if dataset.document.thumbnail or not dataset.store.put_if_absent(path, _as_jpeg(picture, path)):
        return
    dataset.change(lambda d: replace(d, thumbnail=path))


def _as_jpeg(picture: bytes, path: str) -> bytes:
    if not path.endswith(".jpg"):
        return picture
    from PIL import Image as Pictures

    out = io.BytesIO()
    with Pictures.open(io.BytesIO(picture)) as opened:
        opened.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def record_in_dataset(
    uri: str | os.PathLike[str],
    operation: str,
    parameters: Mapping[str, Any],  # Any: what was asked
    *,
    source: str = "",
    digest: str = "",
) -> None:
    """Record what was done to a dataset, or to something in one; nothing where there is none.

    `source`: what it was made from, if that is something else. `digest`: of what came out.
    """
    found = enclosing_dataset(uri, itself=True)
    if found is None:
        return
    dataset, path = found
    dataset.record(
        Activity(
            operation=operation,
            inputs=[Artifact(source or path or ".")],
            outputs=[Artifact(path or ".", digest)],
            parameters=plain_parameters({k: v for k, v in parameters.items() if v is not None}),
        )
    )

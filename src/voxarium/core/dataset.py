"""Everything about one specimen: for now, the images found together in one folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from voxarium.core.image import Image
from voxarium.errors import Code, NotFoundError, VoxariumError
from voxarium.model.protocols import ReadableStore

__all__ = ["Dataset"]


class Dataset:
    """A folder of images.

    Parameters
    ----------
    store : ReadableStore
        Where it is.
    path : str
        Its path in the store.
    images : tuple of Image
        What opened.
    problems : mapping of str to VoxariumError
        By path, why other images in the folder did not open.
    """

    def __init__(
        self,
        store: ReadableStore,
        path: str,
        images: tuple[Image, ...],
        problems: Mapping[str, VoxariumError] | None = None,
    ) -> None:
        self.store = store
        self.path = path
        self.images = images
        self.problems = dict(problems or {})

    @property
    def name(self) -> str:
        """Last part of the address."""
        return f"{self.store.uri}/{self.path}".rstrip("/").rsplit("/", 1)[-1]

    def _key(self, image: Image) -> str:
        return image.path.removeprefix(f"{self.path}/") if self.path else image.path

    def keys(self) -> list[str]:
        """Return the paths of the images below the dataset."""
        return [self._key(i) for i in self.images]

    def __getitem__(self, key: str) -> Image:
        for image in self.images:
            if self._key(image) == key:
                return image
        raise NotFoundError(
            f"{self.name} has no image {key!r}",
            code=Code.PATH_MISSING,
            fix=f"choose one of {', '.join(self.keys())}",
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        lines = [f"Dataset {self.name}: {len(self)} images"]
        for key, image in zip(self.keys(), self.images, strict=True):
            shape = " × ".join(f"{n:,}" for n in image.shape)
            lines.append(f"  {key}: {image.role}, {image.dtype} {shape}, {len(image.levels)} levels")
        lines.extend(f"  {path}: cannot be opened: {error}" for path, error in self.problems.items())
        return "\n".join(lines)

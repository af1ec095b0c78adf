"""The official documents of 0.4, 0.5 and 0.6, and documents that other projects publish as examples."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxarium.errors import FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.spec import ome

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NGFF = SHARED / "ngff" / "ngff-spec"
pytestmark = pytest.mark.skipif(not NGFF.exists(), reason=f"no official documents at {NGFF}")

# Documents the official suites call valid and this reader refuses: they break a rule no reading gets around.
REFUSED = {
    ("0.4", "image/mismatch_axes_units"): "a scale of 2 numbers for 3 axes (CT-003)",
    ("0.6", "image/mismatch_axes_units"): "a scale of 2 numbers for 3 axes (TR-011)",
}
NO_IMAGE = {
    "label/minimal": "image-label without multiscales (LB-009)",
    "label/minimal_properties": "image-label without multiscales (LB-009)",
}


def suite(version: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield (name, attributes, valid) of the documents about images and labels."""
    if version == "0.6":
        for path in sorted((NGFF / "0.6rc0/tests/attributes").rglob("*.json")):
            kind = path.parent.name
            if kind in ("image", "label", "transforms"):
                document = json.loads(path.read_text())
                yield f"{kind}/{path.stem}", document, "valid" in path.parts
        return
    for path in sorted((NGFF / version / "tests").glob("*.json")):
        kind = path.stem.removeprefix("strict_").removesuffix("_suite")
        if kind in ("image", "label"):
            for test in json.loads(path.read_text())["tests"]:
                yield f"{kind}/{Path(test['formerly']).stem}", test["data"], test["valid"]


def cases() -> list[Any]:
    if not NGFF.exists():
        return []
    return [
        pytest.param(version, document, valid, name, id=f"{version}-{name}-{i}")
        for version in ("0.4", "0.5", "0.6")
        for i, (name, document, valid) in enumerate(suite(version))
    ]


def axes_of(attributes: dict[str, Any]) -> int:
    body = ome.namespace(attributes)["multiscales"][0]
    axes = body.get("axes") or body["coordinateSystems"][-1]["axes"]
    if "coordinateSystems" in body:
        name = body["datasets"][0]["coordinateTransformations"][0]["output"]["name"]
        axes = next(s["axes"] for s in body["coordinateSystems"] if s["name"] == name)
    return len(axes)


def parse(attributes: dict[str, Any], ndim: int) -> ImageInfo:
    paths = ome.level_paths(attributes)
    shapes = [tuple(max(1, n >> i) for n in (5, 6, 40, 50, 60)[-ndim:]) for i in range(len(paths))]
    arrays = {
        p: ArrayInfo(format="fake", shape=s, dtype=np.dtype("uint16"), chunk_shape=s)
        for p, s in zip(paths, shapes, strict=True)
    }
    return ome.parse_image(attributes, arrays)


@pytest.mark.parametrize(("version", "document", "valid", "name"), cases())
def test_official_documents(version: str, document: dict[str, Any], valid: bool, name: str, comparable: Any) -> None:
    if not valid:
        for ndim in range(1, 7):
            with contextlib.suppress(FormatError, InputError, UnsupportedError, NotFoundError):
                parse(document, ndim)
        return
    if name in NO_IMAGE:
        with pytest.raises(FormatError, match="multiscales"):
            parse(document, 2)
        return
    if (version, name) in REFUSED:
        with pytest.raises(FormatError, match="does not fit the axes t, y, x"):
            parse(document, 3)
        return
    image = parse(document, axes_of(document))
    for target in ome.VERSIONS:
        ome.check_image(image, target)
        written = ome.dump_attributes(image, target)
        again = ome.parse_image(written, {level.path: level.array for level in image.levels})
        for a, b in zip(image.levels, again.levels, strict=True):
            assert a.transform == b.transform
        assert (again.axes, again.name, again.role, again.method) == (
            image.axes,
            image.name,
            image.role,
            image.method,
        )
        twice = ome.parse_image(ome.dump_attributes(again, target), {level.path: level.array for level in image.levels})
        assert comparable(twice) == comparable(again)


def without_comments(text: str) -> str:
    """Return strict JSON: the examples of the specification have comments and trailing commas."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
    return re.sub(r",(\s*[\]}])", r"\1", re.sub(r"\s//.*", "", "\n".join(lines)))


def examples() -> list[Path]:
    found = [
        *(NGFF / "0.4/examples/multiscales_strict").glob("[!.]*.json"),
        *(NGFF / "0.5/examples/multiscales_strict").glob("[!.]*.json"),
        *(NGFF / "0.6rc0/examples/multiscales_strict").glob("[!.]*.json"),
        *(NGFF / "0.6rc0/examples/subspace").glob("[!.]*.json"),
        *(NGFF / "0.1/examples/image/valid").glob("*.json"),
        *(NGFF / "0.3/examples/image/valid").glob("*.json"),
        *(SHARED / "ngff/ome-zarr-models/tests/data/examples").rglob("*image_example.json"),
        *(SHARED / "ngff/ome-zarr-models/tests/data/examples").rglob("*multiscales_example.json"),
    ]
    return sorted(found)


@pytest.mark.parametrize("path", examples(), ids=lambda p: str(p.relative_to(SHARED)))
def test_published_examples_of_images_are_read(path: Path) -> None:
    document = json.loads(without_comments(path.read_text()))
    attributes = document.get("attributes", document)
    for ndim in range(1, 7):
        with contextlib.suppress(FormatError):
            assert parse(attributes, ndim).levels
            return
    pytest.fail("no number of axes fits")

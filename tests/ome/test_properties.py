"""Any document is an image or an error of this package; what was written is read as it was."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.errors import FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.formats.ome_zarr import OmeZarrDriver
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo, LevelInfo
from voxarium.model.transforms import Scale, Sequence, Translation
from voxarium.spec import ome

EXPECTED = (FormatError, InputError, UnsupportedError, NotFoundError)
leaf = (
    st.none()
    | st.booleans()
    | st.integers(-3, 6)
    | st.sampled_from([0.5, -2.0, 1e308, 10**400, 1e-320])
    | st.sampled_from(["", "0", "a", "y", "x", "../b", "physical", "index", "array", "space", "scale", "\ud800"])
)
junk = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "type", "path", "scale", "input", "output", "axes"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


def seed(version: str) -> dict[str, Any]:
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    steps: list[Any] = [{"type": "scale", "scale": [2, 3]}, {"type": "translation", "translation": [1, 1]}]
    body: dict[str, Any] = {"name": "em", "type": "mean", "metadata": {}}
    if version == "0.6":
        ends = [{"input": {"path": p}, "output": {"name": "index"}} for p in "01"]
        indices = [{"name": n, "type": "array"} for n in "yx"]
        body["coordinateSystems"] = [{"name": "index", "axes": indices}, {"name": "physical", "axes": axes}]
        body["datasets"] = [
            {"path": "0", "coordinateTransformations": [{"type": "identity"} | ends[0]]},
            {
                "path": "1",
                "coordinateTransformations": [{"type": "sequence", "transformations": steps} | ends[1]],
            },
        ]
        inner: list[Any] = [
            {"type": "affine", "affine": [[1, 2, 3], [4, 5, 6]]},
            {"type": "rotation", "rotation": [[0, 1], [-1, 0]]},
            {"type": "mapAxis", "mapAxis": [1, 0]},
            {
                "type": "byDimension",
                "transformations": [
                    {
                        "inputAxes": [i],
                        "outputAxes": [1 - i],
                        "transformation": {"type": "scale", "scale": [2]},
                    }
                    for i in range(2)
                ],
            },
            {"type": "bijection", "forward": steps[0], "inverse": {"type": "scale", "scale": [0.5, 0.3]}},
            {"type": "projectAxis", "droppedInputs": [0], "createdOutputs": [1]},
        ]
        ends = [{"input": {"name": "index"}, "output": {"name": "physical"}}]
        body["coordinateTransformations"] = [{"type": "sequence", "transformations": inner} | ends[0]]
    else:
        body["axes"] = axes
        body["datasets"] = [{"path": p, "coordinateTransformations": copy.deepcopy(steps)} for p in "01"]
        body["coordinateTransformations"] = [{"type": "scale", "scale": [5, 7]}]
    out: dict[str, Any] = {
        "multiscales": [body],
        "omero": {"channels": [{"color": "FF0000", "window": {"min": 0, "max": 9, "start": 1, "end": 5}}]},
        "image-label": {
            "colors": [{"label-value": 1, "rgba": [1, 2, 3, 4]}],
            "properties": [{"label-value": 1}],
            "source": {"image": "../../"},
        },
    }
    return out if version == "0.4" else {"ome": out | {"version": version}}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A good document with one to three values replaced or removed."""
    document = seed(draw(st.sampled_from(["0.4", "0.5", "0.6"])))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(places(document)))
        holder: Any = document
        for key in above:
            holder = holder[key]
        if draw(st.booleans()) and isinstance(holder, dict):
            del holder[last]
        else:
            holder[last] = draw(junk)
        if not places(document):
            break
    return document


def array(shape: tuple[int, ...]) -> ArrayInfo:
    return ArrayInfo(format="fake", shape=shape, dtype=np.dtype("uint8"), chunk_shape=shape)


def opened(document: Any) -> ImageInfo:
    from dataclasses import dataclass

    raw = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": document}).encode()

    @dataclass
    class OneDocument:
        uri: str = "one://"

        def get(self, key: str) -> bytes | None:
            return raw if key == "zarr.json" else None

    return OmeZarrDriver().open(OneDocument(), "", lambda key: array((5, 7)))  # type: ignore[arg-type]  # get is all it needs


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
def test_the_undamaged_document_is_read(version: str) -> None:
    image = opened(seed(version))
    assert [v.path for v in image.levels] == ["0", "1"]
    assert image.role == "label"
    if version == "0.6":
        assert image.world == "physical"
        assert [a.name for a in image.axes] == ["y", "x"]


@given(damaged())
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_documents_are_read_or_refused_and_what_is_read_can_be_written(
    document: dict[str, Any],
) -> None:
    try:
        image = opened(document)
    except EXPECTED:
        return
    for version in ome.VERSIONS:
        with contextlib.suppress(InputError, UnsupportedError):
            raw = OmeZarrDriver().dump("", image, version, {})
            attributes = json.loads(list(raw.values())[-1])
            attributes = attributes if version == "0.4" else attributes["attributes"]
            again = ome.parse_image(attributes, {v.path: v.array for v in image.levels})
            for a, b in zip(again.levels, image.levels, strict=True):
                np.testing.assert_allclose(a.transform.matrix(2), b.transform.matrix(2), rtol=1e-9)


@given(junk)
@settings(max_examples=200, deadline=None)
def test_any_json_is_an_image_or_an_error_of_this_package(document: Any) -> None:
    for attributes in (
        document,
        {"ome": document},
        {"multiscales": document},
        {"ome": {"multiscales": [document]}},
    ):
        with contextlib.suppress(*EXPECTED):
            opened(attributes)


length = st.floats(1e-6, 1e6)
shift = st.floats(-1e9, 1e9)


@st.composite
def images(draw: st.DrawFn) -> ImageInfo:
    names = draw(st.sampled_from(["yx", "zyx", "czyx", "tyx", "tczyx"]))
    kinds = {"t": "time", "c": "channel"}
    units = st.sampled_from([None, "nanometer", "second"])
    axes = tuple(Axis(name=n, type=kinds.get(n, "space"), unit=draw(units)) for n in names)
    n = len(axes)
    levels = tuple(
        LevelInfo(
            path=f"s{i}",
            array=array((max(1, 9 >> i),) * n),
            transform=Sequence(
                (
                    Scale(tuple(draw(st.lists(length, min_size=n, max_size=n)))),
                    Translation(tuple(draw(st.lists(shift, min_size=n, max_size=n)))),
                )
            ),
        )
        for i in range(draw(st.integers(1, 4)))
    )
    text = st.text(max_size=8)
    return ImageInfo(
        format="raw",
        axes=axes,
        levels=levels,
        name=draw(text),
        method=draw(st.none() | text.filter(bool)),
        role=draw(st.sampled_from(["intensity", "label"])),
    )


@given(images(), st.sampled_from(["0.4", "0.5", "0.6"]))
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read_as_it_was(image: ImageInfo, version: str) -> None:
    documents = OmeZarrDriver().dump("a", image, version, {})
    assert OmeZarrDriver().dump("a", image, version, {}) == documents
    attributes = json.loads(list(documents.values())[-1])
    attributes = attributes if version == "0.4" else attributes["attributes"]
    again = ome.parse_image(attributes, {v.path: v.array for v in image.levels})
    assert again.levels == image.levels
    assert (again.axes, again.name, again.method, again.role) == (
        image.axes,
        image.name,
        image.method,
        image.role,
    )

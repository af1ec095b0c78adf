"""Documents of anybody: every driver answers junk with one of our errors, in bounded time."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.errors import Code, FormatError, VoxariumError
from voxarium.formats.bdv import BdvDriver
from voxarium.formats.bdv_hdf5 import BdvHdf5Driver
from voxarium.formats.cellmap_annotation import CellmapAnnotationDriver
from voxarium.formats.cosem import CosemDriver
from voxarium.formats.cremi import CremiDriver
from voxarium.formats.n5 import N5Driver
from voxarium.formats.n5_canonical import N5CanonicalDriver
from voxarium.formats.n5_viewer import N5ViewerDriver
from voxarium.formats.ome_n5 import OmeN5Driver
from voxarium.formats.paintera import PainteraDriver
from voxarium.stores.memory import MemoryStore

from .conftest import json_junk

DRIVERS = [
    BdvDriver(),
    BdvHdf5Driver(),
    CellmapAnnotationDriver(),
    CosemDriver(),
    CremiDriver(),
    N5CanonicalDriver(),
    N5ViewerDriver(),
    OmeN5Driver(),
    PainteraDriver(),
]
KEYS = [
    *("axes", "units", "scale", "translate", "transform", "scales", "pixelResolution", "dimensions", "unit", "path"),
    *("multiscales", "datasets", "downsamplingFactors", "resolution", "offset", "painteraData", "multiScale", "type"),
    *("spatialTransform", "affine", "cellmap", "annotation", "class_name", "encoding", "name", "dataType", "ome"),
    *("coordinateTransformations", "annotation_type", "affineTransform", "coordinateArrays", "intensityLimits"),
]
PLACES = [
    *("attributes.json", "s0/attributes.json", "s1/attributes.json", "data/attributes.json", "data/s0/attributes.json"),
    *(".zattrs", "s0/.zattrs", "setup0/attributes.json", "setup0/timepoint0/attributes.json", "a.xml", "dataset.xml"),
    "setup0/timepoint0/s0/attributes.json",
]
# What makes each driver look closer.
LURES = [
    {"transform": {"axes": ["z", "y", "x"], "scale": [1, 2, 3], "translate": [0, 0, 0], "units": ["nm"] * 3}},
    {"dimensions": [3, 4, 5], "blockSize": [3, 4, 5], "dataType": "uint8", "compression": {"type": "raw"}},
    {"multiScale": True, "resolution": [1, 2, 3]},
    {"painteraData": {"type": "raw"}},
    {"downsamplingFactors": [[1, 1, 1]], "dataType": "uint8"},
    {"spatialTransform": {"transform": {"type": "identity"}, "unit": "nm"}},
    {"multiscales": [{"axes": [{"name": "z"}, {"name": "y"}, {"name": "x"}], "datasets": [{"path": "s0"}]}]},
    {"cellmap": {"annotation": {"class_name": "a", "annotation_type": {"type": "instance_segmentation"}}}},
]

documents = st.dictionaries(
    st.sampled_from(PLACES),
    st.tuples(st.lists(st.sampled_from(LURES), max_size=3), json_junk(KEYS)),
    min_size=1,
    max_size=6,
)


def opened(driver, objects, path=""):
    store = MemoryStore(objects)
    return driver.open(store, path, lambda key: N5Driver().open(store, key))


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda d: d.name)
@given(found=documents)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_junk_documents(driver, found):
    objects = {}
    for key, (lures, junk) in found.items():
        document = {k: v for lure in lures for k, v in lure.items()}
        if isinstance(junk, dict):
            document |= junk
        objects[key] = json.dumps(document).encode()
    for path in ("", "a.xml", "data", "setup0/timepoint0"):
        with contextlib.suppress(VoxariumError):
            image = opened(driver, objects, path)
            for level in image.levels:
                level.transform.matrix(len(image.axes))


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda d: d.name)
@given(raw=st.binary(max_size=200), key=st.sampled_from(PLACES))
@settings(max_examples=30, deadline=None)
def test_junk_bytes(driver, raw, key):
    for path in ("", "a.xml"):
        with contextlib.suppress(VoxariumError):
            opened(driver, {key: raw}, path)


@pytest.mark.parametrize("driver", [d for d in DRIVERS if d.name not in ("cremi", "cellmap-annotation")])
@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"dimensions": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b"[1]",
        b'{"a": 1',
    ],
)
def test_documents_that_are_no_objects_are_refused(driver, raw):
    with pytest.raises((FormatError, VoxariumError)):
        opened(driver, {"attributes.json": raw, "s0/attributes.json": raw})


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda d: d.name)
def test_absurd_sizes_cost_nothing(driver):
    """Lengths of 2**62, millions of axes and levels: refused, or described without setting anything aside."""
    array = {"dimensions": [2**62] * 3, "blockSize": [8] * 3, "dataType": "uint8", "compression": {"type": "raw"}}
    many = {"multiscales": [{"datasets": [{"path": f"s{i}", **LURES[0]} for i in range(5_000)]}]}
    wide = {"transform": {"axes": [f"a{i}" for i in range(20_000)], "scale": [1] * 20_000}}
    for group in ({}, many, {"scales": [[1, 1, 1]] * 20_000}, {"multiScale": True, "resolution": [1] * 100_000}):
        for level in (array | LURES[0], array | wide, array | {"dimensions": [1] * 20_000}):
            objects = {"attributes.json": json.dumps(group).encode(), "s0/attributes.json": json.dumps(level).encode()}
            with contextlib.suppress(VoxariumError):
                image = opened(driver, objects)
                assert len(image.levels) == 1


def test_a_document_that_is_too_large_is_refused(monkeypatch):
    from voxarium.model import attribute_documents

    monkeypatch.setattr(attribute_documents, "_MAX_DOCUMENT", 10)
    with pytest.raises(FormatError) as caught:
        opened(CosemDriver(), {"attributes.json": b'{"a": "0123456789"}'})
    assert caught.value.code == Code.SIZE_IMPLAUSIBLE

"""Any document is a scene or an error of this package, in bounded time."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.core.scenes import scene_dialect
from voxarium.errors import FormatError, UnsupportedError
from voxarium.spec.neuroglancer_state import parse_state
from voxarium.spec.scene_bdv import parse_spim_data

NAMES = ("collections", "mobie", "neuroglancer", "openorganelle", "webknossos")
leaf = (
    st.none()
    | st.booleans()
    | st.integers(-3, 6)
    | st.sampled_from([0.5, -2.0, 1e308, 10**400, 2**62, 1e-320, float("nan"), float("inf")])
    | st.sampled_from(
        ["", "0", "em", "x", "z", "../b", "m", "nm", "collection", "affine", "\ud800", "{}", "local://annotations"]
    )
)
KEYS = (
    "name", "type", "path", "sources", "views", "layers", "source", "transform", "matrix", "dimensions", "nodes", "ome",
    "attributes", "dataLayers", "scale", "factor", "boundingBox", "position", "datasets", "image", "imageData",
    "labels", "scene", "coordinateSystems", "axes", "sourceTransforms", "affine", "voxarium:views",
    "segments", "shaderControls",
)  # fmt: skip
junk = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


def paths(value, at=()):
    """Yield the place of everything in a document."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*at, key))


def put(document, at, value):
    """Return the document with something else at a place."""
    if not at:
        return value
    out = copy.deepcopy(document)
    inner = out
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return out


def survives(name, documents):
    """Read, and write what was read in every dialect: only our own errors may come out."""
    try:
        scene = scene_dialect(name).parse(documents)
    except (FormatError, UnsupportedError):
        return
    for other in (name, "collections"):
        scene_dialect(other).dump(scene)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, 10**6), place=st.integers(0, 10**6), value=junk)
def test_a_document_with_junk_in_one_place_is_read_or_refused(seeds, documents, which, place, value):
    name, key, document = seeds[which % len(seeds)]
    places = list(paths(document))
    changed = put(document, places[place % len(places)], value)
    others = documents[name] if name == "mobie" else {}
    survives(name, dict(others) | {key: json.dumps(changed).encode()})


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(NAMES), value=junk)
def test_junk_is_read_or_refused(name, value):
    survives(name, {"x.json": json.dumps(value).encode()})
    assert scene_dialect(name).claims("x.json", json.dumps(value).encode()) in (True, False)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from((*NAMES, "bdv")), raw=st.binary(max_size=80))
def test_bytes_are_read_or_refused(name, raw):
    survives(name, {"x": raw})
    assert scene_dialect(name).claims("x", raw) in (True, False)


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="{}[]'\",:_&%!#\\ab0", max_size=60))
def test_any_link_is_read_or_refused(text):
    with contextlib.suppress(FormatError, UnsupportedError):
        parse_state(f"https://example.org/#!{text}")


def test_cut_and_flipped_xml_is_read_or_refused(documents):
    raw = documents["bdv"]["dataset.xml"]
    dice = random.Random(7)
    for _ in range(400):
        at, size = dice.randrange(len(raw)), dice.randrange(1, 40)
        changed = raw[:at] + bytes(dice.choices(b"<>/&;\"'-+.e09 azSV", k=dice.randrange(4))) + raw[at + size :]
        survives("bdv", {"x.xml": changed})
    for at in range(0, len(raw), 97):
        survives("bdv", {"x.xml": raw[:at]})


@pytest.mark.parametrize(
    "hostile",
    [
        b'<!DOCTYPE a [<!ENTITY b "cc">]><SpimData>&b;</SpimData>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><SpimData/>',
        b"<SpimData><SequenceDescription><Timepoints type='pattern'><integerpattern>0-999999999:2</integerpattern>"
        b"</Timepoints></SequenceDescription></SpimData>",
        b"<SpimData><SequenceDescription><Timepoints type='range'><first>5</first><last>2</last></Timepoints>"
        b"</SequenceDescription></SpimData>",
        b"<SpimData>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</SpimData>",
        b"<other/>",
    ],
    ids=["entity", "external", "timepoints", "backwards", "deep", "other"],
)
def test_hostile_xml_is_refused_at_once(hostile):
    started = time.perf_counter()
    with pytest.raises(FormatError):
        parse_spim_data(hostile)
    assert time.perf_counter() - started < 5


def test_a_billion_timepoints_cost_nothing(documents):
    raw = documents["bdv"]["dataset.xml"].replace(b"0-1,4", b"0-999999998")
    scene = parse_spim_data(raw)
    assert scene.timepoints == ((0, 999_999_998),)
    scene_dialect("bdv").dump(scene)


def test_deep_and_endless_documents_are_refused():
    deep = {"ome": {"version": "0.x", "type": "collection", "name": "a"}}
    inner = deep["ome"]
    for _ in range(60):
        inner["nodes"] = [{"type": "collection", "name": "a"}]
        inner = inner["nodes"][0]
    with pytest.raises(FormatError, match="deeply"):
        scene_dialect("collections").parse({"x.json": json.dumps(deep).encode()})
    with pytest.raises(FormatError):
        scene_dialect("collections").parse({"x.json": b'{"ome":' + b"[" * 100_000})
    big = {"title": "a", "layers": [{"type": "image", "name": "a", "source": ["n5://x"] * 2000}]}
    with pytest.raises(FormatError, match="2000 sources"):
        parse_state(big)


def test_parents_that_lead_in_circles_are_cut_or_refused():
    nodes = [{"type": "lab:mesh", "id": a, "name": a, "attributes": {"voxarium:parent": b}} for a, b in ("ab", "ba")]
    with pytest.raises(FormatError, match="belongs to itself"):
        scene_dialect("collections").parse(
            {"x.json": json.dumps({"ome": {"type": "collection", "name": "c", "nodes": nodes}}).encode()}
        )


def test_a_spline_through_too_many_points_is_carried_but_not_evaluated(datasource):
    points = [[float(i), float(i * i % 97), 1.0] for i in range(6000)]
    datasource["dataLayers"][0]["coordinateTransformations"] = [
        {"type": "thin_plate_spline", "correspondences": {"source": points, "target": points}}
    ]
    scene = scene_dialect("webknossos").parse({"x": json.dumps(datasource).encode()})
    written, losses = scene_dialect("webknossos").dump(scene)
    assert losses == () and json.loads(next(iter(written.values()))) == datasource
    with pytest.raises(UnsupportedError, match="6000 points"):
        scene.node("color").placements[0].transform.apply([0.0, 0.0, 0.0])


def test_many_layers_are_read_in_time():
    layers = [{"type": "image", "name": f"l{i}", "source": f"n5://s3://b/{i}"} for i in range(5000)]
    started = time.perf_counter()
    scene = parse_state({"dimensions": {"x": [1e-9, "m"]}, "layers": layers})
    scene_dialect("neuroglancer").dump(scene)
    assert len(scene.nodes) == 5000 and time.perf_counter() - started < 30

"""Layers of WEBKNOSSOS datasets: every dialect of the document, every format, positions, hostile documents."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.core.dataset import Dataset
from voxarium.core.opening import open_image, open_in
from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.formats.webknossos import WebknossosDriver
from voxarium.formats.zarr2 import Zarr2Driver
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.protocols import WritableImageDriver
from voxarium.model.transforms import Affine
from voxarium.model.warps import Unresolved
from voxarium.spec import webknossos
from voxarium.stores.memory import MemoryStore

ORIGIN, SHAPE = (7, 5, 3), (10, 15, 20)  # z, y, x; as `kit.entry` says in x, y, z


@pytest.fixture
def data(kit):
    return kit.ramp(SHAPE)


def put_zarr(store, path, whole, chunk, driver):
    """Write an array whole, chunk by chunk."""
    info = driver.create(ArraySpec(shape=whole.shape, dtype=whole.dtype, chunk_shape=chunk, codec="none"))
    for key, document in driver.dump(path, info).items():
        store.put(key, document)
    for index in np.ndindex(*(-(-n // c) for n, c in zip(whole.shape, chunk, strict=True))):
        block = np.zeros(chunk, whole.dtype)
        part = whole[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))]
        block[tuple(slice(0, n) for n in part.shape)] = part
        store.put(driver.object_key(path, info, index), bytes(memoryview(driver.encode(info, block))))


def padded_cxyz(data, shape):
    """Return voxels (z, y, x) as WEBKNOSSOS stores them: c, x, y, z, from voxel 0 of the dataset on, padded."""
    whole = np.zeros((1, *shape), data.dtype)
    z, y, x = ORIGIN
    whole[0, x : x + data.shape[2], y : y + data.shape[1], z : z + data.shape[0]] = data.transpose(2, 1, 0)
    return whole


def test_the_driver_keeps_to_its_protocol():
    assert isinstance(WebknossosDriver(), WritableImageDriver)


def test_a_layer_is_the_part_inside_its_bounding_box(kit, store, data):
    kit.put_wkw(store, "ds/em/1", data, origin=ORIGIN)
    kit.put_properties(store, kit.entry(), folder="ds")
    image = open_image(store, "ds/em")
    assert image.info.format == "webknossos" and image.info.spec_version == "wkw"
    assert (image.name, image.role, image.unit) == ("em", "intensity", "nanometer")
    assert [a.name for a in image.axes] == list("zyx")
    assert (image[...] == data).all()
    # Voxel (3, 5, 7) reaches from there to (4, 6, 8): its centre lies half a voxel further, times 4, 5, 30 nm.
    assert image.scale_translation() == ((30.0, 5.0, 4.0), (225.0, 27.5, 14.0))


def test_every_level_keeps_the_world_position_of_a_ramp(kit, store):
    """A ramp of positions, averaged as WEBKNOSSOS does: windows begin at multiples of the mag, not of the box."""
    size = np.array((30.0, 5.0, 4.0))
    whole = np.stack(np.meshgrid(*((np.arange(n) + 0.5) for n in (24, 24, 32)), indexing="ij"), axis=-1) * size
    mags = [(1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8)]
    for mag in mags:
        z, y, x = (n // m for n, m in zip(whole.shape, mag, strict=False))
        coarse = whole.reshape(z, mag[0], y, mag[1], x, mag[2], 3).mean(axis=(1, 3, 5))
        kit.put_wkw(store, f"ds/em/{webknossos.mag_literal(mag)}", coarse.astype("f8"))
    listed = [{"mag": list(m[::-1])} for m in mags[::-1]]
    kit.put_properties(store, kit.entry(mags=listed, numChannels=3, elementClass="float192"), folder="ds")
    image = open_image(store, "ds/em")
    assert [level.path for level in image.levels] == ["1", "2-2-1", "4-4-2", "8-8-4"]
    for level, mag in enumerate(mags):
        voxels = image.read(level=level)  # c, z, y, x: the position along z, y, x
        index = np.stack(np.meshgrid(*(np.arange(n) for n in voxels.shape[1:]), indexing="ij"), axis=-1)
        points = np.concatenate([np.zeros((*index.shape[:-1], 1)), index], axis=-1)
        world = image.levels[level].transform.apply(points)[..., 1:]
        assert np.allclose(world, np.moveaxis(voxels, 0, -1), rtol=1e-12), mag


@pytest.mark.parametrize("zarr", ["zarr", "zarr3"])
@pytest.mark.parametrize("named", [True, False])
def test_padding_and_axis_order_of_zarr_layers_are_repaired(kit, store, data, zarr, named):
    """The defects of its OME-Zarr: padded shapes, c x y z, no translation, a format that is a text."""
    driver = Zarr2Driver() if zarr == "zarr" else Zarr3Driver()
    put_zarr(store, "ds/em/1", padded_cxyz(data, (64, 32, 32)), (1, 16, 16, 16), driver)
    axes = [{"name": n, "type": "channel" if n == "c" else "space", "unit": "nanometer"} for n in "cxyz"]
    scale = [{"type": "scale", "scale": [1.0, 4.0, 5.0, 30.0]}]
    multiscales = [{"version": "0.4", "axes": axes, "datasets": [{"path": "1", "coordinateTransformations": scale}]}]
    if zarr == "zarr":
        store.put("ds/em/.zgroup", b'{"zarr_format": "2"}')
        store.put("ds/em/.zattrs", json.dumps({"multiscales": multiscales}).encode())
    else:
        ome = {"version": "0.5", "multiscales": multiscales}
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
        store.put("ds/em/zarr.json", json.dumps(group).encode())
    mag = {"mag": [1, 1, 1], "path": "./em/1"} | ({"axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}} if named else {})
    kit.put_properties(store, kit.entry(dataFormat=zarr, mags=[mag]), folder="ds")
    image = open_image(store, "ds/em")
    assert image.info.format == "webknossos"
    assert [a.name for a in image.axes] == list("zyx")
    assert (image[...] == data).all()
    assert image.scale_translation() == ((30.0, 5.0, 4.0), (225.0, 27.5, 14.0))
    assert any("padded" in note for note in image.info.bag.records[0].notes)


def test_a_layer_downloaded_from_a_server_is_read(kit, store, data):
    """Its Zarr 3: order of axes as the text F, keys of Zarr 2, every mag as large as mag 1."""
    whole = padded_cxyz(data, (24, 24, 24))
    for name, voxels in (("1", whole), ("2", np.pad(whole[:, ::2, ::2, ::2], [(0, 0)] + [(0, 12)] * 3))):
        chunks = {"name": "regular", "configuration": {"chunk_shape": [1, 12, 12, 12]}}
        document = {
            "zarr_format": 3, "node_type": "array", "shape": [1, 24, 24, 24], "data_type": "uint16", "fill_value": 0,
            "chunk_grid": chunks, "attributes": {}, "dimension_names": ["c", "x", "y", "z"],
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "codecs": [
                {"name": "transpose", "configuration": {"order": "F"}},
                {"name": "bytes", "configuration": {"endian": "little"}},
            ],
        }  # fmt: skip
        store.put(f"ds/em/{name}/zarr.json", json.dumps(document).encode())
        for x, y, z in np.ndindex(2, 2, 2):
            part = voxels[:, x * 12 : x * 12 + 12, y * 12 : y * 12 + 12, z * 12 : z * 12 + 12]
            store.put(f"ds/em/{name}/c.0.{x}.{y}.{z}", part.tobytes("F"))
    kit.put_properties(store, kit.entry(dataFormat="zarr3", mags=[{"mag": 1}, {"mag": 2}]), folder="ds")
    image = open_image(store, "ds/em")
    assert (image[...] == data).all()
    assert (image.read(level=1) == whole[0, 2:24:2, 4:20:2, 6:18:2].transpose(2, 1, 0)).all()


def test_an_n5_layer_whose_axes_run_the_other_way_is_read(data):
    """The n5 driver shows x, y, z as z, y, x; ``axisOrder`` counts as the file does."""
    layer = parsed(dataFormat="n5", mags=[{"mag": 1, "axisOrder": {"x": 0, "y": 1, "z": 2, "c": 3}}])
    stored = ArrayInfo(format="n5", shape=(2, 40, 50, 60), dtype=np.dtype("u2"), chunk_shape=(1, 8, 8, 8))
    image = webknossos.parse_image(*layer, [webknossos.StoredMag(layer[1].mags[0], "1", stored)])
    assert [a.name for a in image.axes] == list("czyx")
    assert image.levels[0].part.box.origin == (0, 7, 5, 3) and image.levels[0].part.order == (0, 1, 2, 3)


def test_a_precomputed_layer_begins_at_its_own_offset():
    layer = parsed(dataFormat="neuroglancerPrecomputed")
    stored = ArrayInfo(
        format="precomputed", shape=(11, 15, 20), dtype=np.dtype("u2"), chunk_shape=(8, 8, 8),
        axes=tuple(Axis(name=n, type="space") for n in "zyx"),
        transform=webknossos.centre_transform((6, 5, 3), (1, 1, 1), (30.0, 5.0, 4.0), webknossos.LayerFrame()),
    )  # fmt: skip
    image = webknossos.parse_image(*layer, [webknossos.StoredMag(layer[1].mags[0], "1", stored)])
    assert image.levels[0].part.box.origin == (1, 0, 0) and image.levels[0].array.shape == SHAPE


def parsed(**changes):
    """Return (properties, layer) of an entry."""
    entry = {
        "name": "em", "category": "color", "dataFormat": "wkw",
        "boundingBox": {"topLeft": [3, 5, 7], "width": 20, "height": 15, "depth": 10},
        "mags": [{"mag": 1}], "elementClass": "uint16",
    } | changes  # fmt: skip
    document = {"scale": [4, 5, 30], "dataLayers": [entry]}
    properties = webknossos.parse_properties(json.dumps(document).encode(), "p")
    return properties, webknossos.parse_layer(properties, "em", "p")


@pytest.mark.parametrize(
    ("scale", "size", "unit"),
    [
        ([4, 5, 30.5], (30.5, 5.0, 4.0), "nanometer"),
        ({"factor": [4, 5, 30], "unit": "nanometer"}, (30.0, 5.0, 4.0), "nanometer"),
        ({"factor": [0.4, 0.5, 3.0], "unit": "µm"}, (3.0, 0.5, 0.4), "micrometer"),
        ({"factor": [4, 5, 30], "unit": "angstrom"}, (30.0, 5.0, 4.0), "angstrom"),
        ({"factor": [4, 5, 30], "unit": "furlong"}, (30.0, 5.0, 4.0), None),
    ],
)
def test_dialects_of_the_scale(scale, size, unit):
    document = {"scale": scale, "dataLayers": []}
    found = webknossos.parse_properties(json.dumps(document).encode(), "p")
    assert (found.voxel_size, found.unit) == (size, unit)
    assert bool(found.notes) == (unit is None)


@pytest.mark.parametrize(
    ("changes", "factors"),
    [
        ({"mags": [{"mag": [2, 2, 1]}, {"mag": [1, 1, 1]}]}, [(1, 1, 1), (1, 2, 2)]),
        ({"mags": [1, "2-2-1", "4"]}, [(1, 1, 1), (1, 2, 2), (4, 4, 4)]),
        ({"mags": None, "wkwResolutions": [{"resolution": 2, "cubeLength": 1024}]}, [(2, 2, 2)]),
        (
            {"mags": None, "wkwResolutions": [{"resolution": [4, 4, 2], "cubeLength": 1024}, {"resolution": 1}]},
            [(1, 1, 1), (2, 4, 4)],
        ),
    ],
)
def test_dialects_of_mags(changes, factors):
    changes = {k: v for k, v in changes.items() if v is not None} | ({} if changes["mags"] else {"mags": None})
    entry = {
        "name": "em", "category": "color", "boundingBox": {"topLeft": [0, 0, 0], "width": 2, "height": 1, "depth": 1},
        "dataFormat": "wkw", "elementClass": "uint16",
    } | {k: v for k, v in changes.items() if v is not None}  # fmt: skip
    properties = webknossos.parse_properties(json.dumps({"scale": [1, 1, 1], "dataLayers": [entry]}).encode(), "p")
    layer = webknossos.parse_layer(properties, "em", "p")
    assert [m.factors for m in layer.mags] == factors


@pytest.mark.parametrize(
    ("element_class", "channels", "dtype"),
    [
        ("uint8", None, "u1"), ("uint24", None, "u1"), ("uint24", 3, "u1"), ("uint48", 3, "u2"), ("int16", 1, "i2"),
        ("float", 1, "f4"), ("double", 1, "f8"), ("double", 2, "f4"), ("uint64", 1, "u8"), ("int8", 1, "i1"),
    ],
)  # fmt: skip
def test_element_classes_are_bits_of_all_channels(element_class, channels, dtype):
    _, layer = parsed(elementClass=element_class, **({} if channels is None else {"numChannels": channels}))
    assert layer.dtype == np.dtype(dtype)
    assert layer.channels == (channels or (3 if element_class == "uint24" else 1))


def test_the_arrays_are_right_where_the_element_class_is_not(kit, store, data):
    kit.put_wkw(store, "ds/em/1", data, origin=ORIGIN)
    kit.put_properties(store, kit.entry(elementClass="uint24", numChannels=3), folder="ds")
    image = open_image(store, "ds/em")
    assert image.dtype == np.uint16 and image.ndim == 3
    assert len(image.info.bag.records[0].notes) == 2


def test_a_mag_without_a_path_has_its_usual_name_or_the_long_one(kit, store, data):
    kit.put_wkw(store, "ds/em/1-1-1", data, origin=ORIGIN)
    kit.put_wkw(store, "ds/em/2", data[::2, ::2, ::2], origin=(3, 2, 1))
    kit.put_properties(store, kit.entry(mags=[{"mag": 1}, {"mag": [2, 2, 2]}]), folder="ds")
    image = open_image(store, "ds/em")
    assert [level.path for level in image.levels] == ["1-1-1", "2"]
    assert (image[...] == data).all()


def test_mags_may_lie_elsewhere_in_the_store_only(kit, store, data):
    kit.put_wkw(store, "other/first", data, origin=ORIGIN)
    mags = [{"mag": 1, "path": "../other/first"}, {"mag": 2, "path": "s3://bucket/em/2"}, {"mag": 4, "path": "/etc/em"}]
    kit.put_properties(store, kit.entry(mags=mags), folder="ds")
    image = open_image(store, "ds/em")
    assert (image[...] == data).all() and image.levels[0].path == "../../other/first"
    assert len(image.levels) == 1
    assert [n.split(" is left out")[0] for n in image.info.bag.records[0].notes] == ["mag 2", "mag 4"]
    kit.put_properties(store, kit.entry(mags=mags[1:]), folder="ds")
    with pytest.raises(UnsupportedError, match="s3://bucket/em/2"):
        open_image(store, "ds/em")
    kit.put_properties(store, kit.entry(mags=[{"mag": 1, "path": "../../etc/passwd"}]), folder="ds")
    with pytest.raises(UnsupportedError, match=r"\.\./\.\./etc"):
        open_image(store, "ds/em")


def test_an_absolute_path_into_the_same_store_is_followed(kit, store, data):
    kit.put_wkw(store, "ds/em/1", data, origin=ORIGIN)
    kit.put_properties(store, kit.entry(mags=[{"mag": 1, "path": f"{store.uri.rstrip('/')}/ds/em/1"}]), folder="ds")
    assert (open_image(store, "ds/em")[...] == data).all()


def test_a_mag_that_is_not_there_is_an_error(kit, store, data):
    kit.put_wkw(store, "ds/em/1", data, origin=ORIGIN)
    kit.put_properties(store, kit.entry(mags=[{"mag": 1}, {"mag": 2}]), folder="ds")
    with pytest.raises(FormatError) as caught:
        open_image(store, "ds/em")
    assert caught.value.code == Code.LEVEL_MISSING and "mag 2" in str(caught.value)


def test_channels_come_first_and_one_can_be_picked(kit, store):
    rgb = kit.ramp((*SHAPE, 3), "u1")
    kit.put_wkw(store, "ds/em/1", rgb, origin=ORIGIN)
    kit.put_properties(
        store,
        kit.entry(numChannels=3, elementClass="uint24"),
        kit.entry("green", mags=[{"mag": 1, "path": "em/1", "channelIndex": 1}], elementClass="uint8"),
        folder="ds",
    )
    image = open_image(store, "ds/em")
    assert [a.name for a in image.axes] == list("czyx") and (image[...] == np.moveaxis(rgb, 3, 0)).all()
    green = open_image(store, "ds/green")
    assert [a.name for a in green.axes] == list("zyx") and (green[...] == rgb[..., 1]).all()


def test_additional_axes_are_axes(kit, store):
    whole = kit.ramp((2, 6, 23, 20, 17), "u1")  # c, t, x, y, z
    put_zarr(store, "ds/em/1", whole, (1, 1, 16, 16, 16), Zarr3Driver())
    mag = {"mag": 1, "axisOrder": {"c": 0, "x": 2, "y": 3, "z": 4}}
    axes = [{"name": "t", "bounds": [2, 5], "index": 1}]
    kit.put_properties(
        store, kit.entry(dataFormat="zarr3", mags=[mag], additionalAxes=axes, numChannels=2, elementClass="uint16"),
        folder="ds",
    )  # fmt: skip
    image = open_image(store, "ds/em")
    assert [(a.name, a.type) for a in image.axes][:2] == [("t", "time"), ("c", "channel")]
    z, y, x = (slice(o, o + n) for o, n in zip(ORIGIN, SHAPE, strict=True))
    assert (image[...] == whole[:, 2:5, x, y, z].transpose(1, 0, 4, 3, 2)).all()
    assert image.scale_translation() == ((1, 1, 30, 5, 4), (2, 0, 225, 27.5, 14))


def test_an_order_of_axes_that_does_not_fit_is_an_error(kit, store, data):
    put_zarr(store, "ds/em/1", padded_cxyz(data, (32, 32, 32)), (1, 16, 16, 16), Zarr3Driver())
    for order in ({"x": 0, "y": 1, "z": 2}, {"c": 0, "x": 1, "y": 2, "z": 9}, {"a": 0, "x": 1, "y": 2, "z": 3}):
        kit.put_properties(store, kit.entry(dataFormat="zarr3", mags=[{"mag": 1, "axisOrder": order}]), folder="ds")
        with pytest.raises(FormatError, match="axes"):
            open_image(store, "ds/em")


def test_a_view_configuration_becomes_display_hints_and_is_kept(kit, store, data):
    view = {"color": [255, 10, 0], "intensityRange": [3, 200.5], "min": 0, "max": 255, "isDisabled": True, "alpha": 40}
    kit.put_wkw(store, "ds/em/1", data, origin=ORIGIN)
    kit.put_properties(
        store, kit.entry(defaultViewConfiguration=view), folder="ds", defaultViewConfiguration={"zoom": 2}
    )
    image = open_image(store, "ds/em")
    (channel,) = image.info.display.channels
    assert (channel.color, channel.window, channel.limits, channel.active) == ("FF0A00", (3.0, 200.5), (0, 255), False)
    record = image.info.bag.records[0]
    assert record.metadata["layer"]["defaultViewConfiguration"] == view
    assert record.metadata["dataset"]["defaultViewConfiguration"] == {"zoom": 2}


def test_attachments_mappings_and_unknown_keys_are_kept(kit, store, data):
    more = {
        "attachments": {"agglomerates": [{"name": "a", "path": "./seg/agglomerates/a", "dataFormat": "zarr3"}]},
        "mappings": ["x"], "largestSegmentId": None, "something": {"new": 1},
    }  # fmt: skip
    kit.put_wkw(store, "ds/seg/1", data, origin=ORIGIN)
    kit.put_properties(store, kit.entry("seg", category="segmentation", **more | {"largestSegmentId": 7}), folder="ds")
    image = open_image(store, "ds/seg")
    assert image.role == "label"
    kept = image.info.bag.records[0].metadata["layer"]
    assert kept["attachments"] == more["attachments"] and kept["something"] == {"new": 1}
    assert (kept["mappings"], kept["largestSegmentId"]) == (["x"], 7)


# ------------------------------------------------------------------------------------------------ transformations
def affine(*rows):
    return {"type": "affine", "matrix": [*map(list, rows), [0, 0, 0, 1]]}


def opened(kit, store, data, *transformations):
    kit.put_wkw(store, "ds/em/1", data, origin=ORIGIN)
    kit.put_properties(store, kit.entry(coordinateTransformations=list(transformations)), folder="ds")
    return open_image(store, "ds/em")


def test_a_transformation_that_scales_and_shifts_is_applied(kit, store, data):
    image = opened(
        kit, store, data,
        affine((2, 0, 0, 10), (0, 1, 0, 0), (0, 0, -1, 0)), affine((1, 0, 0, 1), (0, 1, 0, 2), (0, 0, 1, 3)),
    )  # fmt: skip
    scale, translation = image.scale_translation()
    assert scale == (-30.0, 5.0, 8.0)
    assert translation == ((-7.5 + 3) * 30, (5.5 + 2) * 5, (3.5 * 2 + 11) * 4)
    assert not image.info.edges


def test_a_rotation_is_carried_as_an_edge_with_its_numbers(kit, store, data):
    found = affine((0, -1, 0, 100), (1, 0, 0, 0), (0, 0, 1, 0))
    image = opened(kit, store, data, found)
    assert image.scale_translation()[1] == (225.0, 27.5, 14.0)
    (edge,) = image.info.edges
    assert (edge.source, edge.target) == ("physical", "dataset")
    assert edge.original == {"coordinateTransformations": [found]}
    assert isinstance(edge.transform, Affine)
    # x' = -y + 100 and y' = x, in voxels of 4 × 5 nm; the argument is (z, y, x) in nm.
    assert np.allclose(edge.transform.apply((30.0, 10.0, 8.0)), (30.0, 10.0, -8.0 + 400))


def test_a_thin_plate_spline_is_carried_as_it_is(kit, store, data):
    found = {"type": "thin_plate_spline", "correspondences": {"source": [[0, 0, 0]], "target": [[1, 2, 3]]}}
    image = opened(kit, store, data, found)
    (edge,) = image.info.edges
    assert isinstance(edge.transform, Unresolved) and edge.transform.kind == "thin_plate_spline"
    assert edge.original == {"coordinateTransformations": [found]}


@pytest.mark.parametrize(
    "found",
    [
        {"type": "warp"}, {"type": "affine"}, {"type": "affine", "matrix": [[1]]},
        affine((1, 0, 0, 1e308), (0, 1, 0, 0), (0, 0, 1, "x")),
        affine((1e299, 1e299, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)),
        {"type": "affine", "matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]},
    ],
)  # fmt: skip
def test_a_transformation_that_cannot_be_read_is_noted_or_carried(kit, store, data, found):
    image = opened(kit, store, data, found, found)
    assert image.info.edges[0].original == {"coordinateTransformations": [found, found]}
    assert (image[...] == data).all()


# ---------------------------------------------------------------------------------------------- datasets, refusals
def test_a_dataset_opens_with_its_layers_and_says_what_is_wrong_with_others(kit, store, data):
    kit.put_wkw(store, "em/1", data, origin=ORIGIN)
    kit.put_wkw(store, "seg/1", data, origin=ORIGIN)
    kit.put_wkw(store, "bad/1", data, origin=ORIGIN)
    kit.put_properties(
        store, kit.entry("em"), kit.entry("seg", category="segmentation"), kit.entry("bad", category="colour")
    )
    found = open_in(store)
    assert isinstance(found, Dataset)
    assert found.keys() == ["em", "seg", "bad"] and found["seg"].role == "label"
    assert [m.kind for m in found.members] == ["image", "label", "image"] and not found.problems
    assert [key for key, _ in found.iter_images()] == ["em", "seg"]
    assert list(found.problems) == ["bad"]


def unlisted(store):
    class Unlisted:
        uri, concurrency = "blind:", 4
        get, get_ranges, stat = store.get, store.get_ranges, store.stat

    return Unlisted()


def test_a_dataset_opens_where_nothing_can_be_listed(kit, store, data):
    kit.put_wkw(store, "ds/em/1", data, origin=ORIGIN)
    entries = kit.entry("em"), kit.entry("gone"), kit.entry("../x"), kit.entry("a/b")
    kit.put_properties(store, *entries, folder="ds")
    found = open_in(unlisted(store), "ds")
    assert found.keys() == ["em", "gone"] and (found["em"][...] == data).all()
    with pytest.raises(FormatError):
        found["gone"]
    assert [e.code for e in found.problems.values()] == [Code.LEVEL_MISSING]
    listed = open_in(store, "ds")
    assert [key for key, _ in listed.iter_images()] == ["em"] and list(listed.problems) == ["gone"]


def test_a_broken_document_is_told(kit, store, data):
    kit.put_wkw(store, "ds/em/1", data)
    store.put("ds/datasource-properties.json", b"{")
    for place in (store, unlisted(store)):
        with pytest.raises(FormatError, match=r"datasource-properties\.json is not JSON"):
            open_in(place, "ds")


def test_a_layer_without_a_folder_of_its_own_is_found(kit, store, data):
    kit.put_wkw(store, "elsewhere/1", data, origin=ORIGIN)
    kit.put_properties(store, kit.entry("em", mags=[{"mag": 1, "path": "../elsewhere/1"}]), folder="ds")
    assert open_in(store, "ds").keys() == ["em"]


def test_a_folder_that_is_no_layer_is_not_mine(kit, store, data):
    driver = WebknossosDriver()
    kit.put_properties(store, kit.entry(), folder="ds")
    for path in ("", "ds", "ds/other", "elsewhere/em", "ds/em::/x"):
        with pytest.raises(NotFoundError) as caught:
            driver.open(store, path, pytest.fail)
        assert caught.value.code == Code.METADATA_MISSING


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"category": "colour"}, "category"),
        ({"dataFormat": "tiff"}, "dataFormat"),
        ({"boundingBox": None}, "boundingBox"),
        ({"boundingBox": {"topLeft": [0, 0], "width": 1, "height": 1, "depth": 1}}, "topLeft"),
        ({"boundingBox": {"topLeft": [0, 0, 0], "width": -1, "height": 1, "depth": 1}}, "topLeft"),
        ({"boundingBox": {"topLeft": [0, 0, 0], "width": 2**62, "height": 1, "depth": 1}}, "topLeft"),
        ({"boundingBox": {"topLeft": [0, 0, 0.5], "width": 1, "height": 1, "depth": 1}}, "topLeft"),
        ({"mags": []}, "mags"),
        ({"mags": None}, "wkwResolutions"),
        ({"mags": [{"mag": 0}]}, "no mag"),
        ({"mags": [{"mag": [1, 1]}]}, "no mag"),
        ({"mags": [{"mag": 1, "path": 7}]}, "path"),
        ({"mags": [{"mag": 1, "axisOrder": {"x": 0, "y": 0}}]}, "axisOrder"),
        ({"mags": [{"mag": 1}] * 1000}, "mags"),
        ({"numChannels": 0}, "numChannels"),
        ({"elementClass": None}, "elementClass"),
        ({"additionalAxes": [{"name": "x", "bounds": [0, 1], "index": 1}]}, "additionalAxes"),
        ({"additionalAxes": [{"name": "t", "bounds": [3, 1], "index": 1}]}, "additionalAxes"),
        ({"additionalAxes": 5}, "additionalAxes"),
    ],
)
def test_an_entry_that_breaks_the_specification_is_refused(kit, changes, word):
    with pytest.raises(FormatError, match=word):
        parse(kit.entry(**changes))


def parse(entry):
    document = {"scale": [1, 1, 1], "dataLayers": [entry]}
    properties = webknossos.parse_properties(json.dumps(document).encode(), "p")
    return webknossos.parse_layer(properties, "em", "p")


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[]", b"{", b'{"scale": [1, 1, 1]}', b'{"dataLayers": []}', b'{"scale": [1, 1], "dataLayers": []}',
        b'{"scale": [1, 1, 0], "dataLayers": []}', b'{"scale": [1, 1, 1e999], "dataLayers": []}',
        b'{"scale": [1, 1, 1], "dataLayers": {}}', b"\xff" * 9, b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_document_that_breaks_the_specification_is_refused(document):
    with pytest.raises(FormatError):
        webknossos.parse_properties(document, "p")


def test_layers_without_a_name_and_second_ones_are_ignored_and_noted():
    document = {"scale": [1, 1, 1], "dataLayers": [{"name": "a", "n": 1}, {"name": "a", "n": 2}, {}, 7]}
    found = webknossos.parse_properties(json.dumps(document).encode(), "p")
    assert found.layers == {"a": {"name": "a", "n": 1}} and len(found.notes) == 3


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["color", "wkw", "n5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "category", "boundingBox", "dataFormat", "mags", "wkwResolutions", "numChannels", "elementClass", "additionalAxes",
    "coordinateTransformations", "defaultViewConfiguration", "voxarium",
]  # fmt: skip


@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3), scale=JSON | st.just([1, 1, 1]))
def test_any_entry_is_a_layer_or_an_error(kit, changes, scale):
    store = MemoryStore()
    kit.put_wkw(store, "em/1", np.ones((8, 8, 8), "u2"))
    document = {"scale": scale, "dataLayers": [kit.entry() | changes]}
    store.put("datasource-properties.json", json.dumps(document).encode())
    try:
        image = open_image(store, "em")
    except VoxariumError:
        return
    assert image.shape and image.levels[0].transform


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_a_format_error(raw):
    with contextlib.suppress(FormatError):
        webknossos.parse_properties(raw, "p")

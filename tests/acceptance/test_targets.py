"""Where images come from and go to: object stores, HTTP, archives, other versions, other orders and types."""

from __future__ import annotations

import io
import json
import logging
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import voxarium
from voxarium import Code
from voxarium.conversion import ConvertOptions, Target, plan, run
from voxarium.conversion.running import as_choices
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.opening import open_in
from voxarium.errors import InterruptedJobError
from voxarium.stores.audit import AuditStore
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore
from voxarium.stores.objects import ObjectStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stores"))
from http_server import RangeServer

GEOMETRY = {"axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nanometer"}
CHOICES = GEOMETRY | {"chunk": 16, "shard": 32, "memory": 1, "name": "em"}


@pytest.fixture
def volume():
    data = np.random.default_rng(2).integers(0, 255, (40, 50, 60)).astype(np.uint8)
    data[:20, :30] = 0
    return data


def check_pyramid(uri_or_image, data, references, method="mean", axes=None):
    """Compare every level with the reference, by the factors that the metadata state."""
    image = uri_or_image if isinstance(uri_or_image, voxarium.Image) else voxarium.open(uri_or_image)
    expected = data
    assert image.dtype == data.dtype
    for i in range(len(image.levels)):
        if i:
            ratio = np.divide(image.scale_translation(i)[0], image.scale_translation(i - 1)[0])
            expected = getattr(references, method)(expected, tuple(np.rint(ratio).astype(int).tolist()))
        np.testing.assert_array_equal(image.read(level=i), expected, f"level {i}")
    return image


def zarr_read(path, level="s0", **options):
    import zarr

    return zarr.open_group(path, mode="r", **options)[level][...]


# ---------------------------------------------------------------------------------------------------- object stores
@pytest.fixture(scope="module")
def endpoint():
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/lab", method="PUT"), timeout=5).close()
    yield url
    server.stop()


@pytest.fixture
def cloud(endpoint, monkeypatch):
    for name, value in {
        "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return "s3://lab"


def objects(uri):
    store = ObjectStore(uri)
    return {key: store.get(key) for key, _ in store.list("")}


def unfinished_uploads(endpoint):
    with urllib.request.urlopen(f"{endpoint}/lab?uploads", timeout=5) as answer:
        return answer.read().count(b"<Upload>")


def test_to_an_object_store_and_back(cloud, tmp_path, npy, volume, references, content, cli):
    source = npy(volume)
    voxarium.convert(source, f"{cloud}/a/em.ome.zarr", **CHOICES)
    voxarium.convert(source, tmp_path / "local", **CHOICES)
    assert objects(f"{cloud}/a/em.ome.zarr") == content(tmp_path / "local")
    check_pyramid(f"{cloud}/a/em.ome.zarr", volume, references)
    labels = npy((volume // 50).astype(np.int32), "labels.npy")
    done = cli(
        "convert", labels, f"{cloud}/a/em.ome.zarr/labels/cells", "--axes", "zyx", "--role", "label", "--chunk", 16
    )  # fmt: skip
    assert done.code == 0, done.err
    assert voxarium.open(f"{cloud}/a/em.ome.zarr").info.labels == ("labels/cells",)
    check_pyramid(f"{cloud}/a/em.ome.zarr/labels/cells", (volume // 50).astype(np.uint32), references, "mode")
    voxarium.convert(f"{cloud}/a/em.ome.zarr", tmp_path / "back", **CHOICES)
    assert content(tmp_path / "back") == content(tmp_path / "local")


def test_shards_larger_than_a_part_are_sent_in_parts(cloud, endpoint, tmp_path, npy, references):
    noise = np.random.default_rng(0).integers(0, 255, (128, 256, 512)).astype(np.uint8)
    store = ObjectStore(f"{cloud}/multipart", part_size=5 << 20)
    choices = CHOICES | {"chunk": 64, "shard": 512, "levels": 2, "memory": 64 << 20}
    image = voxarium.open(npy(noise))
    laid_out = plan(image, ConvertOptions(**as_choices(choices)))
    run(laid_out, image, Target(store, store, ""), executor=ThreadExecutor(2))
    assert unfinished_uploads(endpoint) == 0
    sizes = dict(store.list(""))
    assert sizes["s0/c/0/0/0"] > 3 * (5 << 20)
    with urllib.request.urlopen(
        urllib.request.Request(f"{endpoint}/lab/multipart/s0/c/0/0/0", method="HEAD"), timeout=5
    ) as answer:
        assert "-" in answer.headers["ETag"]  # how S3 marks what came in parts
    check_pyramid(f"{cloud}/multipart", noise, references)


def test_an_interrupted_upload_is_resumed(cloud, endpoint, tmp_path, npy, volume, refused, content):
    source = npy(volume)
    voxarium.convert(source, tmp_path / "local", **CHOICES)
    uri = f"{cloud}/resumed"
    image = voxarium.open(source)
    laid_out = plan(image, ConvertOptions(**as_choices(dict(CHOICES))))
    cancel = Cancel()
    store = ObjectStore(uri)
    with pytest.raises(InterruptedJobError):
        run(
            laid_out, image, Target(store, store, ""), executor=ThreadExecutor(2), cancel=cancel,
            progress=lambda p: cancel.set() if p.objects >= 3 else None,
        )  # fmt: skip
    kept = objects(uri)
    assert "zarr.json" not in kept and unfinished_uploads(endpoint) == 0
    refused(Code.IMAGE_INCOMPLETE, lambda: voxarium.open(uri), "--resume")
    refused(Code.TARGET_EXISTS, lambda: voxarium.convert(source, uri, **CHOICES), "--resume")
    report = voxarium.convert(source, uri, resume=True, **CHOICES)
    assert report.resumed >= 3
    assert objects(uri) == content(tmp_path / "local")


def test_an_object_store_that_is_lost_is_resumed(cloud, tmp_path, npy, volume, refused, content):
    source = npy(volume)
    voxarium.convert(source, tmp_path / "local", **CHOICES)
    uri = f"{cloud}/lost"
    image = voxarium.open(source)
    laid_out = plan(image, ConvertOptions(**as_choices(dict(CHOICES))))
    store = FaultStore(ObjectStore(uri), [FaultRule(methods=frozenset({"commit"}), after=3)])
    with pytest.raises(voxarium.VoxariumError, match="failed on purpose"):
        run(laid_out, image, Target(store, store, ""), executor=ThreadExecutor(2))
    refused(Code.IMAGE_INCOMPLETE, lambda: voxarium.open(uri))
    voxarium.convert(source, uri, resume=True, **CHOICES)
    assert objects(uri) == content(tmp_path / "local")


def test_overwriting_in_an_object_store(cloud, npy, volume, references):
    uri = f"{cloud}/again"
    voxarium.convert(npy(volume), uri, **CHOICES | {"shard": 0})
    voxarium.convert(npy(volume[:20], "b.npy"), uri, overwrite=True, **CHOICES)
    check_pyramid(uri, volume[:20], references)
    kept = {k for k in objects(uri) if k.startswith("s0/c/")}
    assert kept == {k for k in kept if max(int(n) for n in k.split("/")[2:]) <= 1}  # nothing of the larger one


def test_bad_credentials_are_told(cloud, endpoint, npy, volume, refused):
    with pytest.raises(voxarium.VoxariumError) as caught:
        voxarium.convert(npy(volume), "s3://nowhere/em", **CHOICES)
    assert "bucket does not exist" in caught.value.message and caught.value.fix


# ------------------------------------------------------------------------------------------------- HTTP and archives
def served(path):
    store = LocalStore(path)
    return {f"data/{key}": store.get(key) for key, _ in store.list("")}


def test_from_http(tmp_path, npy, volume, references, content, refused):
    voxarium.convert(npy(volume), tmp_path / "em", **CHOICES)
    with RangeServer(served(tmp_path)) as server:
        image = check_pyramid(f"{server.url}/data/em", volume, references)
        voxarium.convert(f"{server.url}/data/em", tmp_path / "copy", **CHOICES)
        np.testing.assert_array_equal(image[3:30, 7, 11:50], volume[3:30, 7, 11:50])
        assert content(tmp_path / "copy") == content(tmp_path / "em")
        voxarium.convert(f"{server.url}/data/source.npy", tmp_path / "npy", **CHOICES)
        assert content(tmp_path / "npy") == content(tmp_path / "em")
        refused(Code.STORE_READ_ONLY, lambda: voxarium.convert(tmp_path / "em", f"{server.url}/new", **CHOICES))
        server.faults.status["data/em/s0/c/1/1/1"] = 500
        with pytest.raises(voxarium.VoxariumError, match="500"):
            voxarium.open(f"{server.url}/data/em").read()


@pytest.mark.parametrize("name", ["em.ozx", "em.ome.zarr.zip"])
def test_from_an_archive_file(tmp_path, npy, volume, references, content, name):
    import zipfile

    voxarium.convert(npy(volume), tmp_path / "em", **CHOICES)
    with zipfile.ZipFile(tmp_path / name, "w") as file:
        for key, data in content(tmp_path / "em").items():
            file.writestr(key, data)
    check_pyramid(tmp_path / name, volume, references)
    voxarium.convert(tmp_path / name, tmp_path / "copy", **CHOICES)
    assert content(tmp_path / "copy") == content(tmp_path / "em")
    with RangeServer({name: (tmp_path / name).read_bytes()}) as server:
        check_pyramid(f"{server.url}/{name}", volume, references)


# ------------------------------------------------------------------------------------------------------- versions
@pytest.mark.parametrize(("old", "new"), [("0.4", "0.5"), ("0.5", "0.4"), ("0.4", "0.6"), ("0.6", "0.5")])
def test_from_one_version_to_another_with_labels(tmp_path, npy, volume, references, old, new):
    labels = (volume // 50).astype(np.uint32)
    common = CHOICES | {"shard": None, "name": None, "levels": 2}
    voxarium.convert(npy(volume), tmp_path / "old", spec_version=old, **common)
    voxarium.convert(
        npy(labels, "l.npy"), tmp_path / "old" / "labels" / "cells", spec_version=old, role="label", **common
    )  # fmt: skip
    voxarium.convert(tmp_path / "old", tmp_path / "new", spec_version=new, levels=2, chunk=32)
    cells = tmp_path / "old" / "labels" / "cells", tmp_path / "new" / "labels" / "cells"
    voxarium.convert(*cells, spec_version=new, levels=2, chunk=32)
    for where, data, method in (("", volume, "mean"), ("labels/cells", labels, "mode")):
        before, after = voxarium.open(tmp_path / "old" / where), voxarium.open(tmp_path / "new" / where)
        assert (before.info.spec_version, after.info.spec_version) == (old, new)
        assert before.role == after.role and before.axes == after.axes
        check_pyramid(after, data, references, method)
        for i in range(2):
            assert before.scale_translation(i) == after.scale_translation(i)
        np.testing.assert_array_equal(zarr_read(tmp_path / "new" / where), data)
    assert voxarium.open(tmp_path / "new").info.labels == ("labels/cells",)


def test_other_versions_beside_each_other_are_refused(tmp_path, npy, volume, refused):
    labels = npy((volume // 50).astype(np.uint32), "l.npy")
    for there, here in (("0.4", "0.5"), ("0.5", "0.4"), ("0.5", "0.6")):
        em, common = tmp_path / there / here, CHOICES | {"shard": None}

        def add(name, version, em=em, common=common):
            voxarium.convert(labels, em / "labels" / name, spec_version=version, role="label", **common)

        voxarium.convert(npy(volume), em, spec_version=there, **common)
        refused(Code.ARGUMENT_INVALID, lambda add=add, v=here: add("a", v), f"follow OME-Zarr {there}", here)
        assert not (em / "labels").exists()
        add("a", there)
        refused(Code.ARGUMENT_INVALID, lambda add=add, v=here: add("b", v), f"follow OME-Zarr {there}", here)
        assert not (em / "labels" / "b").exists()
        assert voxarium.open(em).info.labels == ("labels/a",)


# ------------------------------------------------------------------------------------------- axes, orders and types
@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("yx", (700, 601), np.uint8),
        ("zyx", (9, 33, 70), np.uint16),
        ("czyx", (3, 21, 33, 40), np.int16),
        ("tczyx", (2, 3, 9, 33, 40), np.uint16),
        ("tyx", (5, 130, 131), np.uint8),
    ],
)
def test_two_to_five_axes(tmp_path, npy, references, axes, shape, dtype):
    data = np.random.default_rng(4).integers(0, 120, shape).astype(dtype)
    choices = {"axes": axes, "voxel_size": 2, "unit": "micrometer", "levels": 3, "factors": 2}
    voxarium.convert(npy(data), tmp_path / "t", **choices)
    image = check_pyramid(tmp_path / "t", data, references)
    assert "".join(a.name for a in image.axes) == axes
    kinds = {"t": "time", "c": "channel"}
    assert [a.type for a in image.axes] == [kinds.get(n, "space") for n in axes]
    assert image.scale_translation(2)[0] == tuple(1.0 if n in kinds else 8.0 for n in axes)
    assert image.scale_translation(2)[1] == tuple(0.0 if n in kinds else 3.0 for n in axes)
    np.testing.assert_array_equal(zarr_read(tmp_path / "t"), data)
    stored = json.loads((tmp_path / "t" / "s0" / "zarr.json").read_text())
    assert stored["dimension_names"] == list(axes)


def test_colour_slices_are_written_channel_first(tmp_path, references):
    from PIL import Image

    data = np.random.default_rng(4).integers(0, 255, (5, 33, 40, 3)).astype(np.uint8)
    (tmp_path / "rgb").mkdir()
    for i, plane in enumerate(data):
        Image.fromarray(plane).save(tmp_path / "rgb" / f"{i}.png")
    voxarium.convert(tmp_path / "rgb", tmp_path / "t", voxel_size=8, unit="nm", levels=2, factors=2)
    image = check_pyramid(tmp_path / "t", np.moveaxis(data, -1, 0), references)
    assert [a.name for a in image.axes] == ["c", "z", "y", "x"]


@pytest.mark.parametrize("order", ["xyz", "zxy", "yxz"])
def test_order_of_axes(tmp_path, npy, volume, references, order):
    voxarium.convert(npy(volume), tmp_path / "t", order=order, **CHOICES | {"factors": (2, 2, 2), "levels": 3})
    expected = volume.transpose(["zyx".index(n) for n in order])
    image = check_pyramid(tmp_path / "t", expected, references)
    assert image.voxel_size(0) == tuple({"z": 40.0, "y": 8.0, "x": 8.0}[n] for n in order)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">u2", ">f4", "<i8", "|b1", "<c16"])
def test_zarr_v2_sources_of_either_order(tmp_path, order, dtype):
    import zarr

    data = (np.random.default_rng(4).random((21, 33, 18)) * 1000).astype(dtype)
    if dtype[1] == "b":
        data = np.random.default_rng(4).random((21, 33, 18)) > 0.5
    source = zarr.create_array(
        tmp_path / "v2.zarr", shape=data.shape, dtype=dtype, chunks=(8, 16, 5), zarr_format=2, order=order
    )
    source[...] = data
    voxarium.convert(tmp_path / "v2.zarr", tmp_path / "t", **CHOICES | {"levels": 1})
    found = voxarium.open(tmp_path / "t")
    assert found.dtype == data.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found[:], data)
    np.testing.assert_array_equal(zarr_read(tmp_path / "t"), data)


def test_fortran_order_and_big_endian_npy(tmp_path, volume, references):
    data = np.asfortranarray(volume.astype(">u2") * 200)
    np.save(tmp_path / "f.npy", data)
    voxarium.convert(tmp_path / "f.npy", tmp_path / "t", **CHOICES)
    check_pyramid(tmp_path / "t", data.astype(np.uint16), references)


def test_a_crop_off_the_grid(tmp_path, npy, volume, references):
    crop = voxarium.Box((3, 5, 17), (30, 41, 40))
    voxarium.convert(npy(volume), tmp_path / "t", crop=crop, **CHOICES | {"levels": 3})
    image = check_pyramid(tmp_path / "t", volume[crop.slices], references)
    assert image.scale_translation(0)[1] == (120.0, 40.0, 136.0)
    np.testing.assert_array_equal(image.world(z=120, y=40, x=136), volume[3, 5, 17])


@pytest.mark.parametrize("dtype", ["uint16", "int64", "float32", "float64"])
def test_wider_types(tmp_path, npy, volume, dtype):
    voxarium.convert(npy(volume), tmp_path / "t", dtype=dtype, **CHOICES)
    found = voxarium.open(tmp_path / "t")
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found[:], volume)


def test_narrower_types_clip_and_round_only_when_asked(tmp_path, npy):
    data = np.array([[-3.0, 0.4, 0.5, 1.5, 254.6, 300.0, np.nan, np.inf, -np.inf]], np.float32)
    voxarium.convert(npy(data), tmp_path / "t", axes="yx", dtype="uint8", lossy=True)
    assert voxarium.open(tmp_path / "t")[:].tolist() == [[0, 0, 0, 2, 255, 255, 0, 255, 0]]
    wide = np.array([[-1, 0, 255, 256, 2**40, -(2**40)]], np.int64)
    voxarium.convert(npy(wide), tmp_path / "u", axes="yx", dtype="uint8", lossy=True)
    assert voxarium.open(tmp_path / "u")[:].tolist() == [[0, 0, 255, 255, 255, 0]]
    huge = np.array([[0, 2**63, 2**64 - 1]], np.uint64)
    voxarium.convert(npy(huge), tmp_path / "v", axes="yx", dtype="int32", lossy=True)
    assert voxarium.open(tmp_path / "v")[:].tolist() == [[0, 2**31 - 1, 2**31 - 1]]
    voxarium.convert(npy(huge.astype(np.float64)), tmp_path / "w", axes="yx", dtype="int64", lossy=True)
    assert voxarium.open(tmp_path / "w")[:].tolist() == [[0, 2**63 - 1, 2**63 - 1]]


def test_the_fill_value_decides_which_chunks_are_absent(tmp_path, npy, volume, references, content):
    data = volume.copy()
    data[:, :, :32] = 7
    voxarium.convert(npy(data), tmp_path / "t", fill_value=7, **CHOICES | {"shard": 0, "levels": 2})
    check_pyramid(tmp_path / "t", data, references)
    np.testing.assert_array_equal(zarr_read(tmp_path / "t"), data)
    keys = [k for k in content(tmp_path / "t") if k.startswith("s0/c/")]
    assert not [k for k in keys if int(k.rsplit("/", 1)[1]) < 2] and len(keys) == 3 * 4 * 2


def test_an_image_of_fill_value_alone(tmp_path, npy):
    voxarium.convert(npy(np.zeros((40, 50, 60), np.uint8)), tmp_path / "t", **CHOICES)
    assert not [p for p in (tmp_path / "t").rglob("*") if p.is_file() and p.name != "zarr.json"]
    assert not voxarium.open(tmp_path / "t")[:].any() and not zarr_read(tmp_path / "t").any()


@pytest.mark.parametrize("shape", [(0, 5, 6), (3, 0, 6), (1, 1, 1)])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_empty_and_single_voxel_images(tmp_path, npy, shape, version):
    choices = CHOICES | {"spec_version": version, "shard": None}
    voxarium.convert(npy(np.full(shape, 9, np.uint16)), tmp_path / "t", **choices)
    found = voxarium.open(tmp_path / "t")
    assert found.shape == shape and found[:].tolist() == np.full(shape, 9).tolist()
    assert zarr_read(tmp_path / "t").shape == shape


@pytest.mark.parametrize("codec", ["none", "zstd:3", "gzip:4", "blosc:lz4:5", "blosc:zstd:3:bitshuffle"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_codecs_that_others_read(tmp_path, npy, volume, codec, version):
    import tensorstore

    data = volume.astype(np.uint16) * 3
    choices = CHOICES | {"spec_version": version, "codec": codec, "shard": None if version == "0.4" else 32}
    voxarium.convert(npy(data), tmp_path / "t", **choices)
    driver = "zarr" if version == "0.4" else "zarr3"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(tmp_path / "t" / "s0")}}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), data)
    np.testing.assert_array_equal(zarr_read(tmp_path / "t"), data)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "t")[:], data)


@pytest.mark.parametrize("method", ["min", "max", "median", "stride", "mode", "gaussian"])
def test_other_methods_against_numpy(tmp_path, npy, volume, method):
    data = volume[:40, :48, :56].astype(np.float32 if method == "gaussian" else np.uint8)
    voxarium.convert(npy(data), tmp_path / "t", method=method, factors=2, **CHOICES | {"levels": 2})
    found = voxarium.open(tmp_path / "t").read(level=1)
    windows = data.reshape(20, 2, 24, 2, 28, 2).transpose(0, 2, 4, 1, 3, 5).reshape(20, 24, 28, 8)
    if method == "gaussian":
        assert found.shape == (20, 24, 28) and abs(float(found.mean()) - float(data.mean())) < 3
        return
    expected = {
        "min": lambda: windows.min(-1),
        "max": lambda: windows.max(-1),
        "median": lambda: np.rint(np.median(windows, axis=-1)),
        "stride": lambda: data[::2, ::2, ::2],
        "mode": lambda: np.apply_along_axis(lambda w: np.bincount(w).argmax(), -1, windows),
    }[method]()
    np.testing.assert_array_equal(found, expected)


def test_a_plain_array_with_dimension_names_needs_no_axes(tmp_path, volume):
    import zarr

    zarr.create_array(
        tmp_path / "a.zarr", data=volume, chunks=(16, 16, 16), shards=(48, 64, 64), dimension_names=["z", "y", "x"]
    )
    voxarium.convert(tmp_path / "a.zarr", tmp_path / "t", voxel_size=8, unit="nm", levels=2)
    assert [a.name for a in voxarium.open(tmp_path / "t").axes] == ["z", "y", "x"]
    np.testing.assert_array_equal(voxarium.open(tmp_path / "t")[:], volume)


def test_bytes_of_an_npy_in_memory_and_of_raw_binary(tmp_path, volume):
    buffer = io.BytesIO()
    np.save(buffer, volume)
    image = open_in(MemoryStore({"a.npy": buffer.getvalue()}), "a.npy")
    voxarium.convert(image, tmp_path / "t", **CHOICES)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "t")[:], volume)
    (tmp_path / "a.raw").write_bytes(b"head" + volume.astype(">u2").tobytes(order="F"))
    options = {"shape": volume.shape, "dtype": ">u2", "byte_offset": 4, "order": "F"}
    voxarium.convert(tmp_path / "a.raw", tmp_path / "u", source_options=options, **CHOICES)
    np.testing.assert_array_equal(voxarium.open(tmp_path / "u")[:], volume)


# ---------------------------------------------------------------------------------------------------- cost of reading
class Remote(AuditStore):
    """A store that counts, and says that requests at the same time pay off, as remote ones do."""

    concurrency = 16


@pytest.fixture
def audited(npy, tmp_path):
    """A sharded image, 2 × 2 × 2 shards of 4³ chunks, opened through a counting store."""
    data = np.random.default_rng(8).integers(0, 255, (128, 128, 128)).astype(np.uint8)
    voxarium.convert(npy(data), tmp_path / "em", **CHOICES | {"shard": 64, "levels": 1, "memory": 1 << 24})
    store = Remote(LocalStore(tmp_path / "em"), record=True)
    return data, store, open_in(store)


def shard_requests(store):
    """Return (index reads, data reads) of shards: index reads ask for the end of an object."""
    asked = [op for op in store.log if op.method in ("get_ranges", "get") and "/c/" in op.key]
    index = [op for op in asked if op.ranges and len(op.ranges) == 1 and op.ranges[0].start < 0]
    return index, [op for op in asked if op not in index]


def test_a_cutout_costs_one_index_read_per_shard_and_coalesced_data_reads(audited):
    data, store, image = audited
    store.reset()
    box = voxarium.Box((60, 60, 60), (8, 8, 8))  # a corner of each of the eight shards
    np.testing.assert_array_equal(image.read(box), data[box.slices])
    index, read = shard_requests(store)
    assert sorted(op.key for op in index) == sorted({op.key for op in index}) and len(index) == 8
    assert len(read) == 8 and all(len(op.ranges) == 1 for op in read)
    store.reset()
    np.testing.assert_array_equal(image.read(box), data[box.slices])
    index, read = shard_requests(store)
    assert not index and len(read) == 8 == store.round_trips


def test_neighbouring_chunks_come_in_one_request(audited):
    data, store, image = audited
    store.reset()
    box = voxarium.Box((0, 0, 0), (64, 64, 64))
    np.testing.assert_array_equal(image.read(box), data[box.slices])
    index, read = shard_requests(store)
    assert len(index) == 1 and len(read) == 1
    assert store.round_trips == 2
    assert store.bytes_read <= (64 // 16) ** 3 * (16**3 + 16 + 64)  # nothing but the chunks and the index


def test_one_voxel_costs_one_chunk(audited):
    data, store, image = audited
    store.reset()
    assert image[100, 3, 77] == data[100, 3, 77]
    index, read = shard_requests(store)
    assert len(index) == len(read) == 1
    assert store.bytes_read < 2 * 16**3 + 64 * 16 + 4  # one chunk and one index


def test_opening_reads_metadata_only(audited):
    _, store, _ = audited
    store.reset()
    open_in(store)
    assert not [op for op in store.log if "/c/" in op.key]
    assert store.reads_per_key == {"zarr.json": 1}  # which holds copies of the documents of all levels
    assert store.round_trips <= 3, [f"{op.method} {op.key}" for op in store.log]

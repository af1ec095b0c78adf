"""The field's own clients read images from a running server, voxel for voxel."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium

SHAPE = (37, 61, 83)
DATA = np.random.default_rng(7).integers(0, 60000, SHAPE, np.uint16)

TARGETS = {
    "zarr2": {"format": "ome-zarr", "spec_version": "0.4"},
    "zarr3": {"format": "ome-zarr", "spec_version": "0.5"},
    "sharded": {"format": "ome-zarr", "spec_version": "0.5", "shard": 32},
    "newest": {"format": "ome-zarr", "spec_version": "0.6", "shard": 32},
    "n5": {"format": "n5-viewer"},
    "precomputed": {"format": "precomputed", "shard": 0},
    "precomputed-sharded": {"format": "precomputed"},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    np.save(folder / "source.npy", DATA)
    for name, options in TARGETS.items():
        voxarium.convert(
            folder / "source.npy",
            folder / name,
            axes="zyx",
            voxel_size=(40, 8, 8),
            unit="nanometer",
            chunk=16,
            levels=2,
            accept=("all",),
            **options,
        )
    return folder


@pytest.fixture(scope="module")
def client(images, client_of):
    from voxarium.serve.running import BackgroundServer

    with BackgroundServer([f"em={images}"]) as server:
        yield client_of(server)


@pytest.mark.parametrize("name", TARGETS)
def test_voxarium_reads_it_back(client, name):
    image = voxarium.open(f"{client.url}/raw/em/{name}")
    assert (image[...] == DATA).all()
    assert image.voxel_size() == (40, 8, 8) and len(image.levels) == 2
    assert (image[5:9, 30:33, 70:] == DATA[5:9, 30:33, 70:]).all()


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "driver", "level"),
    [
        ("zarr2", "zarr", "0/"),
        ("zarr3", "zarr3", "0/"),
        ("sharded", "zarr3", "0/"),
        ("newest", "zarr3", "0/"),
        ("n5", "n5", "s0/"),
        ("precomputed", "neuroglancer_precomputed", ""),
        ("precomputed-sharded", "neuroglancer_precomputed", ""),
    ],
)
def test_tensorstore_reads_it(client, name, driver, level):
    tensorstore = pytest.importorskip("tensorstore")
    path = voxarium.open(f"{client.url}/raw/em/{name}").levels[0].path if driver != "neuroglancer_precomputed" else ""
    kvstore = {"driver": "http", "base_url": client.url, "path": f"/raw/em/{name}/{path}/".replace("//", "/")}
    found = np.asarray(tensorstore.open({"driver": driver, "kvstore": kvstore}).result().read().result())
    if driver in ("n5", "neuroglancer_precomputed"):  # x first
        found = found.reshape(found.shape[:3]).T
    assert (found == DATA).all()


@pytest.mark.oracle
def test_tensorstore_and_we_read_what_cloudvolume_compressed(tmp_path, images, serve):
    """On a disk TensorStore takes such files for absent, and reads zeros."""
    import gzip
    import shutil

    tensorstore = pytest.importorskip("tensorstore")
    shutil.copytree(images / "precomputed", tmp_path / "em")
    chunks = [p for p in (tmp_path / "em").rglob("*_*") if p.is_file()]
    for chunk in chunks:
        chunk.with_name(f"{chunk.name}.gz").write_bytes(gzip.compress(chunk.read_bytes()))
        chunk.unlink()
    assert chunks
    url = f"{serve(tmp_path / 'em').url}/raw/em"
    spec = {"driver": "neuroglancer_precomputed", "kvstore": f"{url}/"}
    assert (np.asarray(tensorstore.open(spec).result().read().result())[..., 0].T == DATA).all()
    assert (voxarium.open(url)[...] == DATA).all()


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["zarr2", "zarr3", "sharded"])
@pytest.mark.parametrize("way", ["fsspec", "obstore"])
@pytest.mark.filterwarnings("ignore")
def test_zarr_python_reads_it(client, name, way):
    zarr = pytest.importorskip("zarr")
    url = f"{client.url}/raw/em/{name}"
    if way == "fsspec":
        pytest.importorskip("aiohttp")
        store = zarr.storage.FsspecStore.from_url(url)
    else:
        obstore = pytest.importorskip("obstore.store")
        store = zarr.storage.ObjectStore(
            obstore.HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True
        )
    group = zarr.open_group(store, mode="r")
    assert (group["s0"][...] == DATA).all()
    assert (group["s0"][3:7, 20:40, 80:] == DATA[3:7, 20:40, 80:]).all()


@pytest.mark.oracle
def test_software_for_s3_lists_and_reads_a_root_as_a_bucket(client, images):
    obstore = pytest.importorskip("obstore")
    from obstore.store import S3Store

    store = S3Store(
        "em", endpoint=f"{client.url}/raw", skip_signature=True, region="x", client_options={"allow_http": True}
    )
    keys = sorted(item["path"] for page in obstore.list(store, prefix="sharded") for item in page)
    assert keys == sorted(str(p.relative_to(images)) for p in (images / "sharded").rglob("*") if p.is_file())
    found = obstore.list_with_delimiter(store, "sharded")
    assert [p.rstrip("/") for p in found["common_prefixes"]] == ["sharded/s0", "sharded/s1"]
    raw = (images / "sharded/zarr.json").read_bytes()
    assert bytes(obstore.get(store, "sharded/zarr.json").bytes()) == raw
    assert bytes(obstore.get_range(store, "sharded/zarr.json", start=3, length=9)) == raw[3:12]


@pytest.mark.oracle
def test_boto_pages_through_a_root(client, images):
    boto3 = pytest.importorskip("boto3")
    from botocore import UNSIGNED
    from botocore.config import Config

    s3 = boto3.client(
        "s3",
        endpoint_url=f"{client.url}/raw",
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}),
    )
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="em", Prefix="zarr3/", PaginationConfig={"PageSize": 7})
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    assert keys == sorted(str(p.relative_to(images)) for p in (images / "zarr3").rglob("*") if p.is_file())
    assert s3.get_object(Bucket="em", Key="zarr3/zarr.json")["Body"].read() == (images / "zarr3/zarr.json").read_bytes()
    assert s3.head_object(Bucket="em", Key="zarr3/zarr.json")["ContentLength"] > 0
    s3.close()


@pytest.mark.oracle
def test_fsspec_reads_parts_through_a_file_like_object(client, images):
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    raw = (images / "source.npy").read_bytes()
    with fsspec.open(f"{client.url}/raw/em/source.npy", block_size=1000) as file:
        assert file.size == len(raw)
        file.seek(5000)
        assert file.read(123) == raw[5000:5123]


@pytest.mark.oracle
def test_curl_resumes_and_asks_for_several_parts(client, images, tmp_path):
    import shutil
    import subprocess

    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    raw = (images / "source.npy").read_bytes()
    url = f"{client.url}/raw/em/source.npy"
    partly = tmp_path / "x.npy"
    partly.write_bytes(raw[:1000])
    subprocess.run(["curl", "-sf", "-C", "-", "-o", partly, url], check=True, timeout=60)
    assert partly.read_bytes() == raw
    done = subprocess.run(["curl", "-sf", "-r", "5-9,20-29", url], check=True, capture_output=True, timeout=60)
    assert raw[5:10] in done.stdout and raw[20:30] in done.stdout and b"multipart" not in done.stdout

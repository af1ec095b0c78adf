"""Versions in a bucket: releases exported to Icechunk, and databases of OCDBT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import tensorstore as ts
from moto.server import ThreadedMotoServer

import voxarium
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.core.uri import open_folder, open_source_store
from voxarium.core.versioned import iter_versions
from voxarium.errors import Code, InputError

VOXELS = np.arange(2310, dtype="u2").reshape(10, 21, 11)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        "XDG_CACHE_HOME": str(tmp_path),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=settings["AWS_ENDPOINT_URL"]).create_bucket(Bucket="bucket")
    yield settings["AWS_ENDPOINT_URL"]
    server.stop()


def test_a_release_in_a_bucket_becomes_a_tag_in_the_bucket(endpoint: str, tmp_path: Path) -> None:
    pytest.importorskip("icechunk", reason="the extra icechunk is not installed")
    from voxarium.archive.icechunk_export import export_icechunk

    np.save(tmp_path / "a.npy", VOXELS)
    voxarium.convert(tmp_path / "a.npy", "s3://bucket/a brain/em", axes="zyx", voxel_size=8, unit="nanometer")
    create_release("s3://bucket/a brain", "v1.0", ReleaseOptions(policy=Policy(require=frozenset()), agent=None))
    made = export_icechunk("s3://bucket/a brain@v1.0", "s3://bucket/r.icechunk")
    assert "tag.v1.0" in {v.name for v in iter_versions("s3://bucket/r.icechunk", open_folder)}
    for address in ("s3://bucket/r.icechunk@v1.0/em", f"s3://bucket/r.icechunk@{made.snapshot}/em"):
        image = voxarium.open(address, references=["s3://bucket/a brain"])
        assert isinstance(image, voxarium.Image)
        assert np.array_equal(image[...], VOXELS)
    with pytest.raises(InputError) as caught:
        voxarium.open("s3://bucket/r.icechunk@v1.0/em")[...]  # type: ignore[index]  # an image
    assert caught.value.code == Code.KEY_UNSAFE


@pytest.mark.oracle
def test_a_reader_of_the_repository_asks_for_the_bytes_of_one_chunk(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shard holds eight chunks; to read its index, and then a part, would be two requests."""
    icechunk = pytest.importorskip("icechunk", reason="the extra icechunk is not installed")
    zarr = pytest.importorskip("zarr")
    from moto.moto_server import werkzeug_app

    from voxarium.archive.icechunk_export import export_icechunk

    how: dict[str, Any] = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 4, "shard": 8}
    np.save(tmp_path / "a.npy", VOXELS)
    voxarium.convert(tmp_path / "a.npy", "s3://bucket/brain/em", **how)
    create_release("s3://bucket/brain", "v1.0", ReleaseOptions(policy=Policy(require=frozenset()), agent=None))
    export_icechunk("s3://bucket/brain@v1.0", tmp_path / "r.icechunk")
    storage = icechunk.local_filesystem_storage(str(tmp_path / "r.icechunk"))
    access = {"s3://bucket/brain/": icechunk.Credentials.S3(icechunk.s3_credentials(from_env=True))}
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=access)
    array = zarr.open_array(repo.readonly_session(tag="v1.0").store, path="em/s0", mode="r")
    asked: list[tuple[str, str]] = []
    plain = werkzeug_app.DomainDispatcherApplication.__call__

    def noting(self: Any, environ: Any, start_response: Any) -> Any:
        asked.append((environ["PATH_INFO"], environ.get("HTTP_RANGE", "")))
        return plain(self, environ, start_response)

    with monkeypatch.context() as patch:
        patch.setattr(werkzeug_app.DomainDispatcherApplication, "__call__", noting)
        assert np.array_equal(array[4:8, 12:16, 8:11], VOXELS[4:8, 12:16, 8:11])
    stored = voxarium.open(tmp_path / "r.icechunk@v1.0/em", references=["s3://bucket/brain"])
    assert isinstance(stored, voxarium.Image) and stored.arrays[0].info.shard_shape is None
    asked = [a for a in asked if "/em/s0/" in a[0]]
    assert [key for key, _ in asked] == ["/bucket/brain/em/s0/c/0/1/1"], asked
    first, last = map(int, asked[0][1].removeprefix("bytes=").split("-"))
    shard = open_folder("s3://bucket/brain").get("em/s0/c/0/1/1")
    assert shard is not None and 0 < last - first + 1 < len(shard) / 4


@pytest.mark.oracle
def test_a_database_in_a_bucket_opens_at_any_version(endpoint: str) -> None:
    base = {
        "driver": "s3", "bucket": "bucket", "path": "db.ocdbt/", "endpoint": endpoint, "aws_region": "us-east-1",
        "aws_credentials": {"type": "environment"},
    }  # fmt: skip
    kv = ts.KvStore.open({"driver": "ocdbt", "base": base}).result()
    values = [b"1", b"22" * 400, b"333"]
    for value in values:
        kv.write("em/x", value).result()
    newest = [v.name for v in iter_versions("s3://bucket/db.ocdbt", open_folder)][: len(values)]
    for version, value in zip(newest, reversed(values), strict=True):
        for address in (f"s3://bucket/db.ocdbt@{version}/em", f"s3://bucket/db.ocdbt/|ocdbt:@{version}/em"):
            store, path = open_source_store(address)
            assert store.get(f"{path}/x") == value
    store, path = open_source_store("s3://bucket/db.ocdbt::em")
    assert store.get(f"{path}/x") == values[-1]

"""Versions in a bucket: releases exported to Icechunk, and databases of OCDBT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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

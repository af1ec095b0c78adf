"""Manifests and audits of what lies in an object store."""

from __future__ import annotations

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

import voxarium
from voxarium.archive.manifests import ManifestWriter
from voxarium.errors import ExistsError


@pytest.fixture
def bucket(monkeypatch, tmp_path):
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
    client = boto3.client("s3", endpoint_url=settings["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket="bucket")
    yield client
    server.stop()


def test_an_image_in_a_bucket_is_listed_while_written_and_verified(bucket, tmp_path):
    np.save(tmp_path / "em.npy", np.random.default_rng(0).integers(1, 9, (20, 30, 40)).astype(np.uint8))
    choices = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 8, "shard": 16}
    writer = ManifestWriter()
    voxarium.convert(tmp_path / "em.npy", "s3://bucket/em.zarr", take_objects=writer, digests="sha256", **choices)
    assert writer.report.manifest == "s3://bucket/em.zarr.manifest.parquet" and writer.read == 0
    report = voxarium.verify("s3://bucket/em.zarr")
    assert report.ok and report.listed and report.read == report.objects > 10
    with pytest.raises(ExistsError):
        voxarium.write_manifest("s3://bucket/em.zarr")
    again = voxarium.write_manifest("s3://bucket/em.zarr/", tmp_path / "again.parquet", digests=())
    assert again.roots == report.roots
    bucket.put_object(Bucket="bucket", Key="em.zarr/s0/zarr.json", Body=b"x")
    bucket.put_object(Bucket="bucket", Key="em.zarr/more", Body=b"x")
    bucket.delete_object(Bucket="bucket", Key="em.zarr/zarr.json")
    found = {(p.key, p.kind) for p in voxarium.verify("s3://bucket/em.zarr").problems}
    assert found == {("more", "extra"), ("s0/zarr.json", "truncated"), ("zarr.json", "missing")}

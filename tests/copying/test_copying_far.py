"""Copies to and from object stores and web servers, and the command."""

from __future__ import annotations

import http.server
import json
import logging
import sys
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parent))
from copying_data import objects, publish

import voxarium
from voxarium.archive.copying import copy, plan_copy
from voxarium.archive.release_checks import verify_release
from voxarium.cli.main import main
from voxarium.core.executor import Cancel
from voxarium.errors import InterruptedJobError, UnsupportedError


@pytest.fixture
def bucket(monkeypatch):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=settings["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket="copies")
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="copies"):  # servers of one process share it
        for found in page.get("Contents", ()):
            client.delete_object(Bucket="copies", Key=found["Key"])
    client.close()
    server.stop()


@contextmanager
def served(folder):
    """Serve a folder over HTTP, without listings."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def list_directory(self, _path):
            self.send_error(404)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_dataset_goes_to_a_bucket_and_back(bucket, dataset, tmp_path):
    (Path(dataset.root) / "big").mkdir()
    (Path(dataset.root) / "big/x").write_bytes(bytes(range(256)) * 80_000)  # 20 MB: sent in parts
    publish(dataset, "v1.2")
    assert copy(dataset.root, "s3://copies/brain").ok
    assert verify_release("s3://copies/brain", "v1.2").ok
    keys = {
        o["Key"] for page in bucket.get_paginator("list_objects_v2").paginate(Bucket="copies") for o in page["Contents"]
    }
    assert not any(".voxarium" in key for key in keys)
    report = copy("s3://copies/brain", tmp_path / "back", threads=4)
    assert report.ok and objects(tmp_path / "back") == objects(Path(dataset.root))
    assert copy("s3://copies/brain@v1.0", "s3://copies/other").ok
    assert verify_release("s3://copies/other", "v1.0").ok


def test_a_copy_to_a_bucket_goes_on(bucket, image, tmp_path):
    cancel = Cancel()
    with pytest.raises(InterruptedJobError):
        copy(image, "s3://copies/em.zarr", threads=2, cancel=cancel, progress=lambda p: p.objects > 20 and cancel.set())
    assert plan_copy(image, "s3://copies/em.zarr").resumes
    report = copy(image, "s3://copies/em.zarr", write_manifest=True)
    assert report.ok and report.resumed > 20
    assert voxarium.verify("s3://copies/em.zarr").ok
    copy("s3://copies/em.zarr", tmp_path / "back.zarr")
    assert objects(tmp_path / "back.zarr") == objects(image)


def test_a_release_comes_from_a_server_that_cannot_list(dataset, tmp_path):
    with served(Path(dataset.root).parent) as url:
        assert copy(f"{url}/brain@v1.0", tmp_path / "v1.0").ok
        assert verify_release(str(tmp_path / "v1.0"), "v1.0").ok
        assert copy(f"{url}/brain@v1.1/em", tmp_path / "em").ok
        report = copy(f"{url}/brain", tmp_path / "all")
    assert report.ok and report.notes
    for name in ("v1.0", "v1.1"):
        assert verify_release(str(tmp_path / "all"), name).ok
    assert (tmp_path / "all/dataset.json").read_bytes() == dataset.get("dataset.json")


def test_an_image_comes_from_a_server_that_cannot_list(image, tmp_path):
    """What should be there is known from its metadata."""
    (image / "s0/c/1/1/1").unlink()
    with served(tmp_path) as url:
        assert copy(f"{url}/em.zarr", tmp_path / "copy.zarr").ok
        assert objects(tmp_path / "copy.zarr") == objects(image)
        copy(f"{url}/em.zarr/s1", tmp_path / "level.zarr")
        assert objects(tmp_path / "level.zarr") == objects(image / "s1")
        voxarium.write_manifest(image)
        report = copy(f"{url}/em.zarr", tmp_path / "again.zarr")
        assert report.compared == report.objects
    with served(tmp_path) as url, pytest.raises(voxarium.VoxariumError):
        copy(f"{url}/nothing.zarr", tmp_path / "none.zarr")


def test_a_file_comes_from_a_server(tmp_path):
    (tmp_path / "a.h5").write_bytes(bytes(range(256)) * 50_000)
    with served(tmp_path) as url:
        assert copy(f"{url}/a.h5", tmp_path / "b.h5").ok
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "a.h5").read_bytes()


def test_the_command(image, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["copy", "em.zarr", "copy.zarr", "--dry-run", "--json", "--limit", "50MB/s"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["objects"] == len(objects(image)) and not (tmp_path / "copy.zarr").exists()
    assert main(["copy", "em.zarr", "copy.zarr", "--dry-run"]) == 0
    assert "objects" in capsys.readouterr().out
    assert main(["copy", "em.zarr", "copy.zarr", "--write-manifest", "--limit", "100MB/s"]) == 0
    assert "is whole" in capsys.readouterr().out
    assert main(["verify", "copy.zarr", "-q"]) == 0
    assert main(["copy", "em.zarr", "copy.zarr"]) == 1
    assert "--update" in capsys.readouterr().err
    victim = image / "s1/c/0/0/0"
    voxarium.write_manifest("em.zarr")
    victim.write_bytes(bytes(victim.stat().st_size))
    assert main(["copy", "em.zarr", "other.zarr", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"] and report["problems"][0]["kind"] == "changed"
    assert main(["copy", "em.zarr", "other.zarr"]) == 1
    assert "not whole" in capsys.readouterr().out
    assert main(["copy", "em.zarr", "third.zarr", "--limit", "fast"]) == 2


def test_what_cannot_be_listed_or_guessed_is_refused(tmp_path):
    (tmp_path / "tree/x").mkdir(parents=True)
    (tmp_path / "tree/x/y").write_bytes(b"1")
    with served(tmp_path) as url, pytest.raises((UnsupportedError, voxarium.VoxariumError)):
        copy(f"{url}/tree", tmp_path / "copy")

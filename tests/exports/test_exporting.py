"""What all exports have in common: whole or not at all, never over anything, checked on the way."""

from __future__ import annotations

import errno
import json
import logging
import os
import tempfile
import urllib.request
from pathlib import Path

import pytest
from export_data import CONTENT, LATER, contents, exported, made, publish
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from voxarium.archive.exports import (
    ExportOptions,
    check_package,
    export_release,
    import_package,
    open_release_source,
)
from voxarium.archive.exports.running import package_adapter
from voxarium.archive.trees import is_temporary
from voxarium.cli.main import app, main
from voxarium.core.registry import release_exports
from voxarium.errors import (
    ChecksumError,
    ExistsError,
    InputError,
    NotFoundError,
    ReleaseFrozenError,
    StoreError,
    UnsupportedError,
)
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore

FOLDERS = [a.name for a in release_exports() if not a.single and a.name != "datalad"]


def test_files_are_the_objects_of_the_release(brain, tmp_path):
    report = exported(f"{brain}@v1.0", tmp_path / "out", "files")
    assert contents(tmp_path / "out") == CONTENT
    assert report.plan.objects == len(CONTENT) and report.plan.nbytes == sum(map(len, CONTENT.values()))
    exported(f"{brain}@v1.1", tmp_path / "later", "files")
    assert contents(tmp_path / "later") == CONTENT | LATER
    assert set(os.listdir(tmp_path)) == {"out", "later"}


@pytest.mark.parametrize("kind", FOLDERS)
def test_nothing_is_written_over(brain, tmp_path, kind):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("folder", "file", "link"):
        with pytest.raises(ExistsError):
            exported(f"{brain}@v1.0", tmp_path / name, kind)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_somebody_who_was_faster_keeps_what_is_theirs(brain, tmp_path, monkeypatch):
    def faster():
        (tmp_path / "out").mkdir()

    monkeypatch.setattr(os, "sync", faster)
    with pytest.raises(ExistsError):
        exported(f"{brain}@v1.0", tmp_path / "out", "files")
    assert contents(tmp_path) == {} and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", FOLDERS)
def test_an_object_that_changed_leaves_nothing_behind(tmp_path, kind):
    brain = made(tmp_path / "brain")
    for data in (b"\2\1" * 101 + b"\2\2", b"short", None):
        path = tmp_path / "brain/em/s0/c/2/1"
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ChecksumError, match="em/s0/c/2/1"):
            exported(f"{brain}@v1.1", tmp_path / "out", kind)
        assert os.listdir(tmp_path) == ["brain"]
        path.write_bytes(b"to be removed")


def test_large_objects_are_copied_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("voxarium.archive.exports.copying._PIECE", 100)
    brain = made(tmp_path / "brain")
    exported(f"{brain}@v1.1", tmp_path / "out", "files")
    assert contents(tmp_path / "out") == CONTENT | LATER


def test_a_disk_that_is_full_leaves_nothing_behind(brain, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StoreError):
        exported(f"{brain}@v1.0", tmp_path / "out", "files")
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")
    assert not [n for n in os.listdir(tmp_path) if n.endswith(".partial")]


def test_a_target_in_the_dataset_is_refused(brain, tmp_path):
    (tmp_path / "alias").symlink_to(brain)
    for target in (f"{brain}/out", f"{brain}/em/out", tmp_path / "alias" / "out"):
        with pytest.raises((InputError, ReleaseFrozenError)):
            exported(f"{brain}@v1.0", target, "files")


def test_a_release_must_be_named_and_be_there(brain, tmp_path):
    with pytest.raises(InputError, match="names no release"):
        exported(brain, tmp_path / "out", "files")
    with pytest.raises(NotFoundError):
        exported(f"{brain}@v9", tmp_path / "out", "files")
    with pytest.raises(InputError, match="no export driver"):
        exported(f"{brain}@v1.0", tmp_path / "out", "tar")


def test_a_withdrawn_release_is_exported_only_when_asked(tmp_path):
    brain = made(tmp_path / "brain")
    assert main(["release", "tombstone", brain, "v1.0", "--reason", "wrong", "-q"]) == 0
    with pytest.raises(NotFoundError, match="wrong"):
        exported(f"{brain}@v1.0", tmp_path / "out", "files")
    export_release(f"{brain}@v1.0", tmp_path / "out", "files", withdrawn=True)
    assert contents(tmp_path / "out") == CONTENT


@pytest.mark.parametrize("adapter", release_exports(), ids=lambda a: a.name)
def test_options_that_mean_nothing_are_refused_and_a_dry_run_writes_nothing(brain, tmp_path, adapter):
    given = {"url": "https://example.org/brain", "digest": "sha256", "identifier": "10.5072/x", "storage_root": True}
    for name, value in given.items():
        if name not in adapter.options:
            with pytest.raises(InputError, match="means nothing"):
                exported(f"{brain}@v1.0", tmp_path / "out", adapter.name, **{name: value})
    options = {"url": given["url"]} if adapter.name == "datalad" else {}
    report = export_release(f"{brain}@v1.1", tmp_path / "out", adapter.name, ExportOptions(**options), dry_run=True)
    assert report.dry_run and os.listdir(tmp_path) == []
    json.dumps(report.to_json())


def test_the_command_exports_checks_and_imports(brain, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["release", "export", f"{brain}@v1.1", "bag", "--as", "bagit", "--dry-run"]) == 0
    assert "would be written" in capsys.readouterr().out and not os.path.exists("bag")
    assert main(["release", "export", f"{brain}@v1.1", "bag", "--as", "bagit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == len(CONTENT | LATER)
    assert main(["release", "check", "bag"]) == 0
    assert "holds release v1.1" in capsys.readouterr().out
    assert main(["release", "import", "bag", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] and contents(tmp_path / "out") == CONTENT | LATER
    (tmp_path / "bag/data/em/zarr.json").write_bytes(b"{}")
    assert main(["release", "check", "bag", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"] and {p["kind"] for p in found["problems"]} == {"changed"}
    assert main(["release", "check", "bag"]) == 1
    assert "data/em/zarr.json" in capsys.readouterr().err
    assert main(["release", "import", "bag", "other"]) == 1 and not os.path.exists("other")
    assert main(["release", "export", f"{brain}@v1.0", "bag", "--as", "bagit"]) == 1
    assert "exists" in capsys.readouterr().err


def test_help_names_every_adapter():
    text = CliRunner().invoke(app, ["release", "export", "--help"], env={"COLUMNS": "200"}).output
    for adapter in release_exports():
        assert adapter.name in text


def test_what_is_no_package_is_not_taken_for_one(tmp_path, brain):
    with pytest.raises(NotFoundError, match="no package"):
        check_package(brain)
    with pytest.raises(NotFoundError):
        check_package(tmp_path / "nothing")
    with pytest.raises(UnsupportedError, match="written, not read"):
        package_adapter(MemoryStore(), "files")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="inside a file"):
        exported(f"{brain}@v1.0", f"{tmp_path}/x.h5::/bag", "bagit")
    with pytest.raises(NotFoundError):
        import_package(tmp_path / "file", tmp_path / "out")


def test_an_object_store_gets_the_declaration_last_and_is_not_written_over(brain, monkeypatch, tmp_path):
    written = []

    class Remote(LocalStore):
        def create(self, key, /):
            written.append(key)
            return super().create(key)

    remote = Remote(tmp_path / "bucket")
    monkeypatch.setattr("voxarium.archive.exports.targets.open_target_store", lambda _: remote)
    exported(f"{brain}@v1.0", "s3://bucket/bag", "bagit")
    assert written[-1] == "bagit.txt"
    assert check_package(remote).package.release == "v1.0"
    with pytest.raises(ExistsError):
        exported(f"{brain}@v1.0", "s3://bucket/bag", "bagit")


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a server that speaks S3."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/exports", method="PUT"), timeout=20).close()
    for name, value in {
        "ENDPOINT_URL": url,
        "ACCESS_KEY_ID": "me",
        "SECRET_ACCESS_KEY": "s",
        "REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    yield "s3://exports"
    server.stop()


@pytest.mark.parametrize("kind", ["bagit", "ocfl"])
def test_packages_in_a_bucket(brain, bucket, tmp_path, kind):
    target = f"{bucket}/{kind}"
    exported(f"{brain}@v1.1", target, kind)
    report = check_package(target)
    assert report.ok and report.package.release == "v1.1"
    import_package(target, tmp_path / "out")
    assert contents(tmp_path / "out") == CONTENT | LATER
    with pytest.raises(ExistsError):
        exported(f"{brain}@v1.1", target, kind)
    with pytest.raises(InputError):
        exported(f"{brain}@v1.1", "https://example.org/bag", kind)


PART = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=("Cc", "Cs")), min_size=1, max_size=9
)
KEY = st.lists(PART.filter(lambda p: p not in (".", "..")), min_size=1, max_size=3).map("/".join)


def apart(content):
    """Leave out what cannot lie beside the rest on a file system, and what releases do not take."""
    keys = set(content)
    above = {key[:i] for key in keys for i, c in enumerate(key) if c == "/"}
    return {
        k: v
        for k, v in content.items()
        if k not in above and not k.startswith(("releases", "provenance-log", ".voxarium")) and not is_temporary(k)
    }


@pytest.mark.parametrize("kind", ["bagit", "ocfl", "files"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.dictionaries(KEY, st.binary(max_size=5), max_size=6).map(apart), second=st.binary(max_size=3))
def test_whatever_is_published_comes_back(kind, first, second):
    store = MemoryStore(first | {"always": b""})
    publish(store, "v1")
    store.put("later", second)
    publish(store, "v2")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        export_release(open_release_source(store, "v2"), root / "out", kind)
        if kind != "files":
            assert check_package(root / "out").package.release == "v2"
            import_package(root / "out", root / "again")
        found = contents(root / ("out" if kind == "files" else "again"))
    assert found == first | {"always": b"", "later": second}

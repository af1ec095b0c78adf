from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from voxarium.errors import Code, InputError, StoreError, UnsupportedError
from voxarium.model.protocols import ByteRange, ListableStore, WritableStore
from voxarium.stores.fsspec_store import FsspecStore, WritableFsspecStore


def test_file_systems_that_can_only_be_read_are_only_readable(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/b", b"1")
    store = FsspecStore.from_uri(f"zip://::{tmp_path}/x.zip")
    assert store.get("a/b") == b"1"
    assert isinstance(store, ListableStore)
    assert not isinstance(store, WritableStore)
    assert isinstance(FsspecStore.from_uri("memory://x"), WritableStore)


def test_unknown_schemes_are_explained() -> None:
    with pytest.raises(InputError) as caught:
        FsspecStore.from_uri("nonsense://x/y")
    assert caught.value.code == Code.URI_INVALID


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UnsupportedError) as caught:
        FsspecStore.from_uri("memory://x")
    assert caught.value.code == Code.EXTRA_NOT_INSTALLED
    assert "voxarium[fsspec]" in caught.value.fix


class _Failing:
    """A file system on which everything fails with an error that tells a secret."""

    protocol = "ftp"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_args: Any, **_options: Any) -> Any:
            raise self.error

        return fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError("ftp://me:s3cr3t@host"), Code.STORE_UNREADABLE),
        (PermissionError("s3cr3t"), Code.STORE_PERMISSION),
        (RuntimeError("s3cr3t"), Code.STORE_UNREADABLE),
        (ConnectionError("s3cr3t"), Code.STORE_UNREADABLE),
    ],
)
def test_foreign_errors_become_store_errors(error: Exception, code: Code) -> None:
    import traceback

    store = WritableFsspecStore(_Failing(error), "/x", "ftp://me:s3cr3t@host/x?sig=s3cr3t")
    assert store.uri == "ftp://host/x"
    for access in (
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: store.get_ranges("a", [ByteRange(0, 1)]),
        lambda: store.get_ranges("a", [ByteRange(-1)]),
        lambda: list(store.list()),
        store.list_dir,
        lambda: store.open_file("a"),
        lambda: store.put("a", b""),
        lambda: store.delete("a"),
    ):
        with pytest.raises(StoreError) as caught:
            access()
        assert caught.value.code in (code, Code.STORE_UNWRITABLE)
        text = "".join(traceback.format_exception(caught.value))
        assert "s3cr3t" not in "\n".join(x for x in text.split("\n") if "access()" not in x)


def test_what_a_file_system_cannot_do_is_unsupported() -> None:
    store = WritableFsspecStore(_Failing(NotImplementedError()), "/x", "odd://x")
    with pytest.raises(UnsupportedError) as caught:
        store.put("a", b"")
    assert caught.value.code == Code.STORE_READ_ONLY


def test_nothing_temporary_is_left(tmp_path: Path) -> None:
    store = FsspecStore.from_uri(f"local://{tmp_path}/r")
    assert isinstance(store, WritableFsspecStore)
    store.put("a/b", b"1")
    writer = store.create("a/c")
    writer.write(b"2")
    writer.abort()
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == ["r/a/b"]

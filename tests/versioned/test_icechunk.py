"""Icechunk repositories as the library of that name writes them, in every version they have."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.core.uri import open_folder, open_source_store
from voxarium.core.versioned import iter_versions
from voxarium.errors import Code, InputError, NotFoundError, StoreError, VoxariumError
from voxarium.model.protocols import ByteRange, ListableStore
from voxarium.model.versioned import VersionedStoreDriver

icechunk = pytest.importorskip("icechunk", reason="the extra icechunk is not installed")
zarr = pytest.importorskip("zarr", reason="icechunk needs zarr")

from voxarium.stores.icechunk import IcechunkDriver, commits_locked  # noqa: E402  needs the library

OLD = np.arange(210, dtype="<u2").reshape(5, 6, 7)
NEW = OLD + 1000


def repository(path: Path, **config: Any) -> Any:
    icechunk.set_logs_filter("error")
    return icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)), **config)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Two commits: a tag on the first, a branch beside it."""
    path = tmp_path / "em.icechunk"
    made = repository(path)
    made.save_config()
    session = made.writable_session("main")
    group = zarr.create_group(session.store, attributes={"who": "me"})
    group.create_group("em")
    array = group.create_array("em/s0", shape=OLD.shape, chunks=(3, 4, 5), dtype="uint16")
    array[...] = OLD
    group.create_array("scalar", shape=(), dtype="float32")[...] = 2.5
    made.create_tag("v1.0", session.commit("the first"))
    session = made.writable_session("main")
    zarr.open_array(session.store, path="em/s0", mode="r+")[...] = NEW
    second = session.commit("the second")
    made.create_branch("other work", second)
    made.create_branch("both", second)
    made.create_tag("both", second)
    return path


class TestIcechunk:
    def test_the_driver_is_found_by_its_entry_point(self) -> None:
        assert isinstance(IcechunkDriver(), VersionedStoreDriver)

    def test_any_branch_tag_snapshot_or_time_opens(self, repo: Path) -> None:
        versions = list(iter_versions(str(repo), open_folder))
        snapshots = [v for v in versions if v.kind == "snapshot"]
        assert [v.message for v in snapshots][:2] == ["the second", "the first"]
        assert {v.name for v in versions if v.kind == "tag"} == {"tag.v1.0", "tag.both"}
        assert {v.name for v in versions if v.kind == "branch"} == {"branch.main", "branch.other work", "branch.both"}
        between = datetime.fromisoformat(snapshots[1].time) + timedelta(microseconds=1)
        for address, expected in {
            f"{repo}::em/s0": NEW,
            f"{repo}@v1.0/em/s0": OLD,
            f"{repo}@tag.v1.0/em/s0": OLD,
            f"{repo}@main/em/s0": NEW,
            f"{repo}@other%20work/em/s0": NEW,
            f"{repo}@{snapshots[1].name}/em/s0": OLD,
            f"{repo}@{between.isoformat()}/em/s0": OLD,
            f"{repo}|icechunk:em/s0": NEW,
            f"{repo}/|icechunk:@tag.v1.0/em/s0/": OLD,
            f"file://{repo}/|icechunk:@branch.main/em/s0": NEW,
            f"{repo}|icechunk:@{snapshots[1].name}/em/s0": OLD,
        }.items():
            image = voxarium.open(address)
            assert isinstance(image, voxarium.Image), address
            assert np.array_equal(image[...], expected), address
        assert isinstance(voxarium.open(repo), voxarium.Dataset)

    def test_keys_sizes_ranges_and_folders_are_those_of_the_repository(self, repo: Path) -> None:
        store, path = open_source_store(f"{repo}@v1.0")
        assert path == ""
        assert isinstance(store, ListableStore)
        assert store.list_dir("") == (["zarr.json"], ["em", "scalar"])
        assert store.list_dir("em/s0") == (["zarr.json"], ["c"])
        assert store.list_dir("em/s0/c/0/0") == (["0", "1"], [])
        assert store.list_dir("scalar") == (["c", "zarr.json"], [])
        assert store.list_dir("nothing") == ([], [])
        listed = dict(store.list())
        assert set(dict(store.list("em/s0"))) == {k for k in listed if k.startswith("em/s0/")}
        for key, size in listed.items():
            data = store.get(key)
            stat = store.stat(key)
            assert data is not None
            assert stat is not None
            assert len(data) == size == stat.size
            parts = store.get_ranges(key, [ByteRange(-3), ByteRange(1, 2), ByteRange(size, 0)])
            assert parts is not None
            assert [bytes(p) for p in parts] == [data[-3:], data[1:3], b""]
            with pytest.raises(StoreError):
                store.get_ranges(key, [ByteRange(size - 1, 2)])
        for key in (
            "em/s0/c/9/9/9", "em/s0/c/0", "em/.zattrs", "attributes.json", "none/zarr.json", "none/c/0", "c", "c/0",
            "em/s0/c/00/0/0", "em/s0/c/99999999999/0/0", "em",
        ):  # fmt: skip
            assert store.get(key) is None, key
            assert store.stat(key) is None, key
            assert store.get_ranges(key, [ByteRange(0, 1)]) is None, key
        with pytest.raises(InputError):
            store.get("../secret")

    def test_a_branch_that_moves_on_is_not_seen(self, repo: Path) -> None:
        store, _ = open_source_store(repo)
        before = store.get("em/s0/c/0/0/0")
        opened = icechunk.Repository.open(icechunk.local_filesystem_storage(str(repo)))
        session = opened.writable_session("main")
        zarr.open_array(session.store, path="em/s0", mode="r+")[...] = 7
        session.commit("the third")
        assert store.get("em/s0/c/0/0/0") == before
        assert open_source_store(repo)[0].get("em/s0/c/0/0/0") != before

    @pytest.mark.parametrize("version", ["v9", "tag.v9", "branch.v9", "0" * 20, "1970-01-01T00:00:00Z"])
    def test_a_version_that_is_not_there_is_not_found(self, repo: Path, version: str) -> None:
        with pytest.raises(NotFoundError) as caught:
            open_source_store(f"{repo}@{version}")
        assert caught.value.code == Code.VERSION_MISSING

    def test_a_name_that_means_two_things_is_refused(self, repo: Path) -> None:
        with pytest.raises(InputError):
            open_source_store(f"{repo}@both")
        open_source_store(f"{repo}@tag.both")

    def test_looking_makes_no_folder(self, tmp_path: Path) -> None:
        for address in (f"{tmp_path}/none|icechunk:", f"{tmp_path}|icechunk:"):
            with pytest.raises(NotFoundError):
                open_source_store(address)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["refs/branch.main/ref.json", "config.yaml", "snapshots", "manifests"])
    def test_a_damaged_repository_gives_errors_of_this_package(self, repo: Path, name: str) -> None:
        path = repo / name
        for file in [path] if path.is_file() else list(path.iterdir()):
            file.write_bytes(b"\0junk" + file.read_bytes()[7:40])
        with pytest.raises(VoxariumError):
            voxarium.open(f"{repo}::em/s0")[...]  # type: ignore[index]  # an image, if anything

    def test_nothing_is_printed_between_our_lines(self, repo: Path) -> None:
        code = f"import voxarium; print(voxarium.open({str(repo) + '@v1.0/em/s0'!r}).shape)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
        assert done.stdout == "(5, 6, 7)\n"


class TestReferences:
    @pytest.fixture
    def away(self, tmp_path: Path) -> Path:
        """A repository whose only chunk lies in the folder `data`."""
        data = tmp_path / "data"
        data.mkdir()
        (data / "raw").write_bytes(b"HEAD" + OLD[0].tobytes())
        (tmp_path / "secret").write_bytes(bytes(500))
        config = icechunk.RepositoryConfig.default()
        inside = icechunk.local_filesystem_store(str(data))
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(f"file://{data}/", store=inside))
        path = tmp_path / "away.icechunk"
        made = repository(path, config=config)
        made.save_config()
        session = made.writable_session("main")
        root = zarr.create_group(session.store)
        for name, url in {"good": f"{data}/raw", "dots": f"{data}/../secret", "gone": f"{data}/gone"}.items():
            root.create_array(name, shape=(6, 7), chunks=(6, 7), dtype="uint16", compressors=None)
            chunk = icechunk.VirtualChunkSpec([0, 0], f"file://{url}", 4, 84)
            session.store.set_virtual_refs(name, [chunk], validate_containers=False)
        session.commit("references")
        return path

    def test_chunks_elsewhere_are_read_only_where_the_user_allows_it(self, away: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError) as caught:
            voxarium.open(f"{away}@main/good")[...]  # type: ignore[index]  # an image
        assert caught.value.code == Code.KEY_UNSAFE
        assert "VOXARIUM_REFERENCES" in caught.value.fix
        for allowed in (f"{tmp_path}/data", f"file://{tmp_path}/data/", str(tmp_path)):
            image = voxarium.open(f"{away}@main/good", references=[allowed])
            assert isinstance(image, voxarium.Image)
            assert np.array_equal(image[...], OLD[0])
        with pytest.raises(InputError):
            voxarium.open(f"{away}@main/good", references=[f"{tmp_path}/data/raw"])[...]  # type: ignore[index]

    def test_a_reference_out_of_what_is_allowed_is_refused(self, away: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError):
            voxarium.open(f"{away}@main/dots", references=[f"{tmp_path}/data"])[...]  # type: ignore[index]

    def test_a_reference_to_nothing_is_an_error_and_not_absent(self, away: Path, tmp_path: Path) -> None:
        with pytest.raises(StoreError):
            voxarium.open(f"{away}@main/gone", references=[f"{tmp_path}/data"])[...]  # type: ignore[index]


COMMITS = """
import sys, icechunk, zarr
from voxarium.stores.icechunk import commits_locked
icechunk.set_logs_filter("error")
path, me = sys.argv[1], int(sys.argv[2])
for i in range(8):
    repo = icechunk.Repository.open(icechunk.local_filesystem_storage(path))
    session = repo.writable_session("main")
    zarr.open_array(session.store, path="a", mode="r+")[me * 8 + i] = 1
    with commits_locked(path):
        session.commit(f"{me} {i}", rebase_with=icechunk.ConflictDetector(), rebase_tries=1000)
"""


class TestLock:
    def test_no_commit_of_several_programs_is_lost(self, tmp_path: Path) -> None:
        path = tmp_path / "r.icechunk"
        session = repository(path).writable_session("main")
        zarr.create_array(session.store, name="a", shape=(32,), chunks=(1,), dtype="uint8")
        session.commit("made")
        programs = [subprocess.Popen([sys.executable, "-c", COMMITS, str(path), str(i)]) for i in range(4)]
        assert [p.wait(200) for p in programs] == [0] * 4
        image = voxarium.open(f"{path}@main/a")
        assert isinstance(image, voxarium.Image)
        assert image[...].sum() == 32

    def test_a_repository_that_is_not_there_cannot_be_locked(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError), commits_locked(tmp_path / "none"):
            pass

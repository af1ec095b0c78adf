"""A release as a version of an Icechunk repository: what zarr-python reads there is what was published."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.archive.icechunk_export import export_icechunk
from voxarium.archive.release_making import ReleaseOptions, create_release
from voxarium.archive.release_policy import Policy
from voxarium.errors import ChecksumError, Code, ExistsError, FormatError, InputError, NotFoundError, UnsupportedError

icechunk = pytest.importorskip("icechunk", reason="the extra icechunk is not installed")
zarr = pytest.importorskip("zarr", reason="icechunk needs zarr")

NOTHING = Policy(require=frozenset())
OLD = np.random.default_rng(1).integers(1, 2**16, (20, 33, 47), np.uint16)
LABELS = np.random.default_rng(2).integers(0, 2**40, (20, 33, 47), np.uint64)


def publish(dataset: Path, name: str) -> None:
    create_release(str(dataset), name, ReleaseOptions(policy=NOTHING, agent=None, note=f"note of {name}"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two images, labels, and documents; the release v1.0."""
    path = tmp_path / "a brain, 50% µ"
    np.save(tmp_path / "old.npy", OLD)
    np.save(tmp_path / "labels.npy", LABELS)
    space: dict[str, Any] = {"axes": "zyx", "unit": "nanometer"}
    voxarium.convert(tmp_path / "old.npy", path / "em", voxel_size=(8, 4, 4), chunk=8, shard=16, **space)
    voxarium.convert(tmp_path / "labels.npy", path / "plain", voxel_size=8, chunk=16, shard=0, **space)
    (path / "dataset.json").write_text('{"name": "brain"}')
    (path / "README.md").write_text("about")
    publish(path, "v1.0")
    return path


def opened(repository: Path, dataset: Path, tag: str) -> Any:
    """Open a tag as a user of icechunk does."""
    storage = icechunk.local_filesystem_storage(str(repository))
    declared = list(icechunk.Repository.fetch_config(storage).virtual_chunk_containers)
    repo = icechunk.Repository.open(storage, authorize_virtual_chunk_access=dict.fromkeys(declared))
    return zarr.open_group(repo.readonly_session(tag=tag).store, mode="r")


class TestIcechunkExport:
    @pytest.mark.oracle
    def test_zarr_reads_what_was_published(self, dataset: Path, tmp_path: Path) -> None:
        before = sum(f.stat().st_size for f in dataset.rglob("*") if f.is_file())
        made = export_icechunk(f"{dataset}@v1.0", tmp_path / "r.icechunk")
        assert made.created
        assert made.left_out == ("README.md", "dataset.json")
        group = opened(tmp_path / "r.icechunk", dataset, "v1.0")
        for image, expected in {"em": OLD, "plain": LABELS}.items():
            stored = zarr.open_group(dataset / image, mode="r")
            assert dict(group[image].attrs) == dict(stored.attrs)
            for level in sorted(k for k, _ in stored.arrays()):
                assert group[f"{image}/{level}"].chunks == stored[level].chunks
                assert group[f"{image}/{level}"].shards is None
                assert np.array_equal(group[f"{image}/{level}"][...], stored[level][...])
            assert np.array_equal(group[f"{image}/s0"][...], expected)
        assert sum(f.stat().st_size for f in dataset.rglob("*") if f.is_file()) == before
        assert sum(f.stat().st_size for f in (tmp_path / "r.icechunk").rglob("*") if f.is_file()) < 60_000 < made.nbytes
        assert made.shards > 10 and made.chunks > 2 * made.shards and made.stored == 0

    def test_our_own_reader_reads_it_where_the_user_allows_it(self, dataset: Path, tmp_path: Path) -> None:
        export_icechunk(f"{dataset}@v1.0/em", tmp_path / "r.icechunk")
        image = voxarium.open(f"{tmp_path}/r.icechunk@v1.0", references=[str(dataset)])
        assert isinstance(image, voxarium.Image)
        assert np.array_equal(image[...], OLD)
        stored = voxarium.open(dataset / "em")
        assert isinstance(stored, voxarium.Image)
        assert [x.transform for x in image.info.levels] == [x.transform for x in stored.info.levels]
        with pytest.raises(InputError) as caught:
            voxarium.open(f"{tmp_path}/r.icechunk@v1.0")[...]  # type: ignore[index]  # an image
        assert caught.value.code == Code.KEY_UNSAFE

    def test_later_releases_become_later_commits_and_earlier_ones_stay(self, dataset: Path, tmp_path: Path) -> None:
        repository = tmp_path / "r.icechunk"
        first = export_icechunk(f"{dataset}@v1.0/em", repository)
        np.save(tmp_path / "new.npy", OLD + 1)
        voxarium.convert(tmp_path / "new.npy", dataset / "new", axes="zyx", voxel_size=8, unit="nanometer")
        publish(dataset, "v2.0")
        with pytest.raises(ExistsError):
            export_icechunk(f"{dataset}@v1.0/plain", repository)
        second = export_icechunk(f"{dataset}@v2.0", repository)
        again = export_icechunk(f"{dataset}@v1.0/em", repository)
        assert (again.created, again.snapshot) == (False, first.snapshot)
        assert np.array_equal(opened(repository, dataset, "v2.0")["new/s0"][...], OLD + 1)
        assert np.array_equal(opened(repository, dataset, "v1.0")["s0"][...], OLD)
        assert "new" not in opened(repository, dataset, "v1.0")
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(repository)))
        history = list(repo.ancestry(branch="main"))
        assert [s.id for s in history][:2] == [second.snapshot, first.snapshot]
        assert history[0].message == "release v2.0: note of v2.0"
        assert history[0].metadata["voxarium.document"].startswith("sha256:")

    def test_a_chunk_that_changed_is_noticed(self, dataset: Path, tmp_path: Path) -> None:
        export_icechunk(f"{dataset}@v1.0/em", tmp_path / "r.icechunk")
        chunk = next(f for f in (dataset / "em/s0").rglob("*") if f.is_file() and f.name != "zarr.json")
        data = chunk.read_bytes()
        chunk.write_bytes(data)
        os.utime(chunk, (2**31, 2**31))
        with pytest.raises(ChecksumError):
            voxarium.open(f"{tmp_path}/r.icechunk@v1.0", references=[str(dataset)])[...]  # type: ignore[index]

    def test_a_chunk_that_is_gone_is_refused_at_once(self, dataset: Path, tmp_path: Path) -> None:
        next(f for f in (dataset / "em/s0").rglob("*") if f.is_file() and f.name != "zarr.json").unlink()
        with pytest.raises(ChecksumError):
            export_icechunk(f"{dataset}@v1.0/em", tmp_path / "r.icechunk")
        export_icechunk(f"{dataset}@v1.0/plain", tmp_path / "r.icechunk")

    def test_what_is_no_zarr_of_version_3_is_refused_with_a_reason(self, dataset: Path, tmp_path: Path) -> None:
        voxarium.convert(
            tmp_path / "old.npy", dataset / "n5/em", axes="zyx", voxel_size=8, unit="nanometer", format="cosem"
        )
        voxarium.convert(
            tmp_path / "old.npy", dataset / "two", axes="zyx", voxel_size=8, unit="nanometer", spec_version="0.4"
        )
        publish(dataset, "v2.0")
        with pytest.raises(UnsupportedError, match="N5"):
            export_icechunk(f"{dataset}@v2.0", tmp_path / "r.icechunk", without=["two"])
        with pytest.raises(UnsupportedError, match="Zarr of version 2") as caught:
            export_icechunk(f"{dataset}@v2.0", tmp_path / "r.icechunk", without=["n5"])
        assert "--without two" in caught.value.fix
        with pytest.raises((UnsupportedError, NotFoundError)):
            export_icechunk(f"{dataset}@v2.0/n5", tmp_path / "r.icechunk")
        assert not (tmp_path / "r.icechunk").exists()
        export_icechunk(f"{dataset}@v2.0", tmp_path / "r.icechunk", without=["n5", "two/"])
        assert set(opened(tmp_path / "r.icechunk", dataset, "v2.0").keys()) == {"em", "plain"}

    def test_chunks_under_other_keys_are_found(self, tmp_path: Path) -> None:
        dataset = tmp_path / "d"
        keys = {"name": "v2", "separator": "."}
        options = {"chunks": (7, 8, 9), "dtype": "uint16", "chunk_key_encoding": keys}
        zarr.create_array(dataset / "a", shape=OLD.shape, **options)[...] = OLD
        zarr.create_array(dataset / "scalar", shape=(), dtype="float32", compressors=None)[...] = 2.5
        publish(dataset, "one")
        export_icechunk(f"{dataset}@one", tmp_path / "r.icechunk")
        group = opened(tmp_path / "r.icechunk", dataset, "one")
        assert np.array_equal(group["a"][...], OLD)
        assert group["scalar"][...] == 2.5

    def test_an_empty_chunk_and_one_outside_of_the_grid_are_refused(self, tmp_path: Path) -> None:
        dataset = tmp_path / "d"
        zarr.create_array(dataset / "a", shape=(4, 6), chunks=(4, 3), dtype="uint8")[...] = 1
        (dataset / "a/c/0/5").write_bytes(b"x")
        publish(dataset, "one")
        with pytest.raises(UnsupportedError):
            export_icechunk(f"{dataset}@one", tmp_path / "r.icechunk")
        (dataset / "a/c/0/5").unlink()
        (dataset / "a/c/0/1").write_bytes(b"")
        publish(dataset, "two")
        with pytest.raises(FormatError):
            export_icechunk(f"{dataset}@two", tmp_path / "r.icechunk")

    def test_a_dry_run_writes_nothing_and_a_repository_within_the_dataset_is_refused(
        self, dataset: Path, tmp_path: Path
    ) -> None:
        made = export_icechunk(f"{dataset}@v1.0", tmp_path / "r.icechunk", dry_run=True)
        assert (made.created, made.snapshot, made.arrays > 1) == (False, "", True)
        assert json.dumps(made.to_json())
        assert not (tmp_path / "r.icechunk").exists()
        for inside in (dataset, dataset / "r.icechunk"):
            with pytest.raises(InputError):
                export_icechunk(f"{dataset}@v1.0", inside)
        with pytest.raises(InputError):
            export_icechunk(dataset, tmp_path / "r.icechunk")
        with pytest.raises(NotFoundError):
            export_icechunk(f"{dataset}@v9", tmp_path / "r.icechunk")


class TestChunksWithinShards:
    def test_web_servers_on_a_port_of_their_own_are_refused(self, dataset: Path, tmp_path: Path) -> None:
        """Icechunk 1.1 forgets the port."""
        from voxarium.archive.icechunk_export.writing import check_reachable

        check_reachable("https://example.org/brain")
        check_reachable("s3://bucket/brain")
        with pytest.raises(UnsupportedError, match="port"):
            check_reachable("http://example.org:8080/brain")

    def test_absent_chunks_stay_absent(self, tmp_path: Path) -> None:
        dataset = tmp_path / "d"
        voxels = np.zeros((20, 33, 47), np.uint16)
        voxels[1, 1, 1], voxels[19, 32, 46] = 7, 9
        options: dict[str, Any] = {"dtype": "uint16", "fill_value": 0, "chunks": (8, 8, 8), "shards": (16, 16, 16)}
        zarr.create_array(dataset / "a", shape=voxels.shape, **options)[...] = voxels
        publish(dataset, "one")
        made = export_icechunk(f"{dataset}@one", tmp_path / "r.icechunk")
        assert (made.shards, made.chunks) == (2, 2)
        group = opened(tmp_path / "r.icechunk", dataset, "one")
        assert np.array_equal(group["a"][...], voxels)
        keys = [k for k in _listed(group.store) if "/c/" in k]
        assert sorted(keys) == ["a/c/0/0/0", "a/c/2/4/5"]

    @pytest.mark.parametrize(
        "how",
        [
            {"codec": "blosc"}, {"codec": "none"}, {"codec": "zstd:3"}, {"dtype": ">u2"}, {"index": "start"},
        ],
    )  # fmt: skip
    @pytest.mark.oracle
    def test_shards_of_zarr_python_are_split(self, tmp_path: Path, how: dict[str, str]) -> None:
        dataset = tmp_path / "d"
        compressors = {"blosc": zarr.codecs.BloscCodec(), "none": None, "zstd:3": zarr.codecs.ZstdCodec(level=3)}
        inner = [zarr.codecs.BytesCodec(endian="big" if how.get("dtype") else "little")]
        compressor = compressors[how.get("codec", "zstd:3")]
        sharding = zarr.codecs.ShardingCodec(
            chunk_shape=(4, 8, 8),
            codecs=inner + ([compressor] if compressor else []),
            index_location="start" if how.get("index") else "end",
        )
        array = zarr.create(
            shape=OLD.shape, chunks=(8, 16, 16), codecs=[sharding], dtype="uint16", store=dataset / "a", zarr_format=3
        )
        array[...] = OLD
        publish(dataset, "one")
        made = export_icechunk(f"{dataset}@one", tmp_path / "r.icechunk")
        assert made.chunks == 5 * 5 * 6
        found = opened(tmp_path / "r.icechunk", dataset, "one")["a"]
        assert found.chunks == (4, 8, 8) and found.shards is None and np.array_equal(found[...], OLD)

    @pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
    def test_shards_that_cannot_be_split_stay_whole(self, tmp_path: Path) -> None:
        """What is done to a whole shard (a transposition before, a checksum behind) cannot be undone for a part."""
        dataset = tmp_path / "d"
        sharding = zarr.codecs.ShardingCodec(chunk_shape=(4, 8, 8), codecs=[zarr.codecs.BytesCodec()])
        codecs = [sharding, zarr.codecs.Crc32cCodec()]
        zarr.create(
            shape=OLD.shape, chunks=(8, 16, 16), codecs=codecs, dtype="uint16", store=dataset / "a", zarr_format=3
        )[...] = OLD
        publish(dataset, "one")
        made = export_icechunk(f"{dataset}@one", tmp_path / "r.icechunk")
        assert (made.shards, made.chunks) == (0, 3 * 3 * 3)
        assert np.array_equal(opened(tmp_path / "r.icechunk", dataset, "one")["a"][...], OLD)

    def test_whole_shards_are_exported_when_asked(self, dataset: Path, tmp_path: Path) -> None:
        made = export_icechunk(f"{dataset}@v1.0/em", tmp_path / "r.icechunk", whole_shards=True)
        again = export_icechunk(f"{dataset}@v1.0/em", tmp_path / "r.icechunk", whole_shards=True)
        assert (again.created, again.chunks, again.nbytes) == (False, made.chunks, made.nbytes)
        group = opened(tmp_path / "r.icechunk", dataset, "v1.0")
        stored = zarr.open_group(dataset / "em", mode="r")
        assert made.shards == 0 and group["s0"].shards == (16, 16, 16)
        assert group["s0"].metadata.codecs == stored["s0"].metadata.codecs
        assert np.array_equal(group["s0"][...], OLD)

    @pytest.mark.oracle
    def test_edited_shards_are_referred_to_piece_by_piece(self, dataset: Path, tmp_path: Path) -> None:
        with voxarium.open_draft(str(dataset)) as draft:
            draft["em"][3:9, 3:9, 3:9] = 5
            draft["plain"][0, 0, 0] = 5
        create_release(str(dataset), "v1.1", ReleaseOptions(policy=NOTHING, agent=None, draft="draft"))
        wanted = OLD.copy()
        wanted[3:9, 3:9, 3:9] = 5
        made = export_icechunk(f"{dataset}@v1.1", tmp_path / "r.icechunk")
        group = opened(tmp_path / "r.icechunk", dataset, "v1.1")
        assert np.array_equal(group["em/s0"][...], wanted) and group["plain/s0"][0, 0, 0] == 5
        assert made.stored == 0
        coarse = voxarium.open(f"{dataset}@v1.1/em")
        assert isinstance(coarse, voxarium.Image)
        assert np.array_equal(group["em/s1"][...], coarse.arrays[1][...])
        whole = export_icechunk(f"{dataset}@v1.1", tmp_path / "whole.icechunk", whole_shards=True)
        assert whole.stored > 0
        group = opened(tmp_path / "whole.icechunk", dataset, "v1.1")
        assert np.array_equal(group["em/s0"][...], wanted)

    @pytest.mark.parametrize("damage", ["index", "short"])
    def test_a_shard_whose_index_cannot_be_read_is_named_and_nothing_committed(
        self, dataset: Path, tmp_path: Path, damage: str
    ) -> None:
        shard = dataset / "em/s0/c/1/1/1"
        data = bytearray(shard.read_bytes())
        data[-9] ^= 1
        shard.write_bytes(data if damage == "index" else data[:40])
        publish(dataset, "v2.0")
        for dry_run in (True, False):
            with pytest.raises(FormatError, match="em/s0/c/1/1/1"):
                export_icechunk(f"{dataset}@v2.0/em", tmp_path / "r.icechunk", dry_run=dry_run)
        repo = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "r.icechunk")))
        assert not list(repo.list_tags())
        made = export_icechunk(f"{dataset}@v2.0", tmp_path / "r.icechunk", without=["em/s0"])
        assert made.created


def _listed(store: Any) -> list[str]:
    async def keys() -> list[str]:
        return [key async for key in store.list()]

    return asyncio.run(keys())

"""A conversion that stops midway leaves no image, but whole objects to go on from; what it ends with is the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import voxarium
from voxarium import Code
from voxarium.conversion import ConvertOptions, Target, open_target, plan, run
from voxarium.conversion.running import as_choices
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.opening import open_in
from voxarium.errors import InterruptedJobError, StoreError, VoxariumError
from voxarium.model.protocols import AppendableStore
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore

CHOICES = {
    "axes": "zyx",
    "voxel_size": 8,
    "unit": "nanometer",
    "chunk": 8,
    "shard": 16,
    "memory": 1,
    "name": "em",
    "levels": 3,
}
SHAPE = (40, 33, 47)


@pytest.fixture
def volume():
    return np.random.default_rng(5).integers(1, 200, SHAPE).astype(np.uint8)


@pytest.fixture
def expected(tmp_path, npy, volume, content):
    """What an undisturbed run writes."""
    voxarium.convert(npy(volume, "undisturbed.npy"), tmp_path / "undisturbed", **CHOICES)
    return content(tmp_path / "undisturbed")


def zarr_array(path, data, **options):
    import zarr

    array = zarr.create_array(path, shape=data.shape, dtype=data.dtype, chunks=(8, 8, 8), **options)
    array[...] = data
    return path


SHARDED = {"shards": (40, 40, 48)}


def flip_in_chunk(data):
    return data[:6] + bytes(b ^ 0xFF for b in data[6:14]) + data[14:]


# ------------------------------------------------------------------------------------------------- a damaged source
@pytest.mark.parametrize(
    ("options", "key", "damage", "codes"),
    [
        ({}, "c/4/2/3", flip_in_chunk, (Code.CHUNK_CORRUPT, Code.CHECKSUM_MISMATCH)),
        ({}, "c/4/2/3", lambda data: data[: len(data) // 2], (Code.CHUNK_CORRUPT, Code.CHUNK_TRUNCATED)),
        ({}, "c/4/2/3", lambda data: b"", (Code.CHUNK_CORRUPT, Code.CHUNK_TRUNCATED)),
        ({"compressors": None}, "c/4/2/3", lambda data: data[:-1], (Code.CHUNK_CORRUPT, Code.CHUNK_TRUNCATED)),
        (SHARDED, "c/0/0/0", lambda data: data[: len(data) // 2], None),
        (SHARDED, "c/0/0/0", lambda data: data[:7], None),
        (SHARDED, "c/0/0/0", lambda data: data[:-2] + bytes(b ^ 1 for b in data[-2:]), (Code.CHECKSUM_MISMATCH,)),
        (SHARDED, "c/0/0/0", lambda data: data[:99] + data[102:], None),
    ],
    ids=[
        "corrupt chunk", "cut chunk", "empty chunk", "cut raw chunk", "cut shard", "stub of a shard",
        "crc of the index", "bytes lost in a shard",
    ],
)  # fmt: skip
@pytest.mark.parametrize("pass_through", [False, True])
def test_damaged_zarr(tmp_path, volume, resumable, content, options, key, damage, codes, pass_through):
    source = zarr_array(tmp_path / "a.zarr", volume, **options)
    choices = CHOICES if pass_through else CHOICES | {"fill_value": 7}
    voxarium.convert(source, tmp_path / "undisturbed", **choices)
    path = source / key
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(VoxariumError) as caught:
        voxarium.convert(source, tmp_path / "t", threads=2, **choices)
    error = caught.value
    assert codes is None or error.code in codes, error.code
    assert error.code not in (Code.FORMAT_UNRECOGNISED, Code.PATH_MISSING)
    assert "c/" in error.message or "chunk (" in error.message or "a.zarr" in error.message
    assert error.fix
    resumable(tmp_path / "t")
    path.write_bytes(whole)
    voxarium.convert(source, tmp_path / "t", resume=True, **choices)
    assert content(tmp_path / "t") == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_slice_cut_off_in_its_voxels(tmp_path, npy, volume, resumable, content, suffix):
    from PIL import Image

    folder = tmp_path / "slices"
    folder.mkdir()
    for i, plane in enumerate(volume):
        Image.fromarray(plane).save(folder / f"slice_{i}{suffix}")
    choices = CHOICES | {"memory": 1}
    voxarium.convert(folder, tmp_path / "undisturbed", **choices)
    path = folder / f"slice_37{suffix}"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.8)])
    with pytest.raises(VoxariumError) as caught:
        voxarium.convert(folder, tmp_path / "t", **choices)
    error = caught.value
    assert error.code in (Code.FILE_TRUNCATED, Code.CHUNK_CORRUPT)
    assert f"slice_37{suffix}" in error.message and error.fix
    path.write_bytes(whole)
    if (tmp_path / "t").exists():  # PNG and JPEG do not tell their length in advance
        resumable(tmp_path / "t")
        voxarium.convert(folder, tmp_path / "t", resume=True, **choices)
    else:
        voxarium.convert(folder, tmp_path / "t", **choices)
    assert content(tmp_path / "t") == content(tmp_path / "undisturbed")


def test_damaged_chunk_of_hdf5(tmp_path, volume, expected, resumable, content):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("raw", data=volume, chunks=(8, 8, 8), compression="gzip")
        at = made.id.get_chunk_info_by_coord((32, 16, 24))
    whole = path.read_bytes()
    begin, end = at.byte_offset + 20, at.byte_offset + 60
    path.write_bytes(whole[:begin] + bytes(40) + whole[end:])
    with pytest.raises(VoxariumError) as caught:
        voxarium.convert(f"{path}::/raw", tmp_path / "t", **CHOICES)
    assert caught.value.code in (Code.CHUNK_CORRUPT, Code.CHECKSUM_MISMATCH)
    assert "a.h5" in caught.value.message and "(32, 16, 24)" in caught.value.message
    resumable(tmp_path / "t")
    path.write_bytes(whole)
    voxarium.convert(f"{path}::/raw", tmp_path / "t", resume=True, **CHOICES)
    assert content(tmp_path / "t") == expected


# ---------------------------------------------------------------------------------------- values that do not fit
@pytest.mark.parametrize(
    ("dtype", "value", "choices", "says"),
    [
        (np.uint16, 256, {"dtype": "uint8"}, ("256", "uint8", "--lossy")),
        (np.int16, -1, {"dtype": "uint8"}, ("-1", "uint8")),
        (np.int32, -5, {"role": "label"}, ("-5", "uint32")),
        (np.float32, 0.5, {"dtype": "uint8"}, ("0.5", "uint8")),
        (np.float32, np.nan, {"dtype": "uint8"}, ("nan", "uint8")),
        (np.float64, 1e300, {"dtype": "float32"}, ("1e+300", "float32")),
        (np.uint64, 2**63 + 1, {"dtype": "float64"}, ("9223372036854775809", "float64")),
        (np.int64, -(2**40), {"dtype": "uint64"}, (str(-(2**40)), "uint64")),
    ],
)
@pytest.mark.parametrize("where", [(0, 0, 1), (39, 32, 46)], ids=["first block", "last block"])
def test_a_value_that_does_not_fit(tmp_path, npy, volume, refused, resumable, dtype, value, choices, says, where):
    data = volume.astype(dtype)
    data[where] = value
    source = npy(data)
    choices = {**CHOICES, "threads": 1, **choices}
    refused(Code.DTYPE_RANGE, lambda: voxarium.convert(source, tmp_path / "t", **choices), str(where), *says)
    if where[0] == 0:
        assert not (tmp_path / "t").exists()  # nothing was written, so nothing is left
    else:
        assert resumable(tmp_path / "t")
        data[where] = 3
        np.save(source, data)
        voxarium.convert(source, tmp_path / "t", resume=True, **choices)
        np.testing.assert_array_equal(
            voxarium.open(tmp_path / "t")[:], data.astype(voxarium.open(tmp_path / "t").dtype)
        )


# -------------------------------------------------------------------------------------------------------- no space
@pytest.mark.parametrize("size", ["16k", "48k", "64k", "80k"])
def test_no_space_left(tmp_path, npy, volume, expected, refused, resumable, content, size):
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small file system")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    try:
        source = npy(volume)
        refused(Code.STORE_FULL, lambda: voxarium.convert(source, folder / "t", **CHOICES), "no space left", "resume")
        resumable(folder / "t")
        assert not (folder / "t" / ".voxarium-partial").exists()
        subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
        voxarium.convert(source, folder / "t", resume=True, **CHOICES)
        assert content(folder / "t") == expected
    finally:
        subprocess.run(["umount", folder], check=True)


# ----------------------------------------------------------------------------------------------------- lost stores
def faulty_run(image, folder, rules, *, resume=False, threads=2, **choices):
    laid_out = plan(image, ConvertOptions(**as_choices({**CHOICES, **choices})), target_name="em")
    store = FaultStore(LocalStore(folder), rules)
    assert isinstance(store, AppendableStore)
    return run(laid_out, image, Target(store, store, ""), executor=ThreadExecutor(threads), resume=resume)


@pytest.mark.parametrize(
    "rule",
    [
        FaultRule(methods=frozenset({"create"}), nth=5),
        FaultRule(methods=frozenset({"write"}), nth=9),
        FaultRule(methods=frozenset({"commit"}), nth=7),
        FaultRule(methods=frozenset({"commit"}), nth=7, kind="lost-answer"),
        FaultRule(methods=frozenset({"append"}), nth=6),
        FaultRule(methods=frozenset({"append"}), nth=6, kind="lost-answer"),
        FaultRule(methods=frozenset({"write"}), after=20),
        FaultRule(methods=frozenset({"write", "put", "append"}), kind="full", after_bytes=30_000),
        FaultRule(methods=frozenset({"write"}), nth=9, error=KeyboardInterrupt()),
        FaultRule(methods=frozenset({"commit"}), nth=4, error=MemoryError()),
        FaultRule(methods=frozenset({"put"}), keys="s0/zarr.json"),
        FaultRule(methods=frozenset({"put"}), keys="s1/zarr.json", kind="full"),
        FaultRule(methods=frozenset({"put"}), keys="zarr.json"),
    ],
    ids=lambda r: f"{'+'.join(sorted(r.methods))} {r.kind} {r.nth or r.after or r.keys}",
)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_target_that_is_lost_midway(tmp_path, npy, volume, expected, refused, content, rule, threads):
    image = voxarium.open(npy(volume))
    kind = StoreError if rule.error is None else (InterruptedJobError, type(rule.error))
    with pytest.raises(kind) as caught:
        faulty_run(image, tmp_path / "t", [rule], threads=threads)
    if isinstance(caught.value, VoxariumError):
        assert caught.value.fix
    refused(Code.IMAGE_INCOMPLETE, lambda: voxarium.open(tmp_path / "t"), "--resume")
    assert not (tmp_path / "t" / "zarr.json").exists()
    assert not (tmp_path / "t" / ".voxarium-partial").exists()
    ledger = tmp_path / "t" / ".voxarium" / "ledger.jsonl"
    finished = len(ledger.read_text().splitlines()) if ledger.exists() else 0
    report = faulty_run(image, tmp_path / "t", [], resume=True)
    assert report.resumed == finished
    assert content(tmp_path / "t") == expected


def test_ever_new_faults_end_with_the_same_bytes(tmp_path, npy, volume, expected, content):
    """Each run fails at another place and keeps what it finished."""
    image = voxarium.open(npy(volume))
    writes = frozenset({"create", "write", "commit", "append", "put", "delete"})
    for attempt in range(60):
        try:
            rules = [FaultRule(methods=writes, nth=11 + attempt)]
            faulty_run(image, tmp_path / "t", rules, resume=attempt > 0)
            break
        except StoreError:
            assert not (tmp_path / "t" / ".voxarium-partial").exists()
    assert 1 < attempt < 59
    if (tmp_path / "t" / ".voxarium").exists():
        faulty_run(image, tmp_path / "t", [], resume=True)
    assert content(tmp_path / "t") == expected


@pytest.mark.parametrize("kind", ["error", "permission", "truncate"])
def test_a_source_that_is_lost_midway(tmp_path, volume, resumable, content, kind):
    voxarium.convert(zarr_array(tmp_path / "a.zarr", volume), tmp_path / "undisturbed", **CHOICES)
    rule = FaultRule(methods=frozenset({"get", "get_ranges", "read"}), keys="c/3/*", nth=4, kind=kind, keep=10)
    image = open_in(FaultStore(LocalStore(tmp_path / "a.zarr"), [rule]))
    with pytest.raises(VoxariumError) as caught:
        voxarium.convert(image, tmp_path / "t", **CHOICES)
    assert "c/3/" in caught.value.message or "chunk (3," in caught.value.message, caught.value
    assert resumable(tmp_path / "t")
    voxarium.convert(tmp_path / "a.zarr", tmp_path / "t", resume=True, **CHOICES)
    assert content(tmp_path / "t") == content(tmp_path / "undisturbed")


# ----------------------------------------------------------------------------------------------------------- Ctrl-C
def start(*arguments):
    command = [sys.executable, "-c", "import sys; from voxarium.cli.main import main; sys.exit(main())", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c(tmp_path, npy, resumable, content, number):
    data = np.random.default_rng(1).integers(0, 200, (160, 256, 256)).astype(np.uint8)
    options = ("--axes", "zyx", "--voxel-size", "8", "--unit", "nm", "--chunk", "8", "--shard", "32", "--levels", "3")
    arguments = [str(npy(data)), str(tmp_path / "t"), *options, "--name", "em", "--memory", "1MB", "--threads", "2"]
    process = start("convert", *arguments)
    ledger = tmp_path / "t" / ".voxarium" / "ledger.jsonl"
    for _ in range(4000):
        if ledger.exists() or process.poll() is not None:
            break
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, (process.returncode, out, err)
    lines = [line for line in err.splitlines() if not line.startswith("note:")]
    assert lines[-2].startswith("error: stopped after ") and lines[-1].startswith("fix: ") and "--resume" in lines[-1]
    assert "Traceback" not in err
    assert resumable(tmp_path / "t")
    assert not (tmp_path / "t" / ".voxarium-partial").exists()
    process = start("convert", *arguments, "--resume", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    choices = CHOICES | {"shard": 32, "memory": 1 << 20}
    voxarium.convert(tmp_path / "source.npy", tmp_path / "undisturbed", **choices)
    assert content(tmp_path / "t") == content(tmp_path / "undisturbed")


def test_a_job_that_is_stopped_again_and_again(tmp_path, npy, volume, expected, content):
    image = voxarium.open(npy(volume))
    laid_out = plan(image, ConvertOptions(**as_choices(dict(CHOICES))), target_name="em")
    stops = 0
    while True:
        cancel = Cancel()

        def stop(progress, cancel=cancel):
            if progress.objects >= 2:
                cancel.set()

        try:
            run(
                laid_out, image, open_target(tmp_path / "t"), executor=ThreadExecutor(2), resume=stops > 0,
                cancel=cancel, progress=stop,
            )  # fmt: skip
            break
        except InterruptedJobError:
            stops += 1
    assert stops >= 5
    assert content(tmp_path / "t") == expected


def test_an_error_of_the_progress_display_stops_the_job_in_good_order(
    tmp_path, npy, volume, expected, resumable, content
):
    def progress(state):
        if state.objects >= 4:
            raise ZeroDivisionError

    source = npy(volume)
    with pytest.raises(ZeroDivisionError):
        voxarium.convert(source, tmp_path / "t", progress=progress, threads=3, **CHOICES)
    assert resumable(tmp_path / "t")
    assert not (tmp_path / "t" / ".voxarium-partial").exists()
    voxarium.convert(source, tmp_path / "t", resume=True, **CHOICES)
    assert content(tmp_path / "t") == expected


def test_overwriting_that_is_killed_amid_the_clearing_can_be_repeated(tmp_path, npy, volume, expected, content):
    source = npy(volume)
    voxarium.convert(npy(volume[:20], "b.npy"), tmp_path / "t", **CHOICES)
    laid_out = plan(voxarium.open(source), ConvertOptions(**as_choices(dict(CHOICES))), target_name="em")
    store = FaultStore(LocalStore(tmp_path / "t"), [FaultRule(methods=frozenset({"delete"}), nth=3)])
    with pytest.raises(StoreError):
        run(laid_out, voxarium.open(source), Target(store, store, ""), overwrite=True)
    assert not (tmp_path / "t" / "zarr.json").exists()
    with pytest.raises(VoxariumError) as caught:
        voxarium.convert(source, tmp_path / "t", resume=True, **CHOICES)
    assert caught.value.code == Code.PLAN_CHANGED
    voxarium.convert(source, tmp_path / "t", overwrite=True, **CHOICES)
    assert content(tmp_path / "t") == expected


# ---------------------------------------------------------------------------------------------------- what is told
def test_info_and_tree_tell_that_it_is_incomplete(tmp_path, npy, volume, cli):
    image = voxarium.open(npy(volume))
    with pytest.raises(StoreError):
        faulty_run(image, tmp_path / "t", [FaultRule(methods=frozenset({"commit"}), nth=9)])
    done = cli("info", tmp_path / "t", "--json")
    assert done.code == 1 and done.json["complete"] is False
    assert done.json["error"]["code"] == "image-incomplete"
    done = cli("info", tmp_path / "t")
    assert done.code == 1 and "incomplete" in done.err and "--resume" in done.err
    done = cli("tree", tmp_path / "t")
    assert done.code == 1 and "incomplete" in done.err
    assert cli("tree", tmp_path).out.count("incomplete")


def test_other_readers_do_not_take_it_for_an_image(tmp_path, npy, volume):
    import tensorstore

    import zarr

    image = voxarium.open(npy(volume))
    with pytest.raises(StoreError):
        faulty_run(image, tmp_path / "t", [FaultRule(methods=frozenset({"put"}), keys="zarr.json")])
    with pytest.raises(FileNotFoundError):
        zarr.open(tmp_path / "t", mode="r")
    kvstore = {"driver": "file", "path": str(tmp_path / "t")}
    with pytest.raises(ValueError, match="NOT_FOUND"):
        tensorstore.open({"driver": "zarr3", "kvstore": kvstore}, open=True).result()


def test_an_existing_unfinished_target_is_refused_with_both_ways_on(tmp_path, npy, volume, refused, expected, content):
    source = npy(volume)
    image = voxarium.open(source)
    with pytest.raises(StoreError):
        faulty_run(image, tmp_path / "t", [FaultRule(methods=frozenset({"commit"}), nth=9)])
    error = refused(Code.TARGET_EXISTS, lambda: voxarium.convert(source, tmp_path / "t", **CHOICES), "unfinished")
    assert "--resume" in error.fix and "--overwrite" in error.fix
    other = CHOICES | {"voxel_size": 9}
    refused(Code.PLAN_CHANGED, lambda: voxarium.convert(source, tmp_path / "t", resume=True, **other), "--overwrite")
    voxarium.convert(source, tmp_path / "t", overwrite=True, **CHOICES)
    assert content(tmp_path / "t") == expected

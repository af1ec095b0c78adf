"""Copies of whole trees: the same bytes, in an order in which a stopped copy is none, compared with what is known."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from copying_data import objects, publish

import voxarium
from voxarium.archive.copying import copy, plan_copy
from voxarium.archive.copying import moving as moving_module
from voxarium.archive.copying.limiting import RateLimit
from voxarium.archive.copying.options import chosen_levels
from voxarium.archive.release_checks import verify_release
from voxarium.core.executor import Cancel
from voxarium.errors import (
    Code,
    ConflictError,
    ExistsError,
    InputError,
    InterruptedJobError,
    NotFoundError,
    StoreError,
    UnsupportedError,
    VoxariumError,
)
from voxarium.stores.audit import AuditStore
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore


@pytest.fixture
def small_pieces(monkeypatch):
    """Objects above 64 bytes are large."""
    monkeypatch.setattr(moving_module, "_PIECE", 64)


def test_a_copy_is_the_same_objects_and_nothing_else(content):
    target = MemoryStore()
    report = copy(MemoryStore(content), target, threads=3)
    assert report.ok and report.copied == report.objects == len(content)
    assert objects(target) == content


def test_data_come_first_and_the_documents_of_the_root_last(content):
    audit = AuditStore(MemoryStore(), record=True)
    copy(MemoryStore(content), audit, threads=4)
    written = [o.key for o in audit.log if o.method in ("put", "commit") and not o.key.startswith(".vox")]
    order = ["data" if "/c/" in k or k.endswith(".txt") else k for k in written]
    assert order[:13] == ["data"] * 13
    assert set(order[13:15]) == {"em/s0/zarr.json", "em/labels/zarr.json"}
    assert order[15:] == ["em/zarr.json", "dataset.json"]


def test_large_objects_pass_in_pieces(content, small_pieces):
    big = content | {"big/c/0": os.urandom(10_001)}
    source, target = AuditStore(MemoryStore(big), record=True), MemoryStore()
    assert copy(source, target).ok
    assert objects(target) == big
    assert all(o.method != "get" for o in source.log if o.key == "big/c/0")


def test_what_differs_from_the_manifest_is_named_and_no_document_arrives(image, tmp_path):
    voxarium.write_manifest(image)
    victim = sorted(p for p in image.rglob("c/*/*/*"))[3]
    key = victim.relative_to(image).as_posix()
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")
    report = copy(image, tmp_path / "copy.zarr")
    assert [(p.key, p.kind) for p in report.problems] == [(key, "changed")]
    assert not report.ok and not (tmp_path / "copy.zarr/zarr.json").exists()
    with pytest.raises(VoxariumError):
        voxarium.open(tmp_path / "copy.zarr")
    report = copy(image, tmp_path / "copy.zarr")
    assert [(p.key, p.kind) for p in report.problems] == [(key, "changed")]
    assert report.resumed > 10


def test_an_object_that_the_manifest_names_and_is_not_there_is_missing(image, tmp_path):
    voxarium.write_manifest(image)
    (image / "s1/zarr.json").unlink()
    report = copy(image, tmp_path / "copy.zarr")
    assert [(p.key, p.kind) for p in report.problems] == [("s1/zarr.json", "missing")]


def test_a_manifest_of_the_target_comes_from_digests_taken_in_flight(image, tmp_path):
    roots = voxarium.write_manifest(image).roots
    report = copy(image, tmp_path / "copy.zarr", write_manifest=True)
    assert report.roots == roots and report.compared == report.objects
    assert voxarium.verify(tmp_path / "copy.zarr").ok
    with pytest.raises(ExistsError):
        copy(image, tmp_path / "copy.zarr")


def test_damage_on_the_way_is_repaired_by_a_second_read(content):
    """A manifest tells; without one nobody can."""
    source = MemoryStore(content)
    publish(source)
    flipped = []

    class Flipping(AuditStore):
        def get(self, key, /):
            data = super().get(key)
            if key == "em/s0/c/1/1" and not flipped:
                flipped.append(key)
                return bytes(len(data))
            return data

    target = MemoryStore()
    assert copy(Flipping(source), target).ok and flipped
    assert objects(target) == objects(source)


def test_a_dataset_with_releases_verifies_at_the_target(dataset, tmp_path):
    report = copy(dataset.root, tmp_path / "there")
    assert report.ok
    assert objects(tmp_path / "there") == objects(tmp_path / "brain")
    for name in ("v1.0", "v1.1"):
        assert verify_release(str(tmp_path / "there"), name).ok
    # What the releases list was compared with what they state, as were the copies in their pool.
    assert report.compared >= 16


def test_one_release_is_copied_with_its_history_only(dataset, tmp_path):
    report = copy(f"{dataset.root}@v1.0", tmp_path / "there")
    assert report.ok
    found = objects(tmp_path / "there")
    assert found["dataset.json"] == dataset.get("dataset.json").replace(b"Eve", b"Ada")
    assert not {"draft/c/0", "em/s1/c/0"} & found.keys()
    assert verify_release(str(tmp_path / "there"), "v1.0").ok
    assert {p.kind for p in verify_release(str(tmp_path / "there"), "v1.1").problems} == {"missing"}
    # The later release makes it whole.
    assert copy(f"{dataset.root}@v1.1", tmp_path / "there", update=True).ok
    assert verify_release(str(tmp_path / "there"), "v1.0").ok
    assert verify_release(str(tmp_path / "there"), "v1.1").ok


def test_a_part_of_a_release_is_compared_with_the_release(dataset, tmp_path):
    report = copy(f"{dataset.root}@v1.0/em", tmp_path / "em")
    assert report.ok and report.compared == report.objects == 15
    victim = tmp_path / "brain/em/s0/c/1/1"
    victim.write_bytes(bytes(202))
    report = copy(f"{dataset.root}@v1.0/em", tmp_path / "again")
    assert [(p.key, p.kind) for p in report.problems] == [("s0/c/1/1", "changed")]


def test_a_mirror_grows_with_new_releases_and_reads_nothing_twice(dataset, tmp_path):
    copy(dataset.root, tmp_path / "mirror")
    dataset.put("em/s2/c/0", b"newer")
    publish(dataset, "v1.2")
    source = AuditStore(dataset, record=True)
    report = copy(source, tmp_path / "mirror", update=True)
    assert report.ok and objects(tmp_path / "mirror") == objects(tmp_path / "brain")
    assert verify_release(str(tmp_path / "mirror"), "v1.2").ok
    read = {o.key for o in source.log if o.method in ("get", "get_ranges")}
    assert not any(key.startswith("em/s0/c") for key in read)


@pytest.mark.parametrize("large", [False, True])
def test_published_objects_of_the_target_are_never_replaced(dataset, tmp_path, large, monkeypatch):
    if large:
        monkeypatch.setattr(moving_module, "_PIECE", 64)
    copy(dataset.root, tmp_path / "mirror")
    other = LocalStore(tmp_path / "other")
    other.put("em/s0/c/1/1", b"forged" * 20)
    before = objects(tmp_path / "mirror")
    report = copy(other.root, tmp_path / "mirror", update=True)
    assert [(p.key, p.kind) for p in report.problems] == [("em/s0/c/1/1", "frozen")]
    after = objects(tmp_path / "mirror")
    assert {k: v for k, v in after.items() if not k.startswith(".voxarium/")} == before


@pytest.mark.parametrize("large", [False, True])
def test_damage_to_a_mirror_is_repaired(dataset, tmp_path, large, monkeypatch):
    if large:
        monkeypatch.setattr(moving_module, "_PIECE", 64)
    copy(dataset.root, tmp_path / "mirror")
    (tmp_path / "mirror/em/s0/c/1/1").unlink()
    (tmp_path / "mirror/em/s0/c/1/2").write_bytes(bytes(202))
    report = copy(dataset.root, tmp_path / "mirror", update=True)
    # Large documents of which no digest is known are copied anew rather than compared.
    assert report.ok and report.copied == (3 if large else 2)
    assert objects(tmp_path / "mirror") == objects(tmp_path / "brain")


def test_a_history_that_went_its_own_way_is_not_overwritten(dataset, tmp_path):
    copy(f"{dataset.root}", tmp_path / "mirror")
    publish(LocalStore(tmp_path / "mirror"), "mine")
    publish(dataset, "theirs")
    before = objects(tmp_path / "mirror")
    report = copy(dataset.root, tmp_path / "mirror", update=True)
    assert ("releases/000003.json", "frozen") in {(p.key, p.kind) for p in report.problems}
    after = objects(tmp_path / "mirror")
    assert {k: after[k] for k in before} == before


def test_a_copy_goes_on_and_reads_nothing_again(content, small_pieces):
    source, plain = MemoryStore(content), MemoryStore()
    broken = FaultStore(plain, [FaultRule(methods=frozenset({"put", "create"}), keys="em/*", after=7)])
    with pytest.raises(StoreError):
        copy(source, broken, threads=1)
    assert not {k for k in objects(plain) if k.endswith((".json", ".txt")) and not k.startswith(".voxarium")}
    there = {k for k in objects(plain) if not k.startswith(".voxarium")}
    assert there
    with pytest.raises(VoxariumError):
        voxarium.open_array(plain)
    audit = AuditStore(source, record=True)
    report = copy(audit, plain)
    assert report.ok and report.resumed == len(there)
    assert not there & {o.key for o in audit.log if o.method in ("get", "get_ranges")}
    assert objects(plain) == content


def test_what_changed_at_the_target_since_is_copied_again(content):
    source, target = MemoryStore(content), MemoryStore()
    cancel = Cancel()
    with pytest.raises(InterruptedJobError):
        copy(source, target, threads=1, cancel=cancel, progress=lambda p: p.objects == 5 and cancel.set())
    target.put("em/s0/c/0/0", b"cut")
    assert copy(source, target).ok
    assert objects(target) == content


_SCRIPT = """
import sys
from voxarium.archive.copying import copy, moving
moving._PIECE = 1 << 14
report = copy(sys.argv[1], sys.argv[2], threads=3, limit=int(sys.argv[3]) or None)
sys.exit(0 if report.ok else 1)
"""


def test_killed_at_random_points_it_ends_byte_identical(dataset, tmp_path):
    rng = random.Random(7)
    for i in range(60):
        dataset.put(f"big/c/{i}", rng.randbytes(rng.choice([300, 20_000, 70_000])))
    publish(dataset, "v2.0")
    target, killed = tmp_path / "there", 0
    for attempt in range(12):
        limit = "200000" if attempt < 7 else "0"
        process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(dataset.root), str(target), limit])
        begun = time.monotonic()
        while process.poll() is None and time.monotonic() - begun < 120:
            if attempt < 7 and (target / ".voxarium").is_dir():
                time.sleep(rng.uniform(0, 1.5))
                process.send_signal(signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.02)
        if process.wait(120) == 0:
            break
    assert process.returncode == 0 and killed
    assert objects(target) == objects(tmp_path / "brain")
    assert not any("voxarium-partial" in str(p) or p.name == ".voxarium" for p in target.rglob("*"))
    assert verify_release(str(target), "v2.0").ok


class Killed(BaseException):
    """The process ends here."""


def test_killed_at_every_write_it_goes_on_and_is_never_taken_for_whole(dataset):
    """After the n-th change of the target nothing works any more; a second run ends with the same objects."""
    expected = objects(Path(dataset.root))
    writes = frozenset({"put", "put_if_absent", "create", "write", "commit", "append", "delete"})
    n, whole = 0, False
    while not whole:
        plain = MemoryStore()
        dying = FaultStore(plain, [FaultRule(methods=writes, after=n, error=Killed())])
        try:
            copy(dataset, dying, threads=1)
            whole = True
        except Killed:
            there = objects(plain)
            if ".voxarium/job.json" not in there and any(not k.startswith(".voxarium/") for k in there):
                assert {k: v for k, v in there.items() if not k.startswith(".voxarium/")} == expected
            if "dataset.json" in there:
                assert all(k in there for k in expected if k.startswith(("em/", "draft/", "notes/")))
            if "releases/000001.json" in there:
                assert not verify_release(plain, "v1.0", with_objects=True).objects.problems
            again = bool(there) and not any(k.startswith(".voxarium/copy") for k in there) and "dataset.json" in there
            assert copy(dataset, plain, update=again).ok
        assert objects(plain) == expected, n
        n += 1
    assert n > 60


def test_a_stopped_copy_counts_as_incomplete_for_readers_and_other_jobs(image, tmp_path):
    cancel = Cancel()
    with pytest.raises(InterruptedJobError):
        copy(image, tmp_path / "copy.zarr", threads=1, cancel=cancel, progress=lambda _: cancel.set())
    with pytest.raises(NotFoundError):
        voxarium.open(tmp_path / "copy.zarr")
    with pytest.raises(ConflictError):
        copy(tmp_path / "copy.zarr", tmp_path / "third.zarr")
    with pytest.raises(ConflictError):
        copy(image / "s0", tmp_path / "copy.zarr")
    assert copy(image, tmp_path / "copy.zarr").ok
    assert objects(image) == objects(tmp_path / "copy.zarr")


def test_an_update_takes_over_what_another_copy_has_begun(content):
    source, target = MemoryStore(content), MemoryStore()
    cancel = Cancel()
    with pytest.raises(InterruptedJobError):
        copy(source, target, threads=1, cancel=cancel, progress=lambda p: p.objects == 5 and cancel.set())
    other = MemoryStore({"a/c/0": b"1", "zarr.json": b"{}"})
    with pytest.raises(ConflictError, match="something else"):
        copy(other, target)
    assert copy(other, target, update=True).ok
    assert not [k for k in objects(target) if k.startswith(".voxarium")]


def test_many_large_objects_take_bounded_memory(small_pieces):
    big = {f"big/c/{i}": os.urandom(1000 + i) for i in range(20)} | {"zarr.json": b"{}"}
    asked = []

    class Far(AuditStore):
        concurrency = 16

        def get_ranges(self, key, ranges, /):
            asked.append(sum(r.length for r in ranges))
            return super().get_ranges(key, ranges)

    assert copy(Far(MemoryStore(big)), target := MemoryStore()).ok
    assert objects(target) == big and max(asked) <= 4 * 64


def test_a_store_that_cannot_create_only_if_absent_still_takes_a_history(dataset):
    class Simple(AuditStore):
        def put_if_absent(self, key, data, /):
            raise UnsupportedError("no", code=Code.FEATURE_UNSUPPORTED, fix="none")

    assert copy(dataset, target := Simple(MemoryStore())).ok
    assert verify_release(target, "v1.1").ok


def test_targets_in_use_are_refused(image, tmp_path):
    for target in (image, image / "copy", image.parent):
        with pytest.raises(InputError):
            copy(image, target)
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").write_bytes(b"")
    with pytest.raises(ExistsError):
        copy(image, tmp_path / "used")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExistsError):
        copy(image, tmp_path / "file")
    with pytest.raises(NotFoundError):
        copy(tmp_path / "nothing", tmp_path / "copy")
    with pytest.raises(InputError):
        copy(image, "https://example.org/x")


def test_a_file_becomes_a_file(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"x" * 1000)
    assert copy(tmp_path / "a.h5", tmp_path / "sub/b.h5").ok
    assert (tmp_path / "sub/b.h5").read_bytes() == b"x" * 1000
    assert copy(tmp_path / "a.h5", f"{tmp_path}/sub/").ok
    assert sorted(os.listdir(tmp_path / "sub")) == ["a.h5", "b.h5"]
    with pytest.raises(ExistsError):
        copy(tmp_path / "a.h5", tmp_path / "sub/b.h5")
    (tmp_path / "a.h5").write_bytes(b"y" * 10)
    assert copy(tmp_path / "a.h5", tmp_path / "sub/b.h5", update=True).ok
    assert (tmp_path / "sub/b.h5").read_bytes() == b"y" * 10


def test_an_archive_file_is_unpacked_unless_it_stays_one(image, tmp_path):
    with zipfile.ZipFile(tmp_path / "em.ozx", "w") as made:
        for key, data in objects(image).items():
            made.writestr(key, data)
    assert copy(tmp_path / "em.ozx", tmp_path / "out.zarr").ok
    assert objects(tmp_path / "out.zarr") == objects(image)
    assert copy(tmp_path / "em.ozx", tmp_path / "other.ozx").ok
    assert (tmp_path / "other.ozx").read_bytes() == (tmp_path / "em.ozx").read_bytes()
    assert copy(f"{tmp_path}/em.ozx::/s1", tmp_path / "level.zarr").ok
    with pytest.raises(InputError, match="archive by its name") as caught:
        copy(tmp_path / "out.zarr", tmp_path / "third.ozx")
    assert "convert" in caught.value.fix and not (tmp_path / "third.ozx").exists()
    assert objects(tmp_path / "level.zarr") == objects(image / "s1")


def test_leftovers_are_not_copied_and_are_named(content):
    report = copy(MemoryStore(content | {"em/s0/c/9.partial": b"x", "a/.voxarium/old": b"y"}), target := MemoryStore())
    assert report.ok and report.left_out == ("a/.voxarium/old", "em/s0/c/9.partial")
    assert objects(target) == content


def test_objects_that_cannot_be_read_are_named_and_the_others_copied(content):
    broken = FaultStore(MemoryStore(content), [FaultRule(methods=frozenset({"get"}), keys="em/s0/c/1/*")])
    report = copy(broken, target := MemoryStore())
    assert {(p.key, p.kind) for p in report.problems} == {(f"em/s0/c/1/{j}", "unreadable") for j in range(4)}
    assert "em/s0/c/0/0" in objects(target) and "em/zarr.json" not in objects(target)


def test_an_object_that_changes_while_it_passes_is_not_kept(small_pieces):
    plain = MemoryStore({"a/c/0": b"1" * 1000, "zarr.json": b"{}"})

    class Changing(AuditStore):
        def get_ranges(self, key, ranges, /):
            found = super().get_ranges(key, ranges)
            plain.put(key, b"2" * 1000)
            return found

    report = copy(Changing(plain), target := MemoryStore())
    assert [(p.key, p.kind) for p in report.problems] == [("a/c/0", "changed")]
    assert "a/c/0" not in objects(target)


def test_a_dry_run_counts_and_writes_nothing(image, tmp_path):
    voxarium.write_manifest(image)
    plan = plan_copy(image, tmp_path / "copy.zarr", limit=1_000_000)
    assert plan.objects == plan.left_objects == plan.compared == len(objects(image))
    assert plan.nbytes == sum(map(len, objects(image).values()))
    assert plan.seconds >= plan.nbytes / 1_000_000
    assert not (tmp_path / "copy.zarr").exists()


def test_a_limit_grants_bytes_at_its_rate_whoever_asks():
    now, lock = [0.0], threading.Lock()

    def sleep(seconds: float) -> None:
        with lock:
            now[0] += seconds

    limit = RateLimit(1000, clock=lambda: now[0], sleep=sleep)
    for _ in range(50):
        limit.take(100)
    assert 4.4 <= now[0] <= 5.2
    now[0] += 100  # an allowance of a quarter of a second piles up, not of a hundred
    began = now[0]
    for _ in range(20):
        limit.take(100)
    assert 1.4 <= now[0] - began <= 2.2


def test_levels_as_people_write_them():
    assert chosen_levels("0", 3, "em") == (0,)
    assert chosen_levels(":2", 3, "em") == (0, 1)
    for wrong, error in (
        ("3", NotFoundError),
        ("3:", NotFoundError),
        ("x", InputError),
        ("2:1", InputError),
        (",", InputError),
    ):
        with pytest.raises(error):
            chosen_levels(wrong, 3, "em")


def test_junk_in_a_journal_is_no_reason_to_fail(content):
    source, target = MemoryStore(content), MemoryStore()
    cancel = Cancel()
    with pytest.raises(InterruptedJobError):
        copy(source, target, threads=1, cancel=cancel, progress=lambda p: p.objects == 5 and cancel.set())
    target.put(".voxarium/copy/000007.jsonl", b'["em/s0/c/2/3", 203, "ab", null]\n{}\n[1]\n\xff\n["x"')
    assert copy(source, target).ok
    assert objects(target) == content

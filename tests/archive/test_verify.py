"""Audits name every object that is not as the manifest says, and go on after a stop."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.archive.hashing import Wanted, hash_objects
from voxarium.archive.manifests import default_algorithms, manifest_of, read_manifest, write_manifest
from voxarium.archive.trees import Tree, open_tree
from voxarium.archive.verify import VerifyOptions, parse_sample, verify
from voxarium.archive.verify.journal import Journal
from voxarium.core.executor import Cancel
from voxarium.errors import (
    ChecksumError,
    Code,
    ConflictError,
    ExistsError,
    InputError,
    InterruptedJobError,
    NotFoundError,
    StoreError,
)
from voxarium.spec.manifest import Manifest, Strings, format_root, make_manifest, manifest_root
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "voxarium" / "verify"


CONTENT = {
    "zarr.json": b'{"a": 1}',
    "s0/zarr.json": b'{"b": 2}',
    **{f"s0/c/{i}/{j}": bytes([i, j]) * (100 + i) for i in range(5) for j in range(3)},
    "s1/c/0": b"x" * 3_000_000,  # more than a piece, more than small
    "s1/c/1": b"y" * 3_000_000,
    "s1/empty": b"",
}


@pytest.fixture
def tree(tmp_path):
    store = LocalStore(tmp_path / "t")
    for key, data in CONTENT.items():
        store.put(key, data)
    write_manifest(tmp_path / "t")
    return tmp_path / "t"


def found(tree, level="full", **more):
    report = verify(tree, options=VerifyOptions(level=level, **more))
    assert report.ok == (not report.problems)
    return {(p.key, p.kind) for p in report.problems}


# ------------------------------------------------------------------------------------------------ what is found
@pytest.mark.parametrize("level", ["list", "size", "sample", "full"])
def test_nothing_is_found_where_nothing_was_changed(tree, level):
    assert found(tree, level, sample=1.0) == set()
    report = verify(tree, options=VerifyOptions(level=level, sample=5))
    assert report.objects == len(CONTENT)
    assert report.read == {"sample": 5, "full": len(CONTENT)}.get(level, 0)


SEEN_BY = {"list": {"list", "size", "sample", "full"}, "size": {"size", "sample", "full"}, "full": {"sample", "full"}}


def flip(tree, key, at=-1):
    data = bytearray((tree / key).read_bytes())
    data[at] ^= 4
    (tree / key).write_bytes(data)


def swap(tree, one, other):
    os.rename(tree / one, tree / "spare")
    os.rename(tree / other, tree / one)
    os.rename(tree / "spare", tree / other)


def add(tree, key, data=b"new"):
    (tree / key).parent.mkdir(parents=True, exist_ok=True)
    (tree / key).write_bytes(data)


DAMAGES = {
    "a flipped bit of a small object": ("full", lambda t: flip(t, "s0/c/2/1"), {("s0/c/2/1", "changed")}),
    "a flipped bit at the end of a large one": ("full", lambda t: flip(t, "s1/c/0"), {("s1/c/0", "changed")}),
    "a flipped bit of metadata": ("full", lambda t: flip(t, "zarr.json", 0), {("zarr.json", "changed")}),
    "a lost object": ("list", lambda t: (t / "s0/c/0/0").unlink(), {("s0/c/0/0", "missing")}),
    "a lost empty object": ("list", lambda t: (t / "s1/empty").unlink(), {("s1/empty", "missing")}),
    "a lost folder": (
        "list",
        lambda t: shutil.rmtree(t / "s0/c/1"),
        {(f"s0/c/1/{j}", "missing") for j in range(3)},
    ),
    "an extra object": ("list", lambda t: add(t, "s0/c/9/9"), {("s0/c/9/9", "extra")}),
    "what a killed writer left": (
        "list",
        lambda t: add(t, "s0/c/0/0.ab12.partial"),
        {("s0/c/0/0.ab12.partial", "extra")},
    ),
    "a name that is no UTF-8": ("list", lambda t: add(t, os.fsdecode(b"s0/\xff")), {("s0/?", "extra")}),
    "a cut object": ("size", lambda t: os.truncate(t / "s1/c/1", 2_999_999), {("s1/c/1", "truncated")}),
    "an emptied object": ("size", lambda t: os.truncate(t / "s0/c/3/1", 0), {("s0/c/3/1", "truncated")}),
    "a byte behind the end": (
        "size",
        lambda t: add(t, "s0/c/3/1", CONTENT["s0/c/3/1"] + b"!"),
        {("s0/c/3/1", "changed")},
    ),
    "two objects of one size, swapped": (
        "full",
        lambda t: swap(t, "s0/c/2/0", "s0/c/2/1"),
        {("s0/c/2/0", "swapped"), ("s0/c/2/1", "swapped")},
    ),
    "large ones, swapped": (
        "full",
        lambda t: swap(t, "s1/c/0", "s1/c/1"),
        {("s1/c/0", "swapped"), ("s1/c/1", "swapped")},
    ),
    "a rename": (
        "list",
        lambda t: os.rename(t / "s0/c/2/0", t / "s0/c/2/7"),
        {("s0/c/2/0", "missing"), ("s0/c/2/7", "extra")},
    ),
    "a folder in place of an object": (
        "list",
        lambda t: [(t / "s0/c/2/0").unlink(), add(t, "s0/c/2/0/x")],
        {("s0/c/2/0", "missing"), ("s0/c/2/0/x", "extra")},
    ),
}


@pytest.mark.parametrize("level", ["list", "size", "sample", "full"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_by_every_level_that_can_see_it(tree, damage, level):
    seen_from, inflict, expected = DAMAGES[damage]
    inflict(tree)
    seen = found(tree, level, sample=1.0)
    assert seen == (expected if level in SEEN_BY[seen_from] else set())


def test_objects_of_different_sizes_that_were_swapped_are_named_so(tree):
    swap(tree, "s0/c/0/0", "s0/c/4/0")
    wanted = {("s0/c/0/0", "changed"), ("s0/c/4/0", "truncated")}
    assert found(tree, "size") == wanted
    assert found(tree) == {("s0/c/0/0", "swapped"), ("s0/c/4/0", "swapped")}
    texts = {p.key: p.found for p in verify(tree).problems}
    assert texts["s0/c/0/0"] == "the content of s0/c/4/0"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_flipped_cut_removed_and_added_is_named(data):
    rest = dict(CONTENT)
    tree = Tree(MemoryStore(rest))
    manifest = manifest_of(tree, default_algorithms()).manifest
    expected = set()
    for key in data.draw(st.lists(st.sampled_from(sorted(CONTENT)), unique=True, max_size=6)):
        old = rest.pop(key)
        kind = data.draw(st.sampled_from(["missing", "truncated", "changed"] if old else ["missing", "changed"]))
        if kind == "truncated":
            rest[key] = old[: data.draw(st.integers(0, len(old) - 1))]
        elif kind == "changed":
            place = data.draw(st.integers(0, max(len(old) - 1, 0)))
            rest[key] = old[:place] + b"\xf7" + old[place + 1 :]  # a byte that is nowhere in it
        expected.add(key)
    if data.draw(st.booleans()):
        rest["s0/new"] = b"abc"
        expected.add("s0/new")
    report = verify(Tree(MemoryStore(rest)), manifest)
    assert {p.key for p in report.problems} == expected
    assert [p.key for p in report.problems] == sorted(expected)
    json.dumps(report.to_json())


def test_an_object_that_cannot_be_read_is_a_problem_and_no_end(tree):
    store = FaultStore(LocalStore(tree), [FaultRule(keys="s0/c/1/*", methods=frozenset({"get", "get_ranges", "read"}))])
    report = verify(Tree(store), tree.with_name("t.manifest.parquet"))
    assert {(p.key, p.kind) for p in report.problems} == {(f"s0/c/1/{j}", "unreadable") for j in range(3)}


def test_a_tree_that_cannot_be_listed_is_asked_for_every_object(tree):
    class Unlistable:
        concurrency = 8
        uri = "https://e.org/t"

        def __init__(self, inner):
            self.get, self.get_ranges, self._stat = inner.get, inner.get_ranges, inner.stat

        def stat(self, key):
            if key == "zarr.json":
                raise StoreError("forbidden", code=Code.STORE_PERMISSION, fix="none")
            return self._stat(key)

    (tree / "s0/c/0/0").unlink()
    flip(tree, "s1/c/0")
    add(tree, "extra")
    report = verify(Tree(Unlistable(LocalStore(tree))), tree.with_name("t.manifest.parquet"))
    assert not report.listed
    kinds = {("s0/c/0/0", "missing"), ("s1/c/0", "changed"), ("zarr.json", "unreadable")}
    assert {(p.key, p.kind) for p in report.problems} == kinds


def test_one_file_is_a_tree_too(tmp_path):
    (tmp_path / "em.h5").write_bytes(b"abc" * 1000)
    (tmp_path / "other").write_bytes(b"not meant")
    report = write_manifest(tmp_path / "em.h5")
    assert report.objects == 1 and read_manifest(tmp_path / "em.h5.manifest.parquet").keys[0] == "em.h5"
    assert found(tmp_path / "em.h5") == set()
    flip(tmp_path, "em.h5")
    assert found(tmp_path / "em.h5") == {("em.h5", "changed")}


# ---------------------------------------------------------------------------------------- places and roots
def test_objects_that_lie_elsewhere_in_the_tree_are_read_there():
    pool = b"0123456789" * 50
    parts = {"a": (0, 200), "b": (200, 300), "c": (490, 20)}
    import hashlib

    def digest(n):
        start, size = parts[n]
        return np.frombuffer(hashlib.sha256((pool + b"?" * 20)[start : start + size]).digest(), np.uint8)

    def manifest(place):
        return make_manifest(
            Strings.of(parts),
            np.array([n for _, n in parts.values()]),
            np.stack([digest(n) for n in parts]),
            places=(Strings.of([place] * 3), np.array([s for s, _ in parts.values()])),
        )

    tree = Tree(MemoryStore({"pool/1": pool}))
    assert {(p.key, p.kind) for p in verify(tree, manifest("pool/1")).problems} == {("c", "truncated")}
    lost = {(k, "missing") for k in "abc"} | {("pool/1", "extra")}
    assert {(p.key, p.kind) for p in verify(tree, manifest("pool/2")).problems} == lost
    for place in ("https://e.org/x", "../outside", "/etc/passwd", "file:///etc/passwd"):
        problems = verify(tree, manifest(place)).problems
        assert {(p.key, p.kind) for p in problems} == {(k, "elsewhere") for k in "abc"} | {("pool/1", "extra")}


def with_other(manifest, name, row):
    values = {s: getattr(manifest, s) for s in Manifest.__slots__}
    values[name] = values[name].copy()
    values[name][row] = values[name][row][::-1]
    return Manifest(**values)


def test_a_root_decides_which_manifest_and_which_digests_are_believed(tree):
    pytest.importorskip("blake3", reason="blake3 is not installed")
    manifest = read_manifest(tree.with_name("t.manifest.parquet"))
    sha, fast = (format_root(a, manifest_root(manifest, a)) for a in ("sha256", "blake3"))
    assert verify(tree, manifest).algorithm == "blake3"
    assert verify(tree, manifest, VerifyOptions(roots=(sha,))).algorithm == "sha256"
    assert verify(tree, manifest, VerifyOptions(roots=(sha, fast))).algorithm == "blake3"
    forged = with_other(manifest, "blake3", 3)  # whoever changed an object could have made its BLAKE3 fit
    assert verify(tree, forged, VerifyOptions(roots=(sha,))).ok
    for roots in ((sha, fast), (fast,)):
        with pytest.raises(ChecksumError, match="root"):
            verify(tree, forged, VerifyOptions(roots=roots))
    with pytest.raises(ChecksumError, match="root"):
        verify(tree, with_other(manifest, "sha256", 3), VerifyOptions(roots=(sha,)))


def test_without_blake3_audits_use_sha256(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "blake3", None)
    report = verify(tree)
    assert report.ok and report.algorithm == "sha256"


@pytest.mark.parametrize(
    "options", [{"level": "logic"}, {"sample": 0}, {"sample": float("nan")}, {"roots": ("md5:1",)}]
)
def test_options_that_make_no_sense_are_refused(tree, options):
    with pytest.raises(InputError):
        verify(tree, options=VerifyOptions(**options))


@pytest.mark.parametrize("text", ["", "%", "0", "-1", "0%", "101%", "1.5", "nan", "many"])
def test_samples_that_make_no_sense_are_refused(text):
    with pytest.raises(InputError):
        parse_sample(text)


# ------------------------------------------------------------------------------------------------ samples
def test_a_sample_is_drawn_by_its_seed_and_finds_what_it_draws(tree):
    flip(tree, "s1/c/0")
    drawn = [verify(tree, options=VerifyOptions(level="sample", sample=7, seed=s)) for s in (1, 1, 2, 3, 4, 5, 6, 7)]
    assert all(r.read == 7 for r in drawn)
    assert drawn[0].problems == drawn[1].problems
    assert {r.ok for r in drawn} == {True, False}  # with seven of twenty, some do and some do not
    assert verify(tree, options=VerifyOptions(level="sample")).read == 1  # never nothing


# ------------------------------------------------------------------------------------------------ stop and resume
def test_a_stopped_audit_goes_on_and_keeps_what_it_found(tree, cache, monkeypatch):
    monkeypatch.setattr("voxarium.archive.hashing._BATCH_OBJECTS", 4)
    for key in ("s0/c/0/0", "s1/c/1"):
        flip(tree, key)
    cancel = Cancel()
    with pytest.raises(InterruptedJobError):
        verify(
            Tree(FaultStore(LocalStore(tree), [])),
            tree.with_name("t.manifest.parquet"),
            VerifyOptions(threads=1),
            progress=lambda p: cancel.set(),
            cancel=cancel,
        )
    (journal,) = cache.iterdir()
    with journal.open("ab") as lines:
        lines.write(b'[[0, 1], 5, [{"key": ')  # as a kill leaves it
    read = []
    for resume in (True, False):
        store = FaultStore(LocalStore(tree), [])
        report = verify(
            Tree(store),
            tree.with_name("t.manifest.parquet"),
            resume=resume,
            progress=lambda p: read.append(p.objects),
        )
        assert {(p.key, p.kind) for p in report.problems} == {("s0/c/0/0", "changed"), ("s1/c/1", "changed")}
        assert report.read == len(CONTENT)
        assert (report.resumed > 0) == resume
        assert not list(cache.iterdir())  # a complete audit leaves nothing


def test_a_journal_of_another_audit_is_not_taken_over(tree, tmp_path):
    for other in (b"", b"junk", b"[1]\n[[0],1,[]]\n", b'{"audit": {}}\n[[0, 1, 2], 1, []]\n'):
        (tmp_path / "j").write_bytes(other)
        report = verify(tree, journal=tmp_path / "j", resume=True)
        assert report.ok and report.resumed == 0


@pytest.mark.parametrize(
    "line", [b"5", b"[]", b"[[99], 1, []]", b"[[-1], 1, []]", b'[["a"], 1, []]', b"[[0], 1, [5]]", b"[[1e99], 1, []]"]
)
def test_lines_of_a_journal_that_cannot_be_are_left_out(tmp_path, line):
    (tmp_path / "j").write_bytes(b'{"audit": {"a": 1}, "seed": 5}\n' + line + b"\n[[2], 7, []]\n")
    journal = Journal(tmp_path / "j", {"a": 1}, 4)
    assert journal.resume()["seed"] == 5
    assert journal.done.tolist() == [False, False, True, False]


SCRIPT = """
import sys
from voxarium.cli.main import main
sys.exit(main(["verify", sys.argv[1], "--threads", "2", "--json", "--journal", sys.argv[2], *sys.argv[3:]]))
"""


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_finds_the_same(tmp_path):
    data = random.Random(5).randbytes(1 << 20)
    (tmp_path / "t").mkdir()
    for i in range(400):
        (tmp_path / "t" / f"{i}").write_bytes(data[i:])
    write_manifest(tmp_path / "t")
    flip(tmp_path / "t", "7")
    swap(tmp_path / "t", "20", "30")
    started = time.perf_counter()

    def audit(*more):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "t"), str(tmp_path / "journal"), *more]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    expected = json.loads(audit().communicate()[0])["problems"]
    took = time.perf_counter() - started
    assert {p["kind"] for p in expected} == {"changed", "swapped"} and len(expected) == 3
    chance, resumed = random.Random(1), 0
    for _ in range(6):
        process = audit()
        while not (tmp_path / "journal").exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, took / 4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = audit("--resume")
        report = json.loads(process.communicate()[0])
        assert process.returncode == 1
        assert report["problems"] == expected and report["read"] == 400
        resumed += report["resumed"]
        assert not (tmp_path / "journal").exists()
    assert resumed


# ------------------------------------------------------------------------------------------------ making manifests
def test_the_order_of_a_walk_makes_no_difference():
    shuffled = list(CONTENT.items())
    roots = set()
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        store = MemoryStore(dict(shuffled))
        store.list = lambda prefix="", items=tuple(shuffled): iter([(k, len(v)) for k, v in items])
        roots.add(manifest_root(manifest_of(Tree(store), ["sha256"]).manifest))
    assert len(roots) == 1


def test_a_manifest_lists_no_leftovers_and_not_itself(tree):
    add(tree, "s0/c/0/0.1f.partial")
    report = write_manifest(tree, tree / "m.parquet")
    assert report.left_out == ("s0/c/0/0.1f.partial",) and report.objects == len(CONTENT)
    (tree / "s0/c/0/0.1f.partial").unlink()
    assert verify(tree, tree / "m.parquet").ok
    assert found(tree) == {("m.parquet", "extra")}
    assert write_manifest(tree, tree / "m.parquet", overwrite=True).roots == report.roots


def test_a_manifest_is_not_replaced_unasked_nor_made_of_an_unfinished_image(tree):
    with pytest.raises(ExistsError):
        write_manifest(tree)
    add(tree, ".voxarium/job.json", b"{}")
    with pytest.raises(ConflictError) as error:
        write_manifest(tree, overwrite=True)
    assert error.value.code == Code.IMAGE_INCOMPLETE


def test_dandis_checksum_comes_along(tree):
    from voxarium.spec.zarr_checksum import parse_zarr_checksum

    report = write_manifest(tree, tree.with_name("m"), dandi=True)
    assert parse_zarr_checksum(report.zarr_checksum)[1:] == (len(CONTENT), sum(map(len, CONTENT.values())))


def test_what_is_not_there_is_said(tree, tmp_path):
    with pytest.raises(NotFoundError, match="manifest"):
        verify(tree, tmp_path / "nothing.parquet")
    with pytest.raises(NotFoundError):
        verify(tmp_path / "nothing")
    with pytest.raises(NotFoundError):
        write_manifest(tmp_path / "nothing")
    with pytest.raises(InputError, match="part of a file"):
        open_tree(f"{tmp_path}/a.h5::/b")


def test_reading_stops_when_an_object_changes_meanwhile(tree):
    tree_ = open_tree(tree)
    wanted = [Wanted(0, "s1/c/0", 2_999_999), Wanted(1, "nobody", 5), Wanted(2, "../x", 5)]
    got = [f for batch in hash_objects(tree_, wanted, ["sha256"]) for f in batch]
    assert got[0].error.code == Code.FILE_TRUNCATED
    assert got[1].digests is None and got[1].error is None
    assert got[2].error.code == Code.KEY_UNSAFE


def test_every_object_is_read_once_whatever_its_size():
    sizes = [0, 1, 7, 1 << 20, (1 << 20) + 1, 20 << 20, *range(600)]
    store = MemoryStore({f"{i:04}": bytes(n) for i, n in enumerate(sizes)})
    wanted = [Wanted(i, f"{i:04}", n) for i, n in enumerate(sizes)]
    got = [f for batch in hash_objects(Tree(store), wanted, ["sha256"]) for f in batch]
    assert sorted(f.wanted.number for f in got) == list(range(len(sizes)))
    import hashlib

    assert all(f.digests["sha256"] == hashlib.sha256(bytes(f.wanted.size)).digest() for f in got)

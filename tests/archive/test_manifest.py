"""Manifests: their root, their file, their differences, and what hostile ones do."""

from __future__ import annotations

import hashlib
import io
import json
import re
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import ChecksumError, FormatError, InputError
from voxarium.model.keys import checked_key
from voxarium.spec.manifest import (
    Strings,
    differences,
    dump_manifest,
    format_root,
    make_manifest,
    manifest_root,
    parse_manifest,
    parse_root,
)

ROOT = Path(__file__).resolve().parents[2]
PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\\\x7f", min_codepoint=32), min_size=1, max_size=30)
KEYS = st.lists(PARTS.filter(lambda p: p not in (".", "..")), min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(KEYS, st.binary(max_size=20), max_size=150)


def manifest_of(tree, **more):
    """Make a manifest of contents by key, in the order given."""
    sha = np.frombuffer(b"".join(hashlib.sha256(c).digest() for c in tree.values()), np.uint8).reshape(-1, 32)
    return make_manifest(Strings.of(tree), np.array([len(c) for c in tree.values()], np.int64), sha, **more)


def written_out(tree):
    """Take the root as docs/reference/manifest.md words it, in another way."""

    def mth(leaves):
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        k = 1
        while 2 * k < len(leaves):
            k *= 2
        return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()

    entries = []
    for key in sorted(tree, key=str.encode):
        raw, size = key.encode(), len(tree[key])
        entries.append(len(raw).to_bytes(4, "big") + raw + size.to_bytes(8, "big") + hashlib.sha256(tree[key]).digest())
    top = mth(entries) if entries else hashlib.sha256(b"").digest()
    return hashlib.sha256(b"voxarium-manifest-1\nsha256\n" + len(entries).to_bytes(8, "big") + top).digest()


@given(TREES, st.randoms())
def test_the_root_is_that_of_the_definition_in_whatever_order_a_tree_is_walked(tree, random):
    items = list(tree.items())
    random.shuffle(items)
    assert manifest_root(manifest_of(tree)) == manifest_root(manifest_of(dict(items))) == written_out(tree)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 63, 64, 65, 127, 130, 1000, 16384, 16385, 40000])
def test_trees_of_every_form_and_keys_of_every_length(count):
    tree = {f"k{'k' * (i * 37 % 400)}/{i}": b"x" * (i % 7) for i in range(count)}
    assert manifest_root(manifest_of(tree)) == written_out(tree)


@given(TREES, st.binary(min_size=1, max_size=4))
def test_every_change_of_key_size_or_content_changes_the_root(tree, content):
    before = manifest_root(manifest_of(tree))
    assert manifest_root(manifest_of({**tree, "new/key": content})) != before
    for key in list(tree)[:3]:
        rest = {k: v for k, v in tree.items() if k != key}
        assert manifest_root(manifest_of(rest)) != before
        assert manifest_root(manifest_of({**rest, key: tree[key] + content})) != before
        assert manifest_root(manifest_of({**rest, f"{key}+": tree[key]})) != before or f"{key}+" in tree


def test_the_vectors_of_the_reference_page():
    page = (ROOT / "docs/reference/manifest.md").read_text("utf-8")
    vectors = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL).group(1))
    assert len(vectors) >= 4
    for vector in vectors:
        tree = {key: bytes.fromhex(content) for key, content in vector["objects"].items()}
        assert format_root("sha256", manifest_root(manifest_of(tree))) == vector["root"]


@given(TREES, st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=40)
def test_the_file_gives_back_what_was_put_in(tree, fast, kinds, elsewhere):
    n = len(tree)
    random = np.random.default_rng(1)
    more = {}
    if fast:
        more["blake3"] = random.integers(0, 256, (n, 32), np.uint8)
    if kinds:
        more["media"] = (np.arange(n, dtype=np.uint8) % 3, ("chunk", "shard", "json"))
    if elsewhere:
        more["places"] = (Strings.of(["", "pool/é", "https://e.org/x"][i % 3] for i in range(n)), np.arange(n) * 5)
    made = manifest_of(tree, **more)
    read = parse_manifest(dump_manifest(made), "x")
    assert list(read.keys) == list(made.keys) == sorted(tree, key=str.encode)
    assert (read.sizes == made.sizes).all() and (read.sha256 == made.sha256).all()
    assert manifest_root(read) == manifest_root(made) and read.nbytes == sum(map(len, tree.values()))
    assert (read.blake3 is not None) == fast and (not fast or (read.blake3 == made.blake3).all())
    for i, key in enumerate(read.keys):
        assert read.find(key) == i
        assert read.medium(i) == made.medium(i)
        assert read.location(i) == made.location(i)
    assert read.find("nobody/has/this") == -1


def test_more_rows_than_a_group_holds():
    n = 300_007
    made = make_manifest(
        Strings.of(f"{i:09}" for i in range(n)),
        np.arange(n),
        np.zeros((n, 32), np.uint8),
        media=(np.zeros(n, np.uint8), ("shard",)),
    )
    read = parse_manifest(dump_manifest(made), "x")
    assert len(read) == n and read.keys[299_999] == "000299999" and manifest_root(read) == manifest_root(made)


@given(TREES, TREES)
def test_differences_are_those_of_the_trees(old, new):
    both = {**new, **dict(list(old.items())[::2])}
    a, b = manifest_of(old), manifest_of(both)
    found = differences(a, b)
    assert {a.keys[i] for i in found.removed} == {*old} - {*both}
    assert {b.keys[i] for i in found.added} == {*both} - {*old}
    changed = {k for k in old if k in both and old[k] != both[k]}
    assert {a.keys[i] for i, _ in found.changed} == {b.keys[j] for _, j in found.changed} == changed
    assert bool(found) == (old != both)


# ------------------------------------------------------------------------------------------------- what is refused
@given(st.text(st.characters(codec="utf-8"), max_size=12).map(lambda t: t.replace("a", "/").replace("b", ".")))
def test_keys_are_safe_exactly_where_stores_say_so(key):
    try:
        checked_key(key)
        safe = True
    except InputError:
        safe = False
    if safe:
        manifest_of({key: b""})
    else:
        with pytest.raises(InputError, match="not a safe key"):
            manifest_of({key: b""})


@pytest.mark.parametrize(
    ("keys", "sizes", "reason"),
    [
        (["a", "a"], [1, 1], "comes twice"),
        (["../a"], [1], "not a safe key"),
        (["a"], [-1], "not credible"),
        (["a"], [2**62 + 1], "not credible"),
        (["k" * 5000], [1], "longer than"),
        (["a", "b"], [1], "differ in length"),
    ],
)
def test_entries_that_cannot_be_are_refused(keys, sizes, reason):
    with pytest.raises(InputError, match=reason):
        make_manifest(Strings.of(keys), np.array(sizes, np.int64), np.zeros((len(sizes), 32), np.uint8))


def test_text_that_is_not_utf8_is_refused():
    broken = Strings(np.array([0, 1, 2]), np.frombuffer("é".encode(), np.uint8))  # one letter, cut in two
    with pytest.raises(InputError, match="UTF-8"):
        make_manifest(broken, np.array([1, 1]), np.zeros((2, 32), np.uint8))


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:12", "md5:" + "0" * 64, "0" * 64, "sha256:" + " " * 64])
def test_what_is_no_root_is_refused(text):
    with pytest.raises(InputError, match="no root"):
        parse_root(text)
    assert parse_root("SHA256:" + "Ab" * 32) == ("sha256", bytes([0xAB] * 32))


def test_an_entry_that_was_changed_in_the_file_is_found_by_its_root():
    data = bytearray(dump_manifest(manifest_of({f"{i}": b"x" for i in range(50)})))
    digest = hashlib.sha256(b"x").digest()
    data[data.find(digest)] ^= 1
    with pytest.raises(ChecksumError, match="root"):
        parse_manifest(data, "m.parquet")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_refused_or_say_the_same(data):
    made = manifest_of({f"s0/c/{i}/{i}": bytes(i) for i in range(40)}, media=(np.zeros(40, np.uint8), ("shard",)))
    raw = bytearray(dump_manifest(made))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)) | st.just(len(raw)))]
    try:
        read = parse_manifest(bytes(raw), "m.parquet")
    except FormatError:
        return
    assert manifest_root(read) == manifest_root(made)


@pytest.mark.parametrize("value", [0x00, 0x15, 0x19, 0x4D, 0x7F, 0xFF])
def test_no_byte_of_a_footer_can_end_the_process(value):
    """A number where a codec or type should be makes pyarrow throw what nothing catches."""
    made = manifest_of({f"s0/c/{i}": bytes(i) for i in range(5)}, media=(np.zeros(5, np.uint8), ("shard",)))
    raw = dump_manifest(made)
    for at in range(len(raw) - 8 - int.from_bytes(raw[-8:-4], "little"), len(raw)):
        changed = bytearray(raw)
        changed[at] = value
        try:
            read = parse_manifest(changed, "m.parquet")
        except FormatError:
            continue
        assert manifest_root(read) == manifest_root(made)


def _parquet(columns, **options):
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    table = pa.table(list(columns.values()), schema=pa.schema(fields))
    out = io.BytesIO()
    with pq.ParquetWriter(out, table.schema, store_schema=False, write_statistics=False, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"voxarium.manifest": b'{"version": 1, "roots": {}}'})
    return out.getvalue()


BOMBS = {
    "long keys shared through a dictionary": {"use_dictionary": ["key"]},
    "long keys of which each repeats the one before": {
        "use_dictionary": False,
        "column_encoding": {"key": "DELTA_BYTE_ARRAY"},
    },
    "long keys that compress": {"use_dictionary": False, "compression": {"key": "zstd"}},
    "digests that compress": {"use_dictionary": False, "compression": "zstd"},
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_cannot_ask_for_much_memory(bomb):
    import pyarrow as pa

    rows, long = 3000, "k" * 60_000
    columns = {
        "key": pa.array([long] * rows if "keys" in bomb else [f"{i}" for i in range(rows)]),
        "size": pa.array(np.zeros(rows, np.int64)),
        "sha256": pa.array([bytes(32)] * rows, pa.binary(32)),
    }
    data = _parquet(columns, **{"compression": "none", **BOMBS[bomb]})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError):
        parse_manifest(data, "m.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; the keys alone are 180 MB


def test_other_columns_types_and_versions_are_refused():
    import pyarrow as pa

    good = {
        "key": pa.array(["a"]),
        "size": pa.array([1], pa.int64()),
        "sha256": pa.array([bytes(32)], pa.binary(32)),
    }
    plain = {"use_dictionary": False, "compression": "none"}
    for bad in (
        {**good, "size": pa.array([1], pa.int32())},
        {**good, "sha256": pa.array([bytes(31)], pa.binary(31))},
        {**good, "more": pa.array([1])},
        {**good, "location": pa.array(["x"])},
        {"key": good["key"]},
    ):
        with pytest.raises(FormatError, match="is no manifest"):
            parse_manifest(_parquet(bad, **plain), "m.parquet")
    with pytest.raises(ChecksumError):  # these may be, but do not have the root that is stated
        parse_manifest(_parquet(good, **plain), "m.parquet")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_parquet_are_refused(raw):
    for data in (raw, b"PAR1" + raw + len(raw).to_bytes(4, "little") + b"PAR1"):
        with pytest.raises(FormatError):
            parse_manifest(data, "m.parquet")

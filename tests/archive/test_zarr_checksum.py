"""DANDI's checksum: as the package zarr-checksum 0.4.7 computes it, whatever the order of files."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import InputError
from voxarium.spec.zarr_checksum import parse_zarr_checksum, zarr_checksum

# What zarr-checksum 0.4.7 said about these trees, as folders on a disk.
GOLDEN = {
    "481a2f77ab786a0f45aafd5db0971caa-0--0": {},
    "e93f52378cac9f365fccda6c67f086c1-1--2": {".zattrs": b"{}"},
    "f4846e45ae020327b9f20656ae870e2e-8--9": {
        "a/b/c/d": b"x",
        "a/b-c": b"yy",
        "a-b": b"z",
        "a.b/c": b"",
        "10/2": b"1",
        "2/10": b"22",
        'Ä/é"q': b"u",
        "\U0001f600": b"v",
    },
    "ed59e01ff6c67db6cec5b8b622f735ab-60--1770": {f"s{i % 3}/{i // 7}/{i % 7}.{i}": bytes(i) for i in range(60)},
}


def objects(tree):
    return [(key, len(content), hashlib.md5(content).hexdigest()) for key, content in tree.items()]


@pytest.mark.parametrize("wanted", GOLDEN)
def test_it_is_that_of_the_original(wanted):
    assert zarr_checksum(objects(GOLDEN[wanted])) == wanted
    assert parse_zarr_checksum(wanted)[1:] == (len(GOLDEN[wanted]), sum(map(len, GOLDEN[wanted].values())))


@given(st.randoms())
def test_the_order_of_files_does_not_matter(random):
    for wanted, tree in GOLDEN.items():
        items = objects(tree)
        random.shuffle(items)
        assert zarr_checksum(items) == wanted


@pytest.mark.oracle
@given(
    st.dictionaries(st.lists(st.sampled_from("ab.-é0"), min_size=1, max_size=4).map("/".join), st.binary(max_size=3))
)
def test_it_is_that_of_the_original_for_any_tree(tree):
    package = pytest.importorskip("zarr_checksum.tree", reason="zarr-checksum is not installed")
    from pathlib import Path

    tree = {k: c for k, c in tree.items() if "." not in k.split("/") and not any(o.startswith(f"{k}/") for o in tree)}
    theirs = package.ZarrChecksumTree()
    for key, size, digest in objects(tree):
        theirs.add_leaf(Path(key), size, digest)
    assert zarr_checksum(objects(tree)) == str(theirs.process())


def test_a_tree_of_great_depth_is_no_trouble():
    assert parse_zarr_checksum(zarr_checksum([("/".join("a" * 1500), 1, "0" * 32)]))[1:] == (1, 1)


@pytest.mark.parametrize("keys", [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["../a"], ["a//b"]])
def test_what_no_folder_can_hold_is_refused(keys):
    with pytest.raises(InputError):
        zarr_checksum((key, 1, "0" * 32) for key in keys)


@pytest.mark.parametrize("text", ["", "481a2f77ab786a0f45aafd5db0971caa-0-0", "x" * 32 + "-0--0"])
def test_what_is_no_checksum_is_refused(text):
    with pytest.raises(InputError):
        parse_zarr_checksum(text)

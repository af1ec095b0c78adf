"""The tree against RFC 6962 as it is written, proofs that lie, and notes against published ones."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import FormatError, InputError
from voxarium.spec.transparency_log import (
    EMPTY_ROOT,
    Checkpoint,
    MerkleTree,
    NoteSignature,
    PublicKey,
    SignedNote,
    dump_checkpoint,
    dump_note,
    dump_public_key,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    parse_public_key,
    verify_consistency,
    verify_inclusion,
)

MOST = 200

# The entries and roots that implementations of Certificate Transparency test themselves with.
LEAVES = [
    bytes.fromhex(h)
    for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def rfc_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    n = len(entries)
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return sha256(b"\x01" + rfc_root(entries[:k]) + rfc_root(entries[k:])).digest()


def rfc_path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    n = len(entries)
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*rfc_path(m, entries[:k]), rfc_root(entries[k:])]
    return [*rfc_path(m - k, entries[k:]), rfc_root(entries[:k])]


def rfc_subproof(m: int, entries: list[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    n = len(entries)
    if m == n:
        return [] if whole else [rfc_root(entries)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*rfc_subproof(m, entries[:k], whole), rfc_root(entries[k:])]
    return [*rfc_subproof(m - k, entries[k:], False), rfc_root(entries[:k])]


ENTRIES = [f"entry {i}".encode() for i in range(MOST)]
TREE = MerkleTree(map(leaf_hash, ENTRIES))


def flipped(value: bytes, bit: int) -> bytes:
    out = bytearray(value)
    out[bit // 8 % len(out)] ^= 1 << bit % 8
    return bytes(out)


def test_known_roots():
    tree = MerkleTree(map(leaf_hash, LEAVES))
    assert [tree.root(n).hex() for n in range(9)] == ROOTS
    assert MerkleTree().root() == EMPTY_ROOT


def test_roots_of_all_sizes_are_those_of_the_rfc():
    assert all(TREE.root(n) == rfc_root(ENTRIES[:n]) for n in range(MOST + 1))


def test_every_inclusion_proof_of_every_size_holds():
    for size in range(1, MOST + 1):
        root = TREE.root(size)
        for index in range(size):
            proof = TREE.prove_inclusion(index, size)
            assert verify_inclusion(TREE.leaf(index), index, size, root, proof)


def test_every_consistency_proof_of_every_pair_of_sizes_holds():
    for size in range(1, MOST + 1):
        for old in range(1, size + 1):
            proof = TREE.prove_consistency(old, size)
            assert verify_consistency(old, TREE.root(old), size, TREE.root(size), proof)
    assert all(verify_consistency(0, EMPTY_ROOT, n, TREE.root(n), []) for n in range(MOST + 1))


@given(st.data())
def test_proofs_are_those_of_the_rfc(data):
    size = data.draw(st.integers(1, 40))
    index = data.draw(st.integers(0, size - 1))
    assert TREE.prove_inclusion(index, size) == rfc_path(index, ENTRIES[:size])
    assert TREE.prove_consistency(index + 1, size) == rfc_subproof(index + 1, ENTRIES[:size])


@settings(max_examples=300)
@given(st.data())
def test_wrong_inclusion_proofs_fail(data):
    size = data.draw(st.integers(1, MOST))
    index = data.draw(st.integers(0, size - 1))
    proof, leaf, root = TREE.prove_inclusion(index, size), TREE.leaf(index), TREE.root(size)
    bit = data.draw(st.integers(0, 255))
    other = data.draw(st.integers(0, MOST - 1).filter(lambda i: i != index))
    assert not verify_inclusion(leaf, other, size, root, proof)
    assert not verify_inclusion(TREE.leaf(other), index, size, root, proof)
    assert not verify_inclusion(leaf, index, size, flipped(root, bit), proof)
    assert not verify_inclusion(leaf, index, size, root, [*proof, TREE.leaf(other)])
    assert not verify_inclusion(leaf, -1, size, root, proof)
    assert not verify_inclusion(leaf, size, size, root, proof)
    for i in range(len(proof)):
        assert not verify_inclusion(leaf, index, size, root, proof[:i] + proof[i + 1 :])
        assert not verify_inclusion(leaf, index, size, root, [*proof[:i], flipped(proof[i], bit), *proof[i + 1 :]])
        assert not verify_inclusion(leaf, index, size, root, [*proof[:i], b"", *proof[i + 1 :]])


@settings(max_examples=300)
@given(st.data())
def test_wrong_consistency_proofs_fail(data):
    size = data.draw(st.integers(2, MOST))
    old = data.draw(st.integers(1, size - 1))
    proof, before, after = TREE.prove_consistency(old, size), TREE.root(old), TREE.root(size)
    bit = data.draw(st.integers(0, 255))
    assert not verify_consistency(old, flipped(before, bit), size, after, proof)
    assert not verify_consistency(old, before, size, flipped(after, bit), proof)
    assert not verify_consistency(size, after, old, before, proof)
    assert not verify_consistency(old, before, size, after, [*proof, before])
    assert not verify_consistency(-1, before, size, after, proof)
    for i in range(len(proof)):
        assert not verify_consistency(old, before, size, after, proof[:i] + proof[i + 1 :])
        assert not verify_consistency(old, before, size, after, [*proof[:i], flipped(proof[i], bit), *proof[i + 1 :]])


@given(st.integers(1, MOST), st.data())
def test_a_rewritten_entry_has_no_consistency_proof(size, data):
    old = data.draw(st.integers(1, size))
    changed = data.draw(st.integers(0, old - 1))
    entries = [*ENTRIES[:size]]
    entries[changed] += b"!"
    forged = MerkleTree(map(leaf_hash, entries))
    assert not verify_consistency(old, TREE.root(old), size, forged.root(), forged.prove_consistency(old))


def test_sizes_that_are_not_there_are_refused():
    for call in (
        lambda: TREE.root(MOST + 1),
        lambda: TREE.root(-1),
        lambda: TREE.prove_inclusion(5, 5),
        lambda: TREE.prove_inclusion(-1),
        lambda: TREE.prove_consistency(0),
        lambda: TREE.prove_consistency(7, 6),
        lambda: TREE.leaf(MOST),
    ):
        with pytest.raises(InputError):
            call()


# --------------------------------------------------------------------------------------------------------- notes
# Public key and note of golang.org/x/mod/sumdb/note, whose format signed notes are.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_published_note_is_read_and_written_again():
    key = parse_public_key(GO_KEY)
    assert (key.name, dump_public_key(key)) == ("PeterNeumann", GO_KEY)
    note = parse_note(GO_NOTE.encode())
    assert note.signatures[0].key_id == key.key_id
    assert dump_note(note) == GO_NOTE.encode()
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519", reason="checks signatures")
    ed25519.Ed25519PublicKey.from_public_bytes(key.raw).verify(note.signatures[0].signature, note.text.encode())


NAMES = st.text("abcdefgz0123456789./_-äµ", min_size=1, max_size=12)


@given(
    NAMES,
    st.integers(0, 2**53 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(NAMES, max_size=2),
    st.lists(st.tuples(NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=64)), min_size=1),
)
def test_checkpoints_and_notes_come_back(origin, size, root, more, signatures):
    point = Checkpoint(origin=origin, size=size, root=root, extensions=tuple(more))
    note = SignedNote(dump_checkpoint(point), tuple(NoteSignature(*s) for s in signatures))
    again = parse_note(dump_note(note))
    assert again == note
    assert parse_checkpoint(again.text) == point


@given(NAMES, st.binary(min_size=32, max_size=32))
def test_public_keys_come_back(name, raw):
    assert parse_public_key(dump_public_key(PublicKey(name, raw))) == PublicKey(name, raw)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        f"o\n01\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n1 \n{ROOT}\n",
        f"o\n{2**53}\n{ROOT}\n",
        f"o\n{'9' * 5000}\n{ROOT}\n",
        f"o\n١\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"o\n1\n{ROOT}",
        f"o\n1\n{ROOT}\n\nmore\n",
        f"o\n1\n{ROOT[:-1]}\n",
        "o\n1\nAAAA\n",
        f"o\n1\n{ROOT[:-2]}B=\n",
    ],
)
def test_malformed_checkpoints_are_refused(text):
    with pytest.raises(FormatError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n",
        "a\n\n",
        "a\n\n— b\n",
        "a\n\n— b AAAA\n",
        "a\n\n- b AAAAAAA=\n",
        "a\n\n— b+c AAAAAAA=\n",
        "a\n\n— b AAAAAAB=\n",
        "a\r\n\n— b AAAAAAA=\n",
        "a\n\n— b AAAAAAA=",
        "a\n\n" + "— b AAAAAAA=\n" * 101,
        "a" * 70_000 + "\n\n— b AAAAAAA=\n",
    ],
)
def test_malformed_notes_are_refused(text):
    with pytest.raises(FormatError):
        parse_note(text.encode())


@pytest.mark.parametrize("text", ["", "a", "a+b+c", GO_KEY[:-1] + "X", GO_KEY.replace("c74", "c75"), "+" + GO_KEY])
def test_malformed_public_keys_are_refused(text):
    with pytest.raises(FormatError):
        parse_public_key(text)


@given(st.binary(max_size=80))
def test_junk_gives_nothing_but_format_errors(raw):
    for parse in (
        parse_note,
        lambda b: parse_checkpoint(b.decode("utf-8", "replace")),
        lambda b: parse_public_key(b.decode("utf-8", "replace")),
    ):
        try:
            parse(raw)
        except FormatError:
            continue

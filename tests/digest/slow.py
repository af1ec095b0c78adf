"""The logical digest again, from docs/reference/logical-digest.md and the BLAKE3 paper alone: slow, without NumPy."""

from __future__ import annotations

import itertools
import json
import math
import struct
from fractions import Fraction

MASK = 0xFFFFFFFF
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
QUARTERS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def rotated(value, by):
    return (value >> by) | (value << (32 - by)) & MASK


def compress(chaining, words, counter, length, flags):
    v = [*chaining, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for _ in range(7):
        for k, (a, b, c, d) in enumerate(QUARTERS):
            for word, first, second in ((words[2 * k], 16, 12), (words[2 * k + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & MASK
                v[d] = rotated(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & MASK
                v[b] = rotated(v[b] ^ v[c], second)
        words = [words[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def chunk_value(data, counter, last):
    chaining = list(IV)
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        end = i == len(blocks) - 1
        flags = (CHUNK_START if i == 0 else 0) | ((CHUNK_END | last) if end else 0)
        words = struct.unpack("<16I", block.ljust(64, b"\0"))
        chaining = compress(chaining, words, counter, len(block), flags)
    return chaining


def subtree(chunks, first, last):
    if len(chunks) == 1:
        return chunk_value(chunks[0], first, last)
    left = 1 << (len(chunks) - 1).bit_length() - 1
    pair = subtree(chunks[:left], first, 0) + subtree(chunks[left:], first + left, 0)
    return compress(IV, pair, 0, 64, PARENT | last)


def blake3(data):
    chunks = [data[i : i + 1024] for i in range(0, len(data), 1024)] or [b""]
    return struct.pack("<8I", *subtree(chunks, 0, ROOT))


# ---------------------------------------------------------------------------------------------------- the digest
def canonical_order(axes):
    classes = {"time": 0, "channel": 1, "space": 3}
    spatial = {"z": 1, "y": 2, "x": 3}
    keyed = []
    for i, (name, kind) in enumerate(axes):
        keyed.append((classes.get(kind, 2), spatial.get(name.lower(), 0) if kind == "space" else 0, i))
    return [i for _, _, i in sorted(keyed)]


def dump(document):
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def leaf(name, lengths, voxels):
    three = [1, 1, 1, *lengths][-3:]
    header = b"\x00" + name.encode().ljust(15, b"\0") + struct.pack("<3Q", *three) + bytes(24)
    return blake3(header + b"".join(voxels))


def root(name, shape, at):
    """`at(index)` are the bytes of a voxel."""
    n = len(shape)
    block = {0: (), 1: (262144,), 2: (512, 512)}.get(n, (1,) * (n - 3) + (64, 64, 64))
    counts = [math.ceil(s / b) for s, b in zip(shape, block, strict=True)]
    nodes = {}
    for index in itertools.product(*map(range, counts)):
        spans = [range(i * b, min(s, i * b + b)) for i, b, s in zip(index, block, shape, strict=True)]
        nodes[index] = leaf(name, [len(s) for s in spans], [at(v) for v in itertools.product(*spans)])
    if not nodes:
        return blake3(b"\x01")
    while len(nodes) > 1:
        above = {}
        for index in sorted(nodes):
            above.setdefault(tuple(i // 2 for i in index), []).append(nodes[index])
        nodes = {index: blake3(b"\x01" + b"".join(children)) for index, children in above.items()}
    return next(iter(nodes.values()))


def content(name, stored_shape, voxels, order):
    """`voxels`: the bytes of each, in C order of the stored shape."""
    strides = [math.prod(stored_shape[i + 1 :]) for i in range(len(stored_shape))]
    kept = [i for i in order if stored_shape[i] != 1]
    shape = [stored_shape[i] for i in kept]

    def at(index):
        return voxels[sum(i * strides[k] for i, k in zip(index, kept, strict=True))]

    tree = root(name, shape, at).hex()
    return blake3(b"\x02" + dump({"dtype": name, "shape": shape, "tree": tree, "version": 1}))


FACTORS = {"nanometer": ("meter", Fraction(1, 10**9)), "micrometer": ("meter", Fraction(1, 10**6))}
FACTORS |= {"second": ("second", Fraction(1)), "millisecond": ("second", Fraction(1, 1000))}


def exponent(value):
    e = 0
    while value >= Fraction(10) ** (e + 1):
        e += 1
    while value < Fraction(10) ** e:
        e -= 1
    return e


def rounded(value, largest):
    if not largest:
        return 0, 0
    e = exponent(largest) - 11
    return round(value / Fraction(10) ** e), e  # half to even


def written(number, e):
    if not number:
        return "0"
    while number % 10 == 0:
        number, e = number // 10, e + 1
    return f"{number}e{e}"


def bound(of, axes, shape, scale, translation, order):
    """`axes`: (name, type, unit); scale and translation only."""
    named, rows = [], []
    for k in order:
        name, kind, unit = axes[k]
        base, factor = FACTORS.get(unit, (unit, Fraction(1)))
        s, t = Fraction(scale[k]) * factor, Fraction(translation[k]) * factor
        entry, end = rounded(s, abs(s)), rounded(t, max(abs(s), abs(t)))
        if shape[k] == 1 and kind != "space" and not end[0]:
            continue
        named.append({"name": name, "type": kind, "unit": base})
        rows.append((written(*entry), written(*end)))
    matrix = [["0"] * i + [s] + ["0"] * (len(rows) - i - 1) + [t] for i, (s, t) in enumerate(rows)]
    return blake3(b"\x03" + dump({"axes": named, "content": of.hex(), "matrix": matrix, "version": 1}))

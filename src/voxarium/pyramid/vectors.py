"""Steps of kernels on vectors of a fixed length, written for the compiler as such.

A loop that numba vectorizes begins to pay off at a hundred voxels and more: shorter rows are left to its remainder,
voxel by voxel. Rows of chunks are 64 voxels long.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["LONG", "SHORT", "mean_of_four_long", "mean_of_four_short"]

LONG: Final = 64
"""Bytes of each source row that one step takes."""
SHORT: Final = 16
"""The same, for what is left of a row."""

# Numba's interface is untyped; the signatures below are LLVM's. Any: numba and LLVM objects.


def _memory(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Return a pointer to the first voxel of an array."""
    return context.make_array(kind)(context, builder, array).data


def _place(builder: Any, memory: Any, index: Any, vector: Any) -> Any:
    """Return a pointer to the voxels from `index` on, as one to a vector."""
    return builder.bitcast(builder.gep(memory, [index]), vector.as_pointer())


def _all(vector: Any, value: Any, builder: Any) -> Any:
    """Return a vector whose lanes all hold a value."""
    lane = ir.IntType(32)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(lane, 0))
    mask = ir.Constant(ir.VectorType(lane, vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _mean_of_four(nbytes: int) -> Any:
    @intrinsic
    def step(_typing: Any, dst: Any, _d: Any, src: Any, _s0: Any, _s1: Any, _s2: Any, _s3: Any, flip: Any) -> Any:
        """Write means of windows of four rows and two columns, half to even: `nbytes` of each row at once.

        ``(dst, d, src, s0, s1, s2, s3, flip)``: flat arrays of unsigned voxels of one or two bytes, where the result
        and the four rows begin in them, and the sign bit of signed voxels (else 0). Nothing is checked.
        """
        bits = src.dtype.bitwidth
        lanes = nbytes * 8 // bits
        row = ir.VectorType(ir.IntType(bits), lanes)
        sums = ir.VectorType(ir.IntType(2 * bits), lanes)
        pairs, half = (ir.VectorType(ir.IntType(n * bits), lanes // 2) for n in (4, 1))

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            source, target = _memory(context, builder, src, args[2]), _memory(context, builder, dst, args[0])
            flips = _all(row, args[7], builder)
            total = ir.Constant(sums, [0] * lanes)
            for start in args[3:7]:
                voxels = builder.load(_place(builder, source, start, row), align=bits // 8)
                total = builder.add(total, builder.zext(builder.xor(voxels, flips), sums))

            def constant(value: int) -> Any:
                return ir.Constant(pairs, [value] * (lanes // 2))

            # Neighbours along the row are the halves of wider words: no voxel has to move.
            words = builder.bitcast(total, pairs)
            low = builder.and_(words, constant((1 << 2 * bits) - 1))
            eight = builder.add(low, builder.lshr(words, constant(2 * bits)))
            odd = builder.and_(builder.lshr(eight, constant(3)), constant(1))
            mean = builder.lshr(builder.add(builder.add(eight, constant(3)), odd), constant(3))
            result = builder.xor(builder.trunc(mean, half), _all(half, args[7], builder))
            builder.store(result, _place(builder, target, args[1], half), align=bits // 8)
            return context.get_dummy_value()

        word = types.int64
        return types.none(dst, word, src, word, word, word, word, flip), codegen

    return step


mean_of_four_long, mean_of_four_short = _mean_of_four(LONG), _mean_of_four(SHORT)

"""Plans: from the source's metadata and the user's choices to blocks, levels, objects and estimates. Pure."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voxarium.conversion.options import ConvertOptions
from voxarium.conversion.order import Steps, iter_blocks, nesting_steps
from voxarium.model.abilities import Loss
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ImageInfo

__all__ = ["Plan", "PlannedLevel", "Selection", "Task", "reread_factor"]

# What a thread turns from raw to stored per second, roughly, for estimates only (docs/performance.md).
_NOMINAL_RATE: Final = 350e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which part of the source is read, and in which axis order and type it is written.

    `permutation[i]` is the source axis that becomes target axis i; `crop` is in source order.
    """

    crop: Box
    permutation: tuple[int, ...]
    dtype: np.dtype[Any]
    lossy: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels of level 0, in target order."""
        return tuple(self.crop.shape[p] for p in self.permutation)

    def source_box(self, box: Box) -> Box:
        """Return the source region of a target region."""
        origin, shape = [0] * box.ndim, [0] * box.ndim
        for i, p in enumerate(self.permutation):
            origin[p] = box.origin[i] + self.crop.origin[p]
            shape[p] = box.shape[i]
        return Box(tuple(origin), tuple(shape))


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work: a region of a level that is read (level 0: from the source) and taken as far up as it goes."""

    level: int
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLevel:
    """One level to be written.

    Parameters
    ----------
    path : str
        Where the array goes.
    info : ArrayInfo
        What it will be.
    factors : tuple of int
        From the finer level; all 1 at level 0.
    scale : tuple of int
        Level-0 voxels per voxel of this level.
    cell : tuple of int
        Region encoded and downsampled at once.
    """

    path: str
    info: ArrayInfo
    factors: tuple[int, ...]
    scale: tuple[int, ...]
    cell: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a conversion will do, before it does anything.

    Parameters
    ----------
    source : str
        Address of what is read.
    source_image : str
        Address of the image that it is a level of.
    image : ImageInfo
        The image as it will be written.
    finds_largest : bool
        The target states the largest label, which is found as the voxels pass.
    pass_through : bool
        Stored chunks of the source are stored as they are, without decoding them for that.
    reread : float
        How often a source chunk is read on average; 1.0 when blocks align with the source.
    losses : tuple of Loss
        What of the source the target cannot hold; `run` refuses unless each is accepted.
    source_memory : int
        Bytes that each thread holds for reading the source, beside what it reads.
    notes : tuple of str
        What the user should know.
    """

    source: str
    format: str
    spec_version: str
    selection: Selection
    levels: tuple[PlannedLevel, ...]
    image: ImageInfo
    method: str
    ignore_zero: bool
    pass_through: bool
    block: tuple[int, ...]
    reread: float
    source_chunks: int
    options: ConvertOptions
    source_image: str = ""
    source_memory: int = 0
    finds_largest: bool = False
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def steps(self) -> Steps:
        """The nesting of the walk through level 0."""
        regions = [(region, lv.scale) for lv in self.levels for region in (lv.info.object_shape, lv.cell)]
        return nesting_steps([tuple(r * s for r, s in zip(region, scale, strict=True)) for region, scale in regions])

    @property
    def windowed(self) -> bool:
        """True when a voxel of a level depends on its own window only, so that one pass makes every level."""
        return self.method != "gaussian"

    def blocks(self) -> Iterator[Box]:
        """Yield the blocks of level 0 in the order of work."""
        return iter_blocks(self.levels[0].info.shape, self.block, self.steps)

    def stages(self) -> Iterator[Iterator[Task]]:
        """Yield the stages of the job, each an iterator of independent tasks.

        Windowed methods need one stage. A filter that looks beyond its window needs the finer level complete, so
        every level is a stage of its own, read back from the target; the source is still read once.
        """
        yield (Task(0, box) for box in self.blocks())
        if self.windowed:
            return
        for number, level in enumerate(self.levels[1:], 1):
            grow = tuple(max(1, b // (c * s)) * c for b, c, s in zip(self.block, level.cell, level.scale, strict=True))
            steps = nesting_steps([level.info.object_shape, grow])
            boxes = iter_blocks(level.info.shape, grow, steps)
            yield map(Task, itertools.repeat(number), boxes)

    @property
    def task_voxels(self) -> int:
        """Voxels of all tasks of all stages: what progress counts towards."""
        levels = self.levels[:1] if self.windowed else self.levels
        return sum(math.prod(lv.info.shape) for lv in levels)

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return ChunkGrid(self.levels[0].info.shape, self.block).size

    @property
    def objects(self) -> int:
        """Most objects that will be written, metadata not counted; chunks of fill value only are left out."""
        return sum(ChunkGrid(lv.info.shape, lv.info.object_shape).size for lv in self.levels)

    @property
    def chunks(self) -> int:
        """Most chunks that will be written."""
        return sum(ChunkGrid(lv.info.shape, lv.info.chunk_shape).size for lv in self.levels)

    @property
    def raw_bytes(self) -> int:
        """Bytes of all levels before encoding."""
        return sum(math.prod(lv.info.shape) * lv.info.dtype.itemsize for lv in self.levels)

    @property
    def source_bytes(self) -> int:
        """Bytes of the voxels read, before encoding, each counted once."""
        return math.prod(self.levels[0].info.shape) * self.levels[0].info.dtype.itemsize

    @property
    def requests(self) -> int:
        """Estimated requests to the source."""
        return math.ceil(self.source_chunks * self.reread)

    def memory(self, threads: int) -> int:
        """Return the estimated peak of blocks and open cells, in bytes."""
        block = math.prod(self.block) * self.levels[0].info.dtype.itemsize
        pending = 0
        for level in self.levels[1:]:
            touched = Box.whole(tuple(-(-b // s) for b, s in zip(self.block, level.scale, strict=True)))
            pending += 2 * touched.snapped_to(level.cell).size * level.info.dtype.itemsize
        return (threads + 1) * block * 2 + pending + threads * self.source_memory

    def seconds(self, threads: int) -> float:
        """Return a rough estimate of the time, from a nominal rate per thread."""
        return self.raw_bytes / (_NOMINAL_RATE * max(1, threads))

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the bytes written; a job resumes only under the same one."""
        document = {
            "source": self.source,
            "format": [self.format, self.spec_version],
            "crop": [self.selection.crop.origin, self.selection.crop.shape],
            "permutation": self.selection.permutation,
            "lossy": self.selection.lossy,
            "method": [self.method, self.ignore_zero],
            "pass_through": self.pass_through,
            "levels": [
                [
                    lv.path, lv.info.shape, lv.info.dtype.str, lv.info.chunk_shape, lv.info.shard_shape,
                    lv.info.codecs, repr(lv.info.fill_value), lv.factors, lv.cell,
                ]
                for lv in self.levels
            ],
            "transforms": [repr(lv.transform) for lv in self.image.levels],
            "axes": [repr(a) for a in self.image.axes],
            "name": [self.image.name, self.image.role],
        }  # fmt: skip
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def to_json(self, threads: int) -> dict[str, Any]:
        """Return the plan for ``--dry-run --json``."""
        return {
            "source": self.source,
            "format": self.format,
            "spec_version": self.spec_version,
            "method": self.method,
            "pass_through": self.pass_through,
            "block": list(self.block),
            "blocks": self.block_count,
            "objects": self.objects,
            "chunks": self.chunks,
            "source_bytes": self.source_bytes,
            "raw_bytes": self.raw_bytes,
            "source_requests": self.requests,
            "reread_factor": round(self.reread, 4),
            "memory_bytes": self.memory(threads),
            "seconds": round(self.seconds(threads), 1),
            "threads": threads,
            "levels": [
                {
                    "path": lv.path,
                    "shape": list(lv.info.shape),
                    "dtype": lv.info.dtype.name,
                    "chunk": list(lv.info.chunk_shape),
                    "shard": None if lv.info.shard_shape is None else list(lv.info.shard_shape),
                    "factors": list(lv.factors),
                }
                for lv in self.levels
            ],
            "losses": [{"kind": loss.kind, "message": loss.message, "fix": loss.fix} for loss in self.losses],
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }


def reread_factor(
    shape: tuple[int, ...], block: tuple[int, ...], chunk: tuple[int, ...], first: tuple[int, ...]
) -> float:
    """Return how often a source chunk is touched on average.

    Parameters
    ----------
    shape, block : tuple of int
        Region read and blocks that cut it, from its own origin.
    chunk : tuple of int
        Source chunks.
    first : tuple of int
        Where the region begins in the source.
    """
    factor = 1.0
    for n, b, c, o in zip(shape, block, chunk, first, strict=True):
        if n == 0:
            continue
        chunks = (n + o - 1) // c - o // c + 1
        cuts = -(-n // b) - 1
        # A chunk is touched once more for each cut between blocks that goes through it.
        factor *= (chunks + cuts - _multiples(b, c, o, cuts)) / chunks
    return factor


def _multiples(step: int, of: int, start: int, count: int) -> int:
    """Return how many of start + step, start + 2 * step … (`count` of them) are multiples of `of`."""
    common = math.gcd(step, of)
    if start % common:
        return 0
    period = of // common
    first = -(start // common) * pow(step // common, -1, period) % period if period > 1 else 0
    return count // period + (first <= count % period) - (first == 0)

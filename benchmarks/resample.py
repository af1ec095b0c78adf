"""Resampling through an affine transform: kernels in memory on two threads, and whole jobs, against other tools."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import case, main, wipe

SIZE = 384
TARGET = 448
ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}


def matrix() -> tuple[np.ndarray, np.ndarray]:
    """Return a rotation about two axes and a little scaling: target index → source index, about the middle."""
    a, b = np.radians([17.0, -9.0])
    first = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    second = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    linear = first @ second * 0.95
    middle = np.full(3, (SIZE - 1) / 2)
    return linear, middle - linear @ np.full(3, (TARGET - 1) / 2)


def volume(data: Path, dtype: str) -> np.ndarray:
    """Return the EM volume, or the labels, cut to the size."""
    name = "seg512" if dtype == "uint64" else "em1024"
    return np.ascontiguousarray(np.load(data / f"{name}.npy", mmap_mode="r")[:SIZE, :SIZE, :SIZE]).astype(dtype)


def ours(array: np.ndarray, work: Path, interpolation: str) -> Any:
    """Return the virtual image of an array stored uncompressed."""
    import voxarium
    from voxarium.conversion.resampling import described
    from voxarium.model.transforms import Affine

    np.save(work / "resample-source.npy", array)
    role = "label" if array.dtype == np.uint64 else "intensity"
    image = described(voxarium.open(work / "resample-source.npy"), axes="zyx", unit="nanometer", role=role)
    linear, shift = matrix()
    back = Affine(tuple(map(tuple, np.column_stack([linear, shift]).tolist())))
    box = {a: (-0.5, TARGET - 0.5) for a in "zyx"}
    return image.resampled(voxel_size=1, box=box, inverse=back, interpolation=interpolation)


def add(dtype: str, interpolation: str) -> None:
    about = f"{dtype} {interpolation}"

    @case(f"voxarium {about}", voxels=TARGET**3)
    def _ours(data: Path, work: Path) -> Any:
        image = ours(volume(data, dtype), work, interpolation)
        out = np.zeros(image.shape, image.dtype)
        image[:2, :2, :2]
        return lambda: image.read(out=out, threads=2)

    @case(f"scipy {about}", voxels=TARGET**3, repeat=1, timeout=1800)
    def _scipy(data: Path, work: Path) -> Any:
        from scipy.ndimage import affine_transform, spline_filter

        array, (linear, shift) = volume(data, dtype), matrix()
        out = np.zeros((TARGET,) * 3, dtype)
        slabs = [slice(z, min(z + 32, TARGET)) for z in range(0, TARGET, 32)]

        def run() -> None:
            order = ORDERS[interpolation]
            source = spline_filter(array, 3, np.float32, mode="nearest") if order == 3 else array

            def one(slab: slice) -> None:
                moved = shift + linear[:, 0] * slab.start
                affine_transform(source, linear, moved, output=out[slab], order=order, mode="nearest", prefilter=False)

            with ThreadPoolExecutor(2) as pool:
                list(pool.map(one, slabs))

        return run

    if importlib.util.find_spec("SimpleITK") and dtype != "uint64":

        @case(f"SimpleITK {about}", voxels=TARGET**3, repeat=1, timeout=1800)
        def _itk(data: Path, work: Path) -> Any:
            import SimpleITK

            SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
            source = SimpleITK.GetImageFromArray(volume(data, dtype))
            linear, shift = matrix()
            way = SimpleITK.AffineTransform(3)
            way.SetMatrix(linear[::-1, ::-1].ravel().tolist())
            way.SetTranslation(shift[::-1].tolist())
            kinds = {
                "nearest": SimpleITK.sitkNearestNeighbor,
                "linear": SimpleITK.sitkLinear,
                "cubic": SimpleITK.sitkBSpline,
            }
            grid = SimpleITK.Image([TARGET] * 3, source.GetPixelID())
            return lambda: SimpleITK.Resample(source, grid, way, kinds[interpolation], 0.0)

    if importlib.util.find_spec("dask_image"):

        @case(f"dask-image {about}", voxels=TARGET**3, repeat=1, timeout=1800)
        def _dask(data: Path, work: Path) -> Any:
            import dask.array as da
            from dask_image.ndinterp import affine_transform

            source = da.from_array(volume(data, dtype), chunks=128)
            linear, shift = matrix()
            target = affine_transform(
                source, linear, shift, order=ORDERS[interpolation], output_shape=(TARGET,) * 3,
                output_chunks=(128,) * 3, mode="constant",
            )  # fmt: skip
            return lambda: target.compute(scheduler="threads", num_workers=2)


for _dtype, _kinds in (("uint8", ORDERS), ("uint16", ("linear",)), ("float32", ("linear", "cubic"))):
    for _kind in _kinds:
        add(_dtype, _kind)
add("uint64", "nearest")


@case("job: sharded Zarr → rotated sharded Zarr with levels, uint8 linear", voxels=TARGET**3)
def _job(data: Path, work: Path) -> Any:
    import voxarium
    from voxarium.model.transforms import Affine

    store, target = work / "resample-em.ome.zarr", work / "resample-out.ome.zarr"
    if not store.exists():
        np.save(work / "resample-job.npy", volume(data, "uint8"))
        voxarium.convert(work / "resample-job.npy", store, axes="zyx", voxel_size=1, unit="nanometer", shard=128)
    linear, shift = matrix()
    back = Affine(tuple(map(tuple, np.column_stack([linear, shift]).tolist())))
    box = {a: (-0.5, TARGET - 0.5) for a in "zyx"}

    def run() -> None:
        voxarium.resample(store, target, voxel_size=1, box=box, inverse=back, threads=2, shard=256)

    return run, lambda: wipe(target)


if __name__ == "__main__":
    main()

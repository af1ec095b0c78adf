"""Voxarium: an open archive for volumetric images that have outgrown one file, one format and one machine.

>>> import voxarium
>>> image = voxarium.open("archive.ome.zarr")            # doctest: +SKIP
>>> voxarium.convert("slices/", "em.ome.zarr", axes="zyx", voxel_size=8, unit="nanometer")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxarium.archive.copying import CopyOptions, copy
    from voxarium.archive.draft_editing import open_draft
    from voxarium.archive.jobs import convert, resample, roll_back, upgrade
    from voxarium.archive.recorded import write_manifest
    from voxarium.archive.verify import VerifyOptions, verify
    from voxarium.conversion import ConvertOptions, plan, present
    from voxarium.conversion.field_writing import write_field
    from voxarium.core.array import Array
    from voxarium.core.dataset import Dataset
    from voxarium.core.digesting import compare, logical_digest
    from voxarium.core.image import Image
    from voxarium.core.opening import open, open_array
    from voxarium.core.registry import register_array_driver, register_collection_driver, register_image_driver
    from voxarium.core.resampling import ResampleOptions
    from voxarium.core.scenes import dump_scene, open_scene
    from voxarium.core.systems import open_systems
    from voxarium.core.transform_files import read_transform, write_transform
    from voxarium.errors import Code, VoxariumError
    from voxarium.interop.views import zarr_store
    from voxarium.model.axes import Axis
    from voxarium.model.box import Box
    from voxarium.validation import validate

    show: Callable[..., Any]  # of the server, which lies above what imports this module

# Where each public name lives. Loaded on first use, so that `import voxarium` costs nothing (house style §3).
_NAMES = {
    "Array": "voxarium.core.array",
    "Axis": "voxarium.model.axes",
    "Box": "voxarium.model.box",
    "Code": "voxarium.errors",
    "ConvertOptions": "voxarium.conversion",
    "CopyOptions": "voxarium.archive.copying",
    "Dataset": "voxarium.core.dataset",
    "Image": "voxarium.core.image",
    "ResampleOptions": "voxarium.core.resampling",
    "VerifyOptions": "voxarium.archive.verify",
    "VoxariumError": "voxarium.errors",
    "compare": "voxarium.core.digesting",
    "convert": "voxarium.archive.jobs",
    "copy": "voxarium.archive.copying",
    "dump_scene": "voxarium.core.scenes",
    "logical_digest": "voxarium.core.digesting",
    "open": "voxarium.core.opening",
    "open_array": "voxarium.core.opening",
    "open_draft": "voxarium.archive.draft_editing",
    "open_scene": "voxarium.core.scenes",
    "open_systems": "voxarium.core.systems",
    "plan": "voxarium.conversion",
    "present": "voxarium.conversion",
    "read_transform": "voxarium.core.transform_files",
    "register_array_driver": "voxarium.core.registry",
    "register_collection_driver": "voxarium.core.registry",
    "register_image_driver": "voxarium.core.registry",
    "resample": "voxarium.archive.jobs",
    "roll_back": "voxarium.archive.jobs",
    "show": "voxarium.serve.showing",
    "upgrade": "voxarium.archive.jobs",
    "validate": "voxarium.validation",
    "verify": "voxarium.archive.verify",
    "virtualize": "voxarium.conversion",
    "write_field": "voxarium.conversion.field_writing",
    "write_manifest": "voxarium.archive.recorded",
    "write_transform": "voxarium.core.transform_files",
    "zarr_store": "voxarium.interop.views",
}

__all__ = [
    "Array",
    "Axis",
    "Box",
    "Code",
    "ConvertOptions",
    "CopyOptions",
    "Dataset",
    "Image",
    "ResampleOptions",
    "VerifyOptions",
    "VoxariumError",
    "__version__",
    "compare",
    "convert",
    "copy",
    "dump_scene",
    "logical_digest",
    "open",
    "open_array",
    "open_draft",
    "open_scene",
    "open_systems",
    "plan",
    "present",
    "read_transform",
    "register_array_driver",
    "register_collection_driver",
    "register_image_driver",
    "resample",
    "roll_back",
    "show",
    "upgrade",
    "validate",
    "verify",
    "virtualize",
    "write_field",
    "write_manifest",
    "write_transform",
    "zarr_store",
]


def __getattr__(name: str) -> Any:  # Any: whatever the name stands for
    if name not in _NAMES:
        raise AttributeError(f"module 'voxarium' has no attribute {name!r}")
    value = getattr(import_module(_NAMES[name]), name)
    globals()[name] = value  # over the submodule of the same name, which importing it has bound here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Run by an interpreter that has the published WEBKNOSSOS client: opens a dataset and compares every layer.

Arguments: the dataset, and a file of arrays by layer, axes c, z, y, x, with the place of voxel 0 as `<layer>_at`.
"""

import sys

import numpy as np

import webknossos

dataset = webknossos.Dataset.open(sys.argv[1])
truth = np.load(sys.argv[2])
names = [n for n in truth.files if not n.endswith("_at")]
if sorted(dataset.layers) != sorted(names):
    raise SystemExit(f"layers {sorted(dataset.layers)}, not {sorted(names)}")
for name in names:
    layer = dataset.get_layer(name)
    data, at = truth[name], tuple(int(n) for n in truth[f"{name}_at"])
    box = layer.bounding_box
    if tuple(box.topleft)[::-1] != at or tuple(box.size)[::-1] != data.shape[1:]:
        raise SystemExit(f"{name} has the box {box}")
    mag = layer.get_mag(1)
    if not np.array_equal(mag.read().transpose(0, 3, 2, 1), data):
        raise SystemExit(f"voxels of {name} differ")
    part = mag.read(absolute_offset=(at[2] + 3, at[1] + 2, at[0] + 1), size=(5, 4, 3))
    if not np.array_equal(part.transpose(0, 3, 2, 1), data[:, 1:4, 2:6, 3:8]):
        raise SystemExit(f"voxels of a part of {name} differ")
    if len(layer.mags) != 2:
        raise SystemExit(f"{name} has the mags {list(layer.mags)}")
    if name.startswith("seg") and layer.largest_segment_id != int(data.max()):
        raise SystemExit(f"the largest id of {name} is {layer.largest_segment_id}")

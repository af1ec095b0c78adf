"""Run by the interpreter that has the real client: reads datasets of a server, and compares them with arrays."""

import sys
import tempfile
import warnings

import numpy as np

warnings.simplefilter("ignore")
import webknossos as wk  # noqa: E402


def main(url: str, truth: str, token: str) -> None:
    data = np.load(truth)
    with wk.webknossos_context(url, token=token):
        for name in ("lab/em.h5", "lab/slices", "lab/em.npy", "lab/wk/em", "lab/em.ome.zarr"):
            dataset = wk.Dataset.open_remote(name)
            (layer,) = dataset.layers.values()
            np.testing.assert_array_equal(layer.get_mag(1).read()[0].T, data["em"], err_msg=name)
        dataset = wk.RemoteDataset.open("lab/wk", organization_id="voxarium")
        assert set(dataset.layers) == {"em", "rgb", "cells"}, dataset.layers
        assert tuple(dataset.voxel_size) == (8, 8, 40)
        rgb = dataset.get_layer("rgb").get_mag(1).read()
        np.testing.assert_array_equal(rgb.transpose(3, 2, 1, 0), data["rgb"])
        cells = dataset.get_layer("cells")
        assert cells.category == "segmentation"
        np.testing.assert_array_equal(cells.get_mag(1).read()[0].T, data["cells"])
        half = dataset.get_layer("em").get_mag("2-2-1").read()
        np.testing.assert_array_equal(half[0].T, data["half"])

        identifier = b"lab/far.ome.zarr".hex()
        far = wk.RemoteDataset.open(f"{url}/datasets/far-{identifier}/view").get_layer("far.ome.zarr")
        assert tuple(far.bounding_box.topleft) == (10, 20, 30)
        mag = far.get_mag(1)
        np.testing.assert_array_equal(mag.read()[0].T, data["em"])
        part = mag.read(absolute_offset=(15, 21, 33), size=(9, 8, 7))[0].T
        np.testing.assert_array_equal(part, data["em"][3:10, 1:9, 5:14])

        (layer,) = wk.RemoteDataset.open(dataset_id=b"lab/time.ome.zarr".hex()).layers.values()
        np.testing.assert_array_equal(layer.get_mag(1).read().transpose(1, 0, 4, 3, 2), data["time"])

        copy = wk.RemoteDataset.open(dataset_id=b"lab/wk".hex()).download(
            path=f"{tempfile.mkdtemp()}/copy", layers=["em", "cells"], mags=[wk.Mag(1)]
        )
        np.testing.assert_array_equal(copy.get_layer("em").get_mag(1).read()[0].T, data["em"])
        np.testing.assert_array_equal(copy.get_layer("cells").get_mag(1).read()[0].T, data["cells"])


main(*sys.argv[1:])

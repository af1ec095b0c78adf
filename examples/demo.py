"""From a microscope's files to an archive: what ``make demo`` runs.

Writes a synthetic specimen the way laboratories hand over their data (TIFF slices of grey values, labels in
HDF5), converts both into one OME-Zarr archive with the ``voxarium`` program, and draws a picture of it.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from voxarium.testing.specimen import Specimen
from voxarium.testing.specimen.writers import write_hdf5_labels, write_tiff_slices

SHAPE = (384, 384, 384)
VOXEL_SIZE = (8.0, 8.0, 8.0)


def say(text: str = "") -> None:
    """Print a line at once."""
    print(text, flush=True)


def voxarium(*arguments: str) -> None:
    """Run the program, as a user would."""
    say(f"$ {shlex.join(['voxarium', *arguments])}")
    program = Path(sys.executable).with_name("voxarium")
    subprocess.run([program, *arguments], check=True)
    say()


def make_source(folder: Path) -> tuple[Path, Path]:
    """Write slices and labels, unless an earlier run did; return where they are."""
    slices, labels, done = folder / "slices", folder / "labels.h5", folder / "source.txt"
    what = f"specimen {SHAPE}, {VOXEL_SIZE} nm\n"
    if done.exists() and done.read_text() == what:
        say(f"{slices} and {labels} are there from an earlier run\n")
        return slices, labels
    shutil.rmtree(slices, ignore_errors=True)
    labels.unlink(missing_ok=True)
    say(f"making a specimen of {' × '.join(map(str, SHAPE))} voxels; the first time, its code is compiled …")
    started = time.perf_counter()
    specimen = Specimen(shape=SHAPE, seed=7, voxel_size=VOXEL_SIZE)
    write_tiff_slices(specimen, slices)
    write_hdf5_labels(specimen, labels, "volumes/labels/neuron_ids")
    done.write_text(what)
    say(f"{slices}: {SHAPE[0]} TIFF slices; {labels}: uint64 labels; {time.perf_counter() - started:.0f} s\n")
    return slices, labels


def main() -> int:
    """Run the demo in the folder given as the only argument."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    folder.mkdir(parents=True, exist_ok=True)
    slices, labels = make_source(folder)
    archive = folder / "specimen.ome.zarr"
    shutil.rmtree(archive, ignore_errors=True)
    size = ["--axes", "zyx", "--voxel-size", ",".join(f"{v:g}" for v in VOXEL_SIZE), "--unit", "nanometer"]
    voxarium("convert", str(slices), str(archive), *size)
    voxarium(
        "convert",
        f"{labels}::/volumes/labels/neuron_ids",
        str(archive / "labels" / "neurons"),
        *size,
        "--role",
        "label",
    )
    voxarium("tree", str(archive))
    picture = folder / "preview.png"
    voxarium("preview", str(archive), "--labels", "neurons", "--out", str(picture), "--overwrite")
    say(f"Look at {picture}. To look further:")
    say(f"  {Path(sys.executable).with_name('voxarium')} info {archive}")
    say(f"  {sys.executable} -c \"import voxarium; print(voxarium.open('{archive}')[100, 100:104, 100:108])\"")
    say("  https://neuroglancer-demo.appspot.com opens such archives from a web server or a bucket")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)

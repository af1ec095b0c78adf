"""KNOSSOS datasets: three kinds of configuration files, names of folders and cubes.

Specs: https://knossos.app, https://github.com/knossos-project/knossos_utils (facts only). Read are ``knossos.conf``
(``scale x 10.0;``), PyKnossos files (``[Dataset]``, ``_DataScale = …``) and ``….k.toml`` (``[[Layer]]``). All name
axes x, y, z, sizes in nanometres; here they are z, y, x. Cubes are called
``mag1/x0000/y0001/z0002/name_mag1_x0000_y0001_z0002.raw``, with x running fastest. In the oldest layout the number
behind ``mag`` is the ratio to mag1, the same along every axis; later it counts the sizes listed. Passwords that such
files may hold are left out of everything returned.
"""

from voxarium.spec.knossos.conf import parse_conf
from voxarium.spec.knossos.layer import (
    EXTENSIONS,
    SEGMENTS,
    KnossosLayer,
    KnossosLevel,
    conf_rank,
    cube_index,
    cube_key,
    cube_prefix,
    levels,
    mag_number,
)

__all__ = [
    "EXTENSIONS",
    "SEGMENTS",
    "KnossosLayer",
    "KnossosLevel",
    "conf_rank",
    "cube_index",
    "cube_key",
    "cube_prefix",
    "levels",
    "mag_number",
    "parse_conf",
]

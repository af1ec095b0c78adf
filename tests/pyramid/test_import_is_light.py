"""Importing the package must not load the compiler."""

from __future__ import annotations

import subprocess
import sys


def test_numba_is_loaded_only_when_something_is_reduced():
    code = (
        "import sys, numpy as np, voxarium.pyramid as p\n"
        "p.plan_factors((100, 100), ('space', 'space')); p.halo('gaussian', (2, 2))\n"
        "p.downsample(np.zeros((4, 4)), (2, 2), 'stride')\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

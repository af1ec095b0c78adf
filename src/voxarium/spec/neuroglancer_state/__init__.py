"""Neuroglancer states: the JSON that a Neuroglancer viewer shows and shares, also as a link.

https://neuroglancer-docs.web.app/json/api/ (viewer state)

Positions count ``dimensions`` (a scale and an SI unit each); inside the library they are nanometres and seconds, in C
order. A source's transform maps its corner-based voxel coordinates.
"""

from voxarium.spec.neuroglancer_state.dialect import Neuroglancer, dump_state, parse_state
from voxarium.spec.neuroglancer_state.link import dump_link, parse_link

__all__ = ["Neuroglancer", "dump_link", "dump_state", "parse_link", "parse_state"]

"""MoBIE projects: ``project.json`` and a ``dataset.json`` per dataset, with sources and views.

https://github.com/mobie/mobie.github.io (specification 0.3; ``schema/*.schema.json``). Read as well: what 0.2 said
otherwise (``sourceAnnotationDisplay``, numbers of ``timepoints``, colours as ``r=255,g=…``).

Numbers are in x, y, z order and in the unit of the data, which MoBIE does not name. Transforms of a view are applied to
the coordinates that the data's own metadata give.
"""

from voxarium.spec.mobie.dialect import Mobie, dump_project, parse_project

__all__ = ["Mobie", "dump_project", "parse_project"]

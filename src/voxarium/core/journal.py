"""The name of the folder that marks an unfinished job, known to writers and readers alike."""

from __future__ import annotations

from typing import Final

__all__ = ["JOB_FOLDER", "JOB_KEY"]

JOB_FOLDER: Final = ".voxarium"
JOB_KEY: Final = f"{JOB_FOLDER}/job.json"

"""The end of a conversion: documents, the one file of formats that are one, and who is told what was written."""

from __future__ import annotations

import contextlib
import os

from voxarium.conversion.finished import FinishedObject
from voxarium.conversion.ledger import Ledger
from voxarium.conversion.packaging import archive, discard, package, packaging_driver
from voxarium.conversion.plan import Plan
from voxarium.conversion.target import Target, clear_partial, put_documents
from voxarium.core.digests import Digester
from voxarium.core.registry import writable_image_driver
from voxarium.core.uri import open_target_store
from voxarium.errors import StoreError
from voxarium.model.protocols import ListableStore

__all__ = ["finish"]


def finish(plan: Plan, ledger: Ledger, target: Target) -> tuple[int, int]:
    """Turn finished objects into an image: metadata last, and then the job is forgotten.

    Returns
    -------
    (int, int)
        Number and bytes of documents; of targets that are one file, 1 and its size.
    """
    try:
        ledger.flush()
        documents = put_documents(plan, target)
        sizes = [len(data) for _, data in documents]
        if target.file is not None:
            sizes = [_put_together(plan, target, target.file)]
        if target.take_objects is not None and target.file is not None:
            folder, name = os.path.split(target.file)
            target.take_objects(open_target_store(folder), [FinishedObject(name, sizes[0], None)])
        elif target.take_objects is not None:
            made = {k: FinishedObject(k, len(data), None, **_digests(plan, data)) for k, data in documents if k}
            target.take_objects(target.store, [*(f for f in ledger.done.values() if f.size), *made.values()])
        ledger.clear()
    except BaseException:
        with contextlib.suppress(StoreError):
            clear_partial(target.store)
        raise
    if target.file is not None:
        discard(target.store, target.store.uri.removeprefix("file://"))
    return len(sizes), sum(sizes)


def _digests(plan: Plan, data: bytes) -> dict[str, bytes]:
    digester = Digester(plan.options.digests)
    digester.update(data)
    return digester.digests()


def _put_together(plan: Plan, target: Target, file: str) -> int:
    """Make one file of its parts; return its size."""
    driver = packaging_driver(writable_image_driver(plan.format))
    if not isinstance(target.store, ListableStore):  # pragma: no cover  `open_target` made it
        raise TypeError("the parts of a file are in a folder")
    return archive(target.store, file) if driver is None else package(driver, target.store, "", file)

"""`run` and `convert`: carry out a plan, finish it or leave it resumable."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from voxarium.conversion.collections import convert_parts
from voxarium.conversion.enclosing import plan_inside
from voxarium.conversion.engine import Engine, Progress
from voxarium.conversion.finished import TakeObjects
from voxarium.conversion.finishing import finish
from voxarium.conversion.ledger import Ledger
from voxarium.conversion.losses import refuse_losses
from voxarium.conversion.naming import image_name
from voxarium.conversion.options import DEFAULT_FORMAT, ConvertOptions, as_choices
from voxarium.conversion.packaging import check_file
from voxarium.conversion.plan import Plan
from voxarium.conversion.sources import open_source, open_source_or_collection
from voxarium.conversion.target import (
    Target,
    check_apart,
    check_documents,
    clear_partial,
    open_target,
    refuse_or_clear,
)
from voxarium.core.dataset import Dataset
from voxarium.core.digests import check_algorithms
from voxarium.core.executor import Cancel, Executor, ThreadExecutor
from voxarium.core.image import Image
from voxarium.core.journal import JOB_FOLDER, JOB_KEY
from voxarium.core.registry import writable_array_driver, writable_image_driver
from voxarium.errors import (
    Code,
    ConflictError,
    InputError,
    InterruptedJobError,
    StoreError,
    UnsupportedError,
)
from voxarium.model.protocols import ListableStore, WritableStore
from voxarium.pyramid import prepare

__all__ = ["Report", "as_choices", "convert", "open_source", "open_source_or_collection", "plan_for", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a conversion did.

    Parameters
    ----------
    target : str
        Address of the image.
    voxels : int
        Voxels of level 0.
    source_bytes, written_bytes : int
        Raw bytes of level 0; bytes stored in all levels.
    objects : int
        Objects written, metadata included.
    resumed : int
        Objects that an earlier run had finished.
    seconds : float
        Wall time.
    images : int
        More than one when a whole collection was converted; `voxels` are those of all of them.
    """

    target: str
    voxels: int
    source_bytes: int
    written_bytes: int
    objects: int
    resumed: int
    seconds: float
    levels: int
    notes: tuple[str, ...] = ()
    images: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"notes": list(self.notes)}


def _begin(ledger: Ledger, target: Target, job: dict[str, Any]) -> None:
    try:
        ledger.begin(job)
    except StoreError:
        _withdraw(ledger, target)
        raise


def _stop(engine: Engine, ledger: Ledger, target: Target) -> None:
    """Keep what is finished, forget the rest."""
    engine.abort()
    with contextlib.suppress(StoreError):  # the reason for stopping may be the store, and is told already
        ledger.flush()
        clear_partial(target.store)


def _withdraw(ledger: Ledger, target: Target) -> None:
    """Leave nothing behind of a job that has not finished any object and never will."""
    with contextlib.suppress(StoreError):  # the reason for giving up may be the store
        ledger.clear()
        clear_partial(target.store)


def run(
    plan: Plan,
    source: Image,
    target: Target,
    *,
    executor: Executor | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    cancel: Cancel | None = None,
) -> Report:
    """Carry out a plan.

    Parameters
    ----------
    plan : Plan
        From `plan`.
    source : Image
        The image the plan was made for.
    target : Target
        From `open_target`.
    executor : Executor or None
        Who runs the blocks; None = one thread per processor.
    resume, overwrite : bool
        What to do with what is there already; neither = refuse.
    progress : callable or None
        Called after each block, from the calling thread.
    cancel : Cancel or None
        Set it to stop after the blocks at work.

    Raises
    ------
    ExistsError
        If the target exists.
    InterruptedJobError
        If `cancel` was set; the target can be resumed.
    """
    started = time.perf_counter()
    cancel = Cancel() if cancel is None else cancel
    check_algorithms(plan.options.digests)
    convention = writable_image_driver(plan.format)
    driver = writable_array_driver(convention.array_driver(plan.spec_version))
    ledger = Ledger(target.store)
    refuse_losses(plan.losses, plan.options.accept, plan.format)
    if target.file is not None:
        check_file(target.file, overwrite=overwrite or resume)
    check_documents(plan, target)
    if resume:
        clear_partial(target.store)
        resumed = ledger.resume(plan.fingerprint)
    else:
        refuse_or_clear(target, overwrite=overwrite)
        resumed = 0
        _begin(ledger, target, {"tool": "voxarium", "fingerprint": plan.fingerprint, "plan": plan.to_json(0)})
    engine = Engine(plan, source.arrays[0], (driver, target.store), ledger)
    # Compiling holds a lock and takes seconds the first time on a machine: better before threads wait for it.
    for factors in {level.factors for level in plan.levels[1:]}:
        prepare(plan.selection.dtype, factors, plan.method)
    _work(plan, engine, (ledger, target), executor or ThreadExecutor(), progress=progress, cancel=cancel)
    objects, written = finish(_with_largest(plan, ledger.largest), ledger, target)
    return Report(
        target=target.store.uri if target.file is None else f"file://{target.file}",
        voxels=plan.selection.crop.size,
        source_bytes=plan.source_bytes,
        written_bytes=engine.written + written if target.file is None else written,
        objects=engine.objects + objects if target.file is None else objects,
        resumed=resumed,
        seconds=time.perf_counter() - started,
        levels=len(plan.levels),
        notes=plan.notes,
    )


def _with_largest(plan: Plan, found: int | None) -> Plan:
    """Return the plan with the largest label of the image: that found, or a larger one that the source states."""
    if found is None or not plan.finds_largest:
        return plan
    largest = max(found, plan.image.largest_label or 0)
    return replace(plan, image=replace(plan.image, largest_label=largest))


def _work(
    plan: Plan,
    engine: Engine,
    kept: tuple[Ledger, Target],
    workers: Executor,
    *,
    progress: Callable[[Progress], None] | None,
    cancel: Cancel,
) -> None:
    """Carry out every task, or keep what is finished and raise."""
    ledger, target = kept
    total, seen = plan.task_voxels, 0
    try:
        for stage in plan.stages():
            # Closed at once, so that no task is at work when an error of `progress` is dealt with below.
            with contextlib.closing(workers.map_unordered(engine.run_task, stage, cancel)) as finished:
                for task in finished:
                    seen += task.box.size
                    if progress is not None:
                        progress(Progress(voxels=seen, total=total, objects=engine.objects, written=engine.written))
    except KeyboardInterrupt:
        cancel.set()
    except BaseException as error:
        _stop(engine, ledger, target)
        if isinstance(error, (InputError, UnsupportedError)) and not ledger.done:
            _withdraw(ledger, target)  # refused, if only when the first voxels were seen
        raise
    if cancel and seen < total:
        _stop(engine, ledger, target)
        raise InterruptedJobError(
            f"stopped after {seen / max(total, 1):.0%}; what is finished is kept in {target.store.uri}",
            code=Code.JOB_INTERRUPTED,
            fix="run the same command with --resume to go on",
        )


def _stop_on_signal(cancel: Cancel) -> Callable[[], None]:
    """Let Ctrl-C and SIGTERM stop the job at the next good moment; return how to undo that."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before: dict[int, Any] = {}  # Any: what signal.getsignal returns

    def stop(number: int, _frame: object) -> None:
        cancel.set()
        signal.signal(number, before[number])  # a second one ends the program at once

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.getsignal(number)
        signal.signal(number, stop)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def convert(
    source: str | os.PathLike[str] | Image | Dataset,
    target: str | os.PathLike[str],
    *,
    threads: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    source_options: dict[str, Any] | None = None,
    take_objects: TakeObjects | None = None,
    **choices: Any,
) -> Report:
    """Convert an image, or every image of a collection, into a sharded, multiscale archive.

    A plate becomes a plate, the series of a file a container of series, a folder a folder; labels come along.

    Parameters
    ----------
    source : str, path, Image or Dataset
        What to convert; see `voxarium.open` for addresses. One image of a collection has an address of its own.
    target : str or path
        Where to write the image: a folder or an object-store prefix.
    threads : int or None
        Threads; None = one per processor.
    resume, overwrite : bool
        Go on with an interrupted conversion; replace what is there.
    progress : callable or None
        Called with a `Progress` after each block.
    source_options : dict or None
        Options of the source's driver, such as ``shape`` and ``dtype`` for raw binary.
    take_objects : callable or None
        Called when an image is complete, with its store and the objects written, with the digests that the option
        ``digests`` asks for; see `voxarium.archive.manifests.ManifestWriter`.
    **choices
        The fields of `ConvertOptions`. ``chunk``, ``shard`` and ``factors`` also take one number; ``axes`` and
        ``order`` take a string such as ``"zyx"``.

    Raises
    ------
    InputError, NotFoundError, FormatError, ExistsError, StoreError
        Nothing is left behind unless work had begun; then the target can be resumed.

    Examples
    --------
    >>> import voxarium
    >>> voxarium.convert("slices/", "em.ome.zarr", axes="zyx", voxel_size=8, unit="nanometer")  # doctest: +SKIP
    """
    image = open_source_or_collection(source, choices.get("format") or DEFAULT_FORMAT, **(source_options or {}))
    cancel = Cancel()
    restore = _stop_on_signal(cancel)
    each = partial(_convert_image, means=_Means(ThreadExecutor(threads), cancel, take_objects))
    try:
        if isinstance(image, Image):
            return each(
                image, os.fspath(target), choices=choices, resume=resume, overwrite=overwrite, progress=progress
            )
        sums = convert_parts(
            image,
            os.fspath(target),
            choices,
            each,
            cancel=cancel,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
        return Report(levels=0, notes=image.info.notes, **sums)
    finally:
        restore()


@dataclass(frozen=True, slots=True)
class _Means:
    """What every image of a job is converted with."""

    executor: Executor
    cancel: Cancel
    take_objects: TakeObjects | None


def _convert_image(
    image: Image,
    target: str,
    *,
    choices: dict[str, Any],
    means: _Means,
    resume: bool,
    overwrite: bool,
    progress: Callable[[Progress], None] | None,
) -> Report:
    place = replace(open_target(target, choices.get("format") or DEFAULT_FORMAT), take_objects=means.take_objects)
    check_apart(image, place)
    laid_out = plan_for(image, target, choices, place)
    if resume and place.file is None and _has_all_parts(place.store):
        _already_complete(place)
    return run(
        laid_out,
        image,
        place,
        executor=means.executor,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        cancel=means.cancel,
    )


def plan_for(
    image: Image, target: str | os.PathLike[str], choices: dict[str, Any], place: Target | None = None
) -> Plan:
    """Return the plan that `convert` would carry out for the same arguments. Nothing is read but metadata."""
    name = image_name(os.fspath(target))
    options = ConvertOptions(**as_choices(choices))
    return plan_inside(image, options, place or open_target(target, options.format), target_name=name)


def _has_all_parts(store: WritableStore) -> bool:
    """Tell whether a job has ended and left what it made."""
    unfinished = store.stat(JOB_KEY) is not None or store.stat(f"{JOB_FOLDER}/ledger.jsonl") is not None
    return not unfinished and isinstance(store, ListableStore) and any(store.list_dir(""))


def _already_complete(place: Target) -> None:
    """Explain that there is nothing to resume."""
    raise ConflictError(
        f"the image at {place.store.uri} is complete",
        code=Code.NOTHING_TO_RESUME,
        fix="use it as it is, or make it anew with --overwrite",
    )

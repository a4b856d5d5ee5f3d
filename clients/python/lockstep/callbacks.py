"""Callbacks of a session's owner: which can be called, and what becomes of what they raise or return."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from lockstep.columns import ReportColumns
from lockstep.errors import LockstepError
from lockstep.values import Report

T = TypeVar("T")

_INSTEAD = (
    "it is called in the event loop between two messages, where nobody awaits it: give a plain function, or iterate "
    "reports() or batches() in a task of your own"
)


def batch_callback(
    on_report: Callable[[Report], object] | None, on_batch: Callable[[ReportColumns], object] | None
) -> Callable[[ReportColumns], object] | None:
    """What is called for each batch; None: nothing.

    Raises:
        ValueError: both are given. TypeError: see `check_callback`.
    """
    if on_report is not None and on_batch is not None:
        raise ValueError("give on_report or on_batch, not both")
    check_callback("on_report", on_report)
    check_callback("on_batch", on_batch)
    if on_report is None:
        return on_batch

    def each(batch: ReportColumns) -> None:
        for row in batch.rows():
            call_plain(on_report, row)

    return each


def check_callback(name: str, callback: Callable[..., Any] | None) -> None:
    """Raises TypeError for what can't be called, or would make a coroutine or a generator when it is."""
    if callback is None:
        return
    if not callable(callback):
        raise TypeError(f"{name} is {callback!r}; give a function that takes one argument")
    inner: Any = callback
    while isinstance(inner, functools.partial):
        inner = inner.func
    # The method behind a call of it, not whether it can be called.
    method = inspect.getattr_static(type(inner), "__call__", None)
    for each in (inner, method):
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            raise TypeError(f"{name} is a coroutine function, {callback!r}: {_INSTEAD}")
        if inspect.isgeneratorfunction(each):
            raise TypeError(f"{name} is a generator function, {callback!r}: {_INSTEAD}")


def call_plain(callback: Callable[[T], object], reported: T) -> None:
    """Call it. What it raises comes out as a LockstepError, also an exit or a cancellation: these would end the loop's
    thread or task in silence. So does a coroutine or a generator that it returns: none of its text has run.
    """
    try:
        returned = callback(reported)
    except _CallbackFault:
        raise
    except BaseException as error:
        raise _CallbackFault(f"handling of reports raised {error!r}") from error
    if inspect.iscoroutine(returned) or inspect.isasyncgen(returned) or inspect.isgenerator(returned):
        what = "generator" if inspect.isgenerator(returned) else "coroutine"
        if not inspect.isasyncgen(returned):
            returned.close()
        raise _CallbackFault(f"the callback {callback!r} returned a {what}: {_INSTEAD}")


class _CallbackFault(LockstepError):
    """Of one callback, reported once: `on_report` is called from within a callback of the shell."""

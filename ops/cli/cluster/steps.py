"""The steps that every changing command has in common: look, plan, say, ask, call, wait, look again."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich.console import Console

from lockstep.ops.cli.cluster.arguments import EXIT_REFUSED, EXIT_UNKNOWN, check_engine
from lockstep.ops.cli.cluster.tables import headline, reasons_table, topology_table
from lockstep.ops.cli.options import Failure, expected_errors, make_console, write_json
from lockstep.ops.operator.calls import CallRefused, Desk, OutcomeUnknown, change
from lockstep.ops.operator.plans import ChangePlan, NoChange, Refusal
from lockstep.ops.operator.view import ClusterView
from lockstep.runtime.cluster_view import ClusterStatus
from lockstep.runtime.config import load
from lockstep.runtime.output import Output

SETTLE_S: Final = 10.0
"""How long a change may take to show in what the processes say."""

dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
force_option = click.option("--force", is_flag=True, help="Do not ask.")


class Refused(Failure):
    """The plan, the cluster or the operator says no. Exit code 3; nothing was changed."""

    exit_code = EXIT_REFUSED


class Unknown(Failure):
    """No conclusive answer came. Exit code 4."""

    exit_code = EXIT_UNKNOWN


def operator_errors[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """`expected_errors`, and the two that only changes have."""

    @expected_errors
    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except CallRefused as error:
            raise Refused(f"the cluster refuses: {error}. Nothing was changed") from error
        except OutcomeUnknown as error:
            raise Unknown(str(error)) from error

    return wrapped


@dataclass(slots=True)
class Work:
    """One command's view of its cluster."""

    desk: Desk
    console: Console
    json_file: Output | None
    status: ClusterStatus
    view: ClusterView
    result: dict[str, object] = field(default_factory=dict)

    def show(self, title: str) -> None:
        """The topology as last seen."""
        self.console.print(
            topology_table(self.status, self.view, title=f"{title}: {headline(self.view)}", width=self.console.width)
        )

    def look(self) -> ClusterView:
        """Look again."""
        self.status, self.view = self.desk.look()
        return self.view

    def settle(self, until: Callable[[ClusterStatus, ClusterView], bool], what: str) -> None:
        """Wait until the change shows, and show the topology after it.

        Raises:
            Unknown: it does not show in time.
        """
        self.status, self.view, so = self.desk.wait(until, SETTLE_S)
        self.show("after")
        if not so:
            raise Unknown(f"it was accepted, but {what} does not show after {SETTLE_S:g} s; see the remarks above")

    def finish(self, text: str, **result: object) -> int:
        """The last line, and the JSON."""
        self.console.print(text, highlight=False)
        write_json(self.json_file, {**self.result, **result})
        return 0


@contextmanager
def open_work(config_path: Path, json_file: Output | None, member: int = 0) -> Iterator[Work]:
    """Read the configuration and look at the cluster. `member`: an engine that the command line named; 0: none.

    Raises:
        InputFault: the configuration has no such engine.
    """
    topology = load(config_path)
    if member:
        check_engine(topology, member)
    with Desk(topology) as desk:
        status, view = desk.look()
        yield Work(desk, make_console(json_file), json_file, status, view)


def refuse(work: Work, refusal: Refusal, *, title: str = "why, for each engine") -> NoReturn:
    """Say why not, engine by engine, and end with exit code 3."""
    work.show("now")
    if refusal.reasons:
        work.console.print(reasons_table(refusal.reasons, title=title))
    write_json(
        work.json_file,
        {
            "refused": refusal.why,
            "remedy": refusal.remedy,
            "engines": [
                {"engine": f"engine-{r.member}", "eligible": r.eligible, "why": r.text} for r in refusal.reasons
            ],
        },
    )
    raise Refused(f"refused: {refusal.why}. Nothing was changed. What to do: {refusal.remedy}")


def confirm(question: str, *, force: bool) -> None:
    """Ask, unless `force` is set.

    Raises:
        Refused: the answer is no, or nobody is there to answer.
    """
    if force:
        return
    try:
        yes = click.confirm(question, default=False, err=True)
    except click.Abort:
        raise Refused("nobody answered the question; repeat with --force to go ahead. Nothing was changed") from None
    if not yes:
        raise Refused("you said no. Nothing was changed")


def carry_out(
    work: Work,
    plan: ChangePlan | NoChange | Refusal,
    *,
    method: str,
    request: Any,
    done: str,
    until: Callable[[ClusterStatus, ClusterView], bool],
    dry_run: bool = False,
    ask_first: bool = False,
    force: bool = False,
) -> int:
    """A change that is one call. Returns the exit code."""
    if isinstance(plan, Refusal):
        refuse(work, plan)
    if isinstance(plan, NoChange):
        work.show("now")
        return work.finish(f"{plan.why}: nothing to do", changed=False)
    work.show("before")
    work.console.print(plan.consequence, highlight=False)
    if dry_run:
        return work.finish("dry run: nothing was changed", changed=False, consequence=plan.consequence)
    if ask_first:
        confirm("go ahead?", force=force)
    reply = change(plan.address, method, request)
    work.settle(until, "the change")
    return work.finish(
        done + (f" from seq {reply.seq} on" if getattr(reply, "seq", 0) else ""), changed=True, epoch=work.view.epoch
    )

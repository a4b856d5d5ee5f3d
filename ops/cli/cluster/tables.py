"""How the cluster, its history and its engines' eligibility look to an operator."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lockstep.ops.cli.tables import plain_table
from lockstep.ops.operator.view import ClusterView, EngineSeen
from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus

if TYPE_CHECKING:
    from lockstep.ops.operator.history import EpochBegun
    from lockstep.ops.operator.plans import Reason

_WITH_ADDRESS: Final = 100
_STYLES: Final = {
    "leader": "bold green",
    "primary": "bold green",
    "serving": "green",
    "standby": "cyan",
    "candidate": "cyan",
    "diverged": "bold red",
    "down": "red",
}


def topology_table(status: ClusterStatus, view: ClusterView, *, title: str, width: int) -> Group:
    """One row for each process, and below what each has to remark. No addresses where `width` is too small."""
    shows_address = width >= _WITH_ADDRESS
    table = plain_table("")
    table.title = None
    for name in ("process", *(("address",) if shows_address else ()), "role"):
        table.add_column(name, no_wrap=True)
    for name in ("epoch", "seq", "lag", "committed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in sync", no_wrap=True)
    table.add_column("pid", justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    engines = {engine.name: engine for engine in view.engines}
    remarks = []
    for member in status.members:
        engine = engines.get(member.name)
        name, address, *cells = _cells(member, engine)
        table.add_row(name, *((address,) if shows_address else ()), *cells)
        remark = _remark(_own_words(member), engine)
        if remark:
            remarks.append(Text.from_markup(f"  {member.name}: {remark}"))
    return Group(Text(title), table, *remarks)


def _cells(member: MemberStatus, engine: EngineSeen | None) -> tuple[str, ...]:
    role = f"[{_STYLES.get(member.role, 'yellow')}]{member.role}[/]"
    reply = member.reply
    if reply is None:
        return (member.name, member.address, role, "", "", "", "", _sync(engine), "", "")
    return (
        member.name,
        member.address,
        role,
        str(reply.epoch),
        str(reply.seq),
        str(engine.lag) if engine is not None else "",
        str(reply.committed_seq),
        _sync(engine),
        str(reply.pid),
        reply.digest.hex()[:8],
    )


def _own_words(member: MemberStatus) -> str:
    if member.reply is None:
        return member.error
    reply = member.reply
    said = (reply.why, reply.journal.damage, reply.no_failover, reply.stamped_time.why)
    return "; ".join(text for text in said if text)


def _sync(engine: EngineSeen | None) -> str:
    if engine is None:
        return ""
    if engine.fenced:
        return "[yellow]fenced[/]"
    return "yes" if engine.in_sync else "[yellow]no[/]"


def _remark(why: str, engine: EngineSeen | None) -> str:
    why = escape(why)
    if engine is not None and not engine.digest_equal:
        return f"[bold red]DIGEST DIFFERS[/] {why}".strip()
    if engine is not None and engine.fenced and engine.up:
        # Its own words would have the operator wait for what does not come by itself.
        return f"fenced: it stays out until `lockstep cluster fence {engine.member} --lift`"
    return why


def headline(view: ClusterView) -> str:
    """The cluster in one line; equal lines mean that nothing but the flow has changed."""
    down = [engine.name for engine in view.engines if not engine.up]
    down += [f"sequencer-{member}" for member, _, up in view.sequencers if not up]
    return (
        f"epoch {view.epoch}, leader {f'sequencer-{view.leader}' if view.leader else 'none'}, "
        f"primary {f'engine-{view.primary}' if view.primary else 'none'}, "
        f"in sync {_numbers(view.in_sync)}, ack policy {view.ack_policy}, "
        f"{_failover_text(view)}"
        + (f", fenced {_numbers(view.fenced)}" if view.fenced else "")
        + (f", down: {', '.join(down)}" if down else "")
        + (f"; {view.why}" if view.why else "")
        + ("; stamped time is not as it should be" if view.time_why else "")
    )


def _failover_text(view: ClusterView) -> str:
    if view.no_failover:
        return f"no automatic failover: {view.no_failover}" + (" (and it is switched off)" if view.paused else "")
    return f"automatic failover {'off' if view.paused else 'on'}"


def status_json(status: ClusterStatus, view: ClusterView) -> dict[str, object]:
    """All of it, for `--json`."""
    leader, primary = status.leader(), status.primary()
    engines = {engine.name: engine for engine in view.engines}
    rows = []
    for member in status.members:
        row = member.to_json()
        engine = engines.get(member.name)
        if engine is not None:
            row |= {"in_sync_member": engine.in_sync, "fenced": engine.fenced, "lag": engine.lag}
            row["digest_equal"] = engine.digest_equal
            row["damage"] = engine.damage
        rows.append(row)
    return {
        "leader": leader.name if leader else None,
        "primary": primary.name if primary else None,
        "in_sync": list(view.in_sync),
        "epoch": view.epoch,
        "seq": view.seq,
        "committed_seq": view.committed_seq,
        "ack_policy": view.ack_policy,
        "paused": view.paused,
        "automatic_failover": not view.paused and not view.no_failover,
        "no_failover_why": view.no_failover,
        "fenced": list(view.fenced),
        "stamped_ns": view.stamped_ns,
        "stamped_time_why": view.time_why,
        "digests_equal": all(engine.digest_equal for engine in view.engines),
        "members": rows,
    }


def reasons_table(reasons: "Iterable[Reason]", *, title: str) -> Table:
    """Each engine, and why it can or can't."""
    table = plain_table(title)
    table.add_column("engine", no_wrap=True)
    table.add_column("eligible", no_wrap=True)
    table.add_column("why", overflow="fold")
    for reason in reasons:
        table.add_row(f"engine-{reason.member}", "[green]yes[/]" if reason.eligible else "no", reason.text)
    return table


def history_table(epochs: "Iterable[EpochBegun]", *, title: str) -> Table:
    """One row for each epoch."""
    table = plain_table(title)
    for name, side in (("epoch", "right"), ("began (UTC)", "left"), ("cause", "left"), ("gap ms", "right")):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
    for name in ("first seq", "sequencer", "primary"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in sync")
    for begun in epochs:
        table.add_row(
            str(begun.epoch),
            time_text(begun.timestamp_ns),
            begun.cause.replace("_", " "),
            "?" if begun.gap_ns is None else f"{begun.gap_ns / 1e6:.1f}" if begun.gap_ns else "",
            str(begun.first_seq),
            str(begun.sequencer),
            str(begun.primary),
            _numbers(begun.in_sync),
        )
    return table


def time_text(timestamp_ns: int) -> str:
    """A stamped time in UTC, to the millisecond."""
    if not timestamp_ns:
        return ""
    moment = datetime.fromtimestamp(timestamp_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{timestamp_ns // 1_000_000 % 1000:03d}"


def _numbers(members: Iterable[int]) -> str:
    return ", ".join(map(str, members)) or "none"

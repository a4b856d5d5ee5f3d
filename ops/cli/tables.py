"""How cluster status looks to people."""

from collections.abc import Mapping

from rich.table import Table

from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus

_STYLES = {"leader": "bold green", "primary": "bold green", "serving": "green", "standby": "cyan", "candidate": "cyan"}


def plain_table(title: str, *, header: bool = True) -> Table:
    """A table without lines: narrow, and whole where it is pasted into a ticket."""
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0),
        show_header=header,
    )  # fmt: skip


def status_table(status: ClusterStatus, *, title: str, metrics: Mapping[str, str] | None = None) -> Table:
    """One row for each process. `metrics`: where its metrics are served, by name; None: no such column."""
    table = plain_table(title)
    for name in ("process", "address", "role"):
        table.add_column(name, no_wrap=True)
    for name in ("epoch", "seq", "committed", "pid"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    if metrics is not None:
        table.add_column("metrics", no_wrap=True)
    table.add_column("remark", overflow="fold")
    for member in status.members:
        *cells, remark = _cells(member)
        table.add_row(*cells, *([] if metrics is None else [metrics.get(member.name, "")]), remark)
    return table


def _cells(member: MemberStatus) -> tuple[str, ...]:
    reply = member.reply
    if reply is None:
        return (member.name, member.address, "[red]down[/]", "", "", "", "", "", member.error)
    style = _STYLES.get(member.role, "yellow")
    return (
        member.name,
        member.address,
        f"[{style}]{member.role}[/]",
        str(reply.epoch),
        str(reply.seq),
        str(reply.committed_seq),
        str(reply.pid),
        reply.digest.hex()[:8],
        "; ".join(text for text in (reply.why, reply.no_failover, reply.stamped_time.why) if text),
    )


def summary_line(status: ClusterStatus) -> str:
    """Roles of the moment in one line; equal lines mean that nothing has changed."""
    leader, primary = status.leader(), status.primary()
    epoch = leader.reply.epoch if leader is not None and leader.reply is not None else 0
    down = [member.name for member in status.members if member.reply is None]
    return (
        f"epoch {epoch}, leader {leader.name if leader else 'none'}, primary {primary.name if primary else 'none'}, "
        f"in sync {', '.join(map(str, status.in_sync())) or 'none'}, serving gateways {status.serving_gateways()}"
        + (f", down: {', '.join(down)}" if down else "")
        + _no_failover(leader)
    )


def _no_failover(leader: MemberStatus | None) -> str:
    why = leader.reply.no_failover if leader is not None and leader.reply is not None else ""
    return f", no automatic failover: {why}" if why else ""

"""What is wrong with a cluster's surroundings, and what to do about it. Pure: facts in, findings out.

The facts are gathered in `survey.py`. Thresholds stand here, beside the reason for each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lockstep.ops.operator.view import ClusterView
from lockstep.runtime.etcd import MemberStatus, MemberUnreachable

LOW_DISK_BYTES: Final = 1 << 30
"""A journal that can't be written ends its engine."""
LOW_DISK_PERCENT: Final = 10
SLOW_SYNC_US: Final = 5_000
"""Every order waits for one sync of each in-sync engine; above this the latency budget is spent on the disk alone."""
DRIVER_ROOM_BYTES: Final = 192 << 20
"""What a media driver demands when it starts."""
CLOCK_APART_NS: Final = 500_000_000
"""Expiry and scheduled phases happen by stamped time. What is ahead of the true time stays so until that comes."""
STAMP_AGE_NS: Final = 5_000_000_000
"""A leader stamps the time at least once in a second: the newest stamp of a cluster that works is younger."""
UDP_BUFFER_BYTES: Final = 2 << 20
_BAD_ETCD: Final = ((3, 5, 0), (3, 5, 5))
_LEAST_ETCD: Final[dict[tuple[int, ...], tuple[int, ...]]] = {(3, 4): (3, 4, 22), (3, 5): (3, 5, 6)}


class Grade(Enum):
    """How bad."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    area: str
    subject: str
    grade: Grade
    text: str
    remedy: str = ""
    """What to do; empty if all is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFacts:
    """A data directory on this host."""

    owner: str
    path: str
    exists: bool
    free_bytes: int = 0
    total_bytes: int = 0
    sync_us: int = 0
    """Median time of a 4 KiB write with fsync; 0: not measured."""
    fault: str = ""
    """Why it can't be written."""


RECONCILE_LAG_NS: Final = 120_000_000_000
"""As in the alert LockstepReconcileBehind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilerFacts:
    """What a reconciler that works in a directory of this host wrote down last."""

    path: str
    now_ns: int
    last_pass_ns: int
    through_ns: int
    """What was committed up to then is checked; 0: nothing yet."""
    behind: int
    """Commands that were committed and not checked."""
    halted: str
    fault: str = ""
    """Why its notes can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFacts:
    """One address that a process of the cluster should serve."""

    owner: str
    address: str
    purpose: str
    connects: bool
    answers: bool
    """A Lockstep process answered behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFacts:
    """The media driver of this host."""

    directory: str
    pid: int
    """0: none runs."""
    free_bytes: int
    needed: bool
    """A member of the cluster runs on this host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """This host's clock against stamped time, and against the clocks of the processes' hosts."""

    synchronized: bool | None
    """By the kernel; None: it does not say."""
    newest_stamp_ns: int
    """Of any engine's journal; 0: unknown."""
    now_ns: int
    """This host's clock when that was looked at."""
    stamps: bool = True
    """A leader stamps the time once in a second: one leads, nothing stalls it, and ticks are not switched off."""
    next_stamp_ns: int = 0
    """What the leader would stamp; 0: none leads, or it does not say."""
    asked_ns: int = 0
    answered_ns: int = 0
    """Between these moments of this host's clock the processes reported their times."""
    clocks: tuple[tuple[str, int], ...] = ()
    """(process, its host's clock)."""
    leader_says: str = ""
    """In the leader's words, what is wrong with the time."""


def judge_etcd(members: Iterable[MemberStatus | MemberUnreachable], fault: str) -> tuple[Finding, ...]:
    """Members, quorum, versions, and whether the config can be read."""
    rows = tuple(members)
    found = []
    for row in rows:
        if isinstance(row, MemberUnreachable):
            found.append(
                Finding(
                    "etcd", row.endpoint, Grade.FAULT, f"does not answer: {row.reason}",
                    "start it; while a majority is missing the cluster trades on, but can't replace what it loses",
                )
            )  # fmt: skip
        else:
            found.append(_etcd_version(row))
    up = [row for row in rows if isinstance(row, MemberStatus)]
    if up and not any(row.leader_id for row in up):
        found.append(
            Finding("etcd", "quorum", Grade.FAULT, "no member knows a leader", "start the missing members of etcd")
        )
    if len({row.cluster_id for row in up}) > 1:
        found.append(
            Finding(
                "etcd", "identity", Grade.FAULT, "the endpoints belong to different etcd clusters",
                "correct etcd_endpoints in the configuration",
            )
        )  # fmt: skip
    if len(rows) in (1, 2):
        found.append(
            Finding(
                "etcd", "members", Grade.WARNING, f"{len(rows)} configured: the loss of one stops it",
                "use three or five in production",
            )
        )  # fmt: skip
    if fault:
        found.append(
            Finding("etcd", "config record", Grade.FAULT, fault, "see the etcd findings; then start a sequencer")
        )
    return tuple(found)


def _etcd_version(row: MemberStatus) -> Finding:
    version = tuple(int(part) for part in row.version.split("-")[0].split(".") if part.isdecimal())
    text = f"version {row.version}{', leads' if row.is_leader else ''}"
    if _BAD_ETCD[0] <= version <= _BAD_ETCD[1]:
        return Finding(
            "etcd", row.endpoint, Grade.WARNING, f"{text}: it can lose acknowledged writes when it crashes",
            "fine for a local cluster, which never resumes its etcd; otherwise update to 3.5.6 or later",
        )  # fmt: skip
    least = _LEAST_ETCD.get(version[:2], (3, 4, 0))
    if version < least:
        wanted = ".".join(map(str, least))
        return Finding("etcd", row.endpoint, Grade.WARNING, f"{text}: old", f"update to {wanted} or later")
    return Finding("etcd", row.endpoint, Grade.OK, text)


def judge_identity(stored: str, reported: Iterable[tuple[str, str]]) -> tuple[Finding, ...]:
    """Whether all processes are of etcd's cluster. `reported`: (process, cluster uuid) of each that knows."""
    found = []
    for name, uuid in reported:
        if stored and uuid and uuid != stored:
            found.append(
                Finding(
                    "cluster", name, Grade.FAULT, f"belongs to cluster {uuid}, etcd holds {stored}",
                    "it has a data directory of another cluster, or etcd was wiped: put the right one back",
                )
            )  # fmt: skip
    return tuple(found)


def judge_driver(facts: DriverFacts) -> tuple[Finding, ...]:
    """The media driver and its room."""
    if not facts.needed:
        return ()
    start = "start it before the other processes: `lockstep driver --config FILE`"
    if not facts.pid:
        return (Finding("driver", facts.directory, Grade.FAULT, "no media driver runs on this host", start),)
    found = [Finding("driver", facts.directory, Grade.OK, f"runs as process {facts.pid}")]
    if facts.free_bytes < DRIVER_ROOM_BYTES:
        found.append(
            Finding(
                "driver", "memory", Grade.WARNING, f"{facts.free_bytes >> 20} MiB free where its buffers lie",
                f"it needs {DRIVER_ROOM_BYTES >> 20} MiB at a start: enlarge the file system (docker: --shm-size)",
            )
        )  # fmt: skip
    return tuple(found)


def judge_disk(facts: DiskFacts) -> Finding:
    """One data directory."""
    subject = f"{facts.owner} {facts.path}"
    if not facts.exists:
        return Finding(
            "disk", subject, Grade.WARNING, "there is no such directory",
            "it is made when the process starts; if it was there before, its disk is not mounted",
        )  # fmt: skip
    if facts.fault:
        return Finding("disk", subject, Grade.FAULT, facts.fault, "mend its permissions or its file system")
    free = f"{facts.free_bytes >> 30} GiB of {facts.total_bytes >> 30} GiB free"
    text = f"{free}, a synced write takes {facts.sync_us / 1000:.1f} ms" if facts.sync_us else free
    if facts.free_bytes < LOW_DISK_BYTES:
        return Finding("disk", subject, Grade.FAULT, text, "make room: an engine whose journal can't be written ends")
    if facts.free_bytes * 100 < facts.total_bytes * LOW_DISK_PERCENT:
        return Finding("disk", subject, Grade.WARNING, text, "make room, or move the directory to a larger disk")
    if facts.sync_us > SLOW_SYNC_US:
        return Finding(
            "disk", subject, Grade.WARNING, text,
            "use a disk with power-loss protection, or `lockstep cluster ack-policy replicated`",
        )  # fmt: skip
    return Finding("disk", subject, Grade.OK, text)


def judge_reconciler(facts: ReconcilerFacts) -> Finding:
    """How far it is behind."""
    if facts.fault:
        return Finding("reconciler", facts.path, Grade.WARNING, facts.fault, "mend its permissions or its file system")
    if facts.halted:
        return Finding(
            "reconciler", facts.path, Grade.FAULT, f"halted: {facts.halted}", "see `lockstep reconcile status`"
        )
    lag_ns = facts.now_ns - facts.through_ns if facts.through_ns else 0
    text = f"{facts.behind} commands and {lag_ns / 1e9:.0f} s behind what is committed"
    if facts.now_ns - facts.last_pass_ns > RECONCILE_LAG_NS:
        ago = f"its last look was {(facts.now_ns - facts.last_pass_ns) / 1e9:.0f} s ago"
        return Finding("reconciler", facts.path, Grade.WARNING, f"{text}; {ago}", "start it; see its log")
    if lag_ns > RECONCILE_LAG_NS:
        remedy = "give it a core, or a host of its own; it catches up when trading is calmer"
        return Finding("reconciler", facts.path, Grade.WARNING, text, remedy)
    return Finding("reconciler", facts.path, Grade.OK, text)


def judge_port(facts: PortFacts) -> Finding:
    """One address."""
    subject = f"{facts.owner} {facts.address}"
    if facts.answers:
        return Finding("ports", subject, Grade.OK, f"{facts.purpose} answers")
    if facts.connects:
        return Finding(
            "ports", subject, Grade.FAULT, f"another program, or a hung process, has the {facts.purpose} port",
            "find it with `ss -ltnp`; stop it, or give the process another port in the configuration",
        )  # fmt: skip
    return Finding(
        "ports", subject, Grade.FAULT, f"nobody listens ({facts.purpose})",
        "start the process; if it runs, a firewall is in the way or the address is wrong",
    )  # fmt: skip


def judge_clock(facts: ClockFacts) -> tuple[Finding, ...]:
    """This host's clock, those of the processes' hosts, and stamped time."""
    found = []
    if facts.synchronized is False:
        found.append(
            Finding(
                "clocks", "this host", Grade.WARNING, "the kernel says that the clock is not synchronized",
                "run chrony or another time service; stamped time is what most hosts' clocks say",
            )
        )  # fmt: skip
    elif facts.synchronized:
        found.append(Finding("clocks", "this host", Grade.OK, "synchronized, says the kernel"))
    for name, clock_ns in facts.clocks:
        apart_ns = _apart(clock_ns, facts.asked_ns, facts.answered_ns)
        if abs(apart_ns) > CLOCK_APART_NS:
            found.append(
                Finding(
                    "clocks", name, Grade.WARNING, f"its host's clock is {_beside(apart_ns)} this host's",
                    "find out which of the two is wrong and set it by a time service; see LockstepClockWrong",
                )
            )  # fmt: skip
    stamped = _judge_stamped(facts)
    return (*found, stamped) if stamped is not None else tuple(found)


def _judge_stamped(facts: ClockFacts) -> Finding | None:
    if facts.next_stamp_ns:
        apart_ns = _apart(facts.next_stamp_ns, facts.asked_ns, facts.answered_ns)
    elif facts.newest_stamp_ns:
        apart_ns = facts.newest_stamp_ns - facts.now_ns
        if apart_ns < 0 and (not facts.stamps or -apart_ns <= STAMP_AGE_NS):
            # Nobody stamps now, or just did: that it lies behind means nothing.
            return Finding("clocks", "stamped time", Grade.OK, f"the last stamp is {-apart_ns / 1e9:.1f} s old")
    else:
        return None
    if abs(apart_ns) <= CLOCK_APART_NS:
        if not facts.leader_says:
            return Finding("clocks", "stamped time", Grade.OK, "is this host's time")
        return Finding(
            "clocks", "stamped time", Grade.WARNING, facts.leader_says, "set that clock right; see LockstepClockWrong"
        )
    text = f"is {_beside(apart_ns)} this host's clock" + (f": {facts.leader_says}" if facts.leader_says else "")
    remedy = (
        "set the clocks by a time service; stamped time never goes back: orders with an expiry and phases that lie "
        "between have come already, and it stands until the clocks reach it; see LockstepStampedTimeWrong"
        if apart_ns > 0
        else "set the clocks of the sequencers' and engines' hosts by a time service: stamped time follows at once, "
        "and what expires by it is late until then; see LockstepStampedTimeWrong"
    )
    return Finding("clocks", "stamped time", Grade.FAULT, text, remedy)


def _apart(said_ns: int, asked_ns: int, answered_ns: int) -> int:
    """How far a time that was reported between two moments is ahead of the later, or (negative) behind the earlier."""
    return max(0, said_ns - answered_ns) or min(0, said_ns - asked_ns)


def _beside(apart_ns: int) -> str:
    return f"{abs(apart_ns) / 1e9:.1f} s {'ahead of' if apart_ns > 0 else 'behind'}"


def judge_versions(versions: Iterable[tuple[str, str, str]]) -> tuple[Finding, ...]:
    """(name, found, what is wanted); found empty: missing, wanted empty: any."""
    found = []
    for name, have, wanted in versions:
        if not have:
            remedy = "pip install lockstep-cluster"
            found.append(Finding("versions", name, Grade.FAULT, "is not installed", remedy))
        elif wanted:
            found.append(Finding("versions", name, Grade.WARNING, f"{have}, tested with {wanted}", f"install {wanted}"))
        else:
            found.append(Finding("versions", name, Grade.OK, have))
    return tuple(found)


def judge_network(several_hosts: bool, rmem_max: int, wmem_max: int) -> tuple[Finding, ...]:
    """Socket buffers, where links cross hosts."""
    if not several_hosts:
        return ()
    least = min(rmem_max, wmem_max)
    text = f"net.core.rmem_max {rmem_max}, net.core.wmem_max {wmem_max}"
    if least < UDP_BUFFER_BYTES:
        remedy = f"sysctl -w net.core.rmem_max={UDP_BUFFER_BYTES} net.core.wmem_max={UDP_BUFFER_BYTES}"
        return (Finding("network", "UDP buffers", Grade.WARNING, text, remedy),)
    return (Finding("network", "UDP buffers", Grade.OK, text),)


def judge_stored(view: ClusterView) -> tuple[Finding, ...]:
    """What engines know to be damaged of what they have stored."""
    return tuple(
        Finding(
            "disk", engine.name, Grade.FAULT, engine.damage,
            f"look at its disk (`dmesg`); `lockstep cluster switchover` away from {engine.name}, then it takes "
            "everything from the others; where there is none, restart it: it begins at a snapshot behind the damage",
        )
        for engine in view.engines
        if engine.damage
    )  # fmt: skip


def judge_roles(view: ClusterView) -> tuple[Finding, ...]:
    """What the processes say of the cluster itself."""
    found = []
    if not view.leader:
        found.append(
            Finding("cluster", "leader", Grade.FAULT, f"no sequencer leads: {view.waits}", "decide that")
            if view.waits
            else Finding(
                "cluster", "leader", Grade.FAULT, "no sequencer leads",
                "`lockstep cluster resume`" if view.paused else "start a sequencer; without etcd none takes over",
            )
        )  # fmt: skip
    elif view.why:
        remedy = "see `lockstep cluster status`; of diverged engines keep both data directories and use `journal diff`"
        found.append(Finding("cluster", f"sequencer-{view.leader}", Grade.FAULT, view.why, remedy))
    else:
        found.append(Finding("cluster", "leader", Grade.OK, f"sequencer-{view.leader} leads epoch {view.epoch}"))
    if view.no_failover:
        found.append(
            Finding(
                "cluster", "automatic failover", Grade.FAULT, f"none: {view.no_failover}",
                "bring etcd back with its data (see LockstepEtcdDown); until then a loss stalls the cluster",
            )
        )  # fmt: skip
    if view.paused:
        found.append(
            Finding(
                "cluster", "automatic failover", Grade.WARNING, "is off: a loss stalls the cluster",
                "`lockstep cluster resume` when the maintenance is done",
            )
        )  # fmt: skip
    for engine in view.engines:
        if not engine.digest_equal:
            found.append(
                Finding(
                    "cluster", engine.name, Grade.FAULT, "computed something else than another engine at the same seq",
                    "keep its data directory; stop it and use `lockstep cluster journal verify` and `diff`",
                )
            )  # fmt: skip
        elif engine.fenced:
            remedy = f"`lockstep cluster fence {engine.member} --lift` lets it in again"
            found.append(Finding("cluster", engine.name, Grade.WARNING, "is fenced by an operator", remedy))
        elif engine.up and not engine.in_sync:
            remedy = "wait for it to catch up; its remark in `status` says why if it does not"
            found.append(Finding("cluster", engine.name, Grade.WARNING, f"is not in sync: {engine.why}", remedy))
    if len(view.in_sync) == 1 and len(view.engines) > 1:
        remedy = "bring another engine in: until then the loss of this one stops trading"
        found.append(Finding("cluster", "redundancy", Grade.WARNING, "only one engine is in sync", remedy))
    return tuple(found)

"""Dashboard: is the cluster whole, who does what, how far is everybody."""

from typing import Final

from lockstep.ops.dashboards.model import ROLES, Dashboard, Kind, Panel, Query
from lockstep.ops.dashboards.queries import CLUSTER, RATE, quantiles, rate, value

_YES_NO: Final = {0: "no", 1: "yes"}

CLUSTER_DASHBOARD: Final = Dashboard(
    "lockstep-cluster",
    "Lockstep: cluster",
    "Whether the cluster is whole, who leads, and how far everybody is.",
    (
        Panel(
            "Leaders",
            "Sequencers that lead. One is right; none stops trading; two for a moment is a stale one that finds out.",
            "none",
            (Query(f"sum (lockstep_sequencer_leads{{{CLUSTER}}})", "leaders"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Engines in sync",
            "Engines that a commit needs. One means no redundancy.",
            "none",
            (value("lockstep_sequencer_in_sync_engines", "in sync"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Digests equal",
            "Whether all in-sync engines have computed the same. If not, nothing is released.",
            "none",
            (value("lockstep_digests_equal", "equal"),),
            Kind.NUMBER,
            4,
            _YES_NO,
        ),
        Panel(
            "Epoch",
            "Rises with each takeover, switch of the primary and loss of an engine.",
            "none",
            (Query(f"max (lockstep_epoch{{{CLUSTER}}})", "epoch"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Gateways serving",
            "Gateways that take orders.",
            "none",
            (Query(f"sum (lockstep_gateway_serving{{{CLUSTER}}})", "serving"),),
            Kind.NUMBER,
            4,
        ),
        Panel(
            "Processes down",
            "Scrape targets that do not answer.",
            "none",
            (Query(f"count (up{{{CLUSTER}}}) - sum (up{{{CLUSTER}}})", "down"),),
            Kind.NUMBER,
            4,
        ),
        Panel("Roles", "What each process does.", "none", (value("lockstep_role"),), Kind.STATES, 12, ROLES),
        Panel(
            "In sync, as the leader says",
            "1: a commit needs this engine.",
            "none",
            (value("lockstep_sequencer_engine_in_sync", "{{engine}}"),),
            Kind.STATES,
            12,
            _YES_NO,
        ),
        Panel(
            "Failovers and other new epochs",
            "Epochs begun in the last five minutes, by cause.",
            "none",
            (Query(f"sum by (cause) (increase(lockstep_sequencer_epochs_total{{{CLUSTER}}}[5m]))", "{{cause}}"),),
        ),
        Panel(
            "Gap of new epochs",
            "Silence of releases, as gateways saw it, before the first one of a new epoch. Budget: "
            "100 ms at a crash, 300 ms at a hang.",
            "s",
            (
                value("lockstep_gateway_last_gap_seconds", "{{member}} last"),
                *quantiles("lockstep_gateway_epoch_gap_seconds", after_failover=True, window="5m"),
            ),
        ),
        Panel(
            "Takeovers",
            "From the decision to claim the lead until open for commands.",
            "s",
            quantiles("lockstep_sequencer_takeover_seconds", after_failover=True, window="5m"),
        ),
        Panel(
            "Positions",
            "Last seq stamped, applied, committed and delivered.",
            "none",
            (
                value("lockstep_sequencer_seq", "stamped"),
                value("lockstep_engine_applied_seq", "{{member}} applied"),
                value("lockstep_engine_committed_seq", "{{member}} committed"),
                value("lockstep_gateway_delivered_seq", "{{member}} delivered"),
            ),
        ),
        Panel(
            "Lag of engines",
            "Commands stamped that the engine has not acknowledged.",
            "none",
            (value("lockstep_sequencer_engine_lag", "{{engine}}"),),
        ),
        Panel(
            "Queue and credit of the leader",
            "Commands that wait to be stamped; commands that each gateway may send.",
            "none",
            (value("lockstep_sequencer_queued", "queued"), value("lockstep_sequencer_credit", "credit")),
        ),
        Panel(
            "etcd",
            "1: the sequencer holds its lease. Trading goes on without etcd; reconfiguration does not.",
            "none",
            (
                value("lockstep_etcd_up"),
                Query(f'up{{{CLUSTER}, kind="etcd"}}', "{{member}} answers"),
                value("lockstep_etcd_config_usable", "{{member}} can use the config record"),
            ),
            Kind.STATES,
            8,
            _YES_NO,
        ),
        Panel(
            "Media driver",
            "1: the process is attached and the driver beats.",
            "none",
            (value("lockstep_driver_up"),),
            Kind.STATES,
            8,
            _YES_NO,
        ),
        Panel(
            "etcd: writes",
            "Writes that etcd applied a second, and how often its members changed their leader.",
            "ops",
            (
                rate("etcd_server_proposals_applied_total", by="member"),
                rate("etcd_server_leader_changes_seen_total", by="member", legend="{{member}} leader changes"),
            ),
        ),
        Panel(
            "Frames lost and sent again",
            "What links lost, by who noticed. Losses are mended; many of them cost time.",
            "ops",
            (
                rate("lockstep_sequencer_resent_frames_total", legend="stream, sent again"),
                rate("lockstep_gateway_resent_total", legend="submit, sent again"),
                rate("lockstep_gateway_fetches_total", legend="releases fetched"),
                rate("lockstep_engine_frames_lost_total", by="why", legend="engine: {{why}}"),
                rate("lockstep_sequencer_link_drops_total", legend="sequencer queue full"),
            ),
        ),
        Panel(
            "Age of snapshots",
            "Since the newest verified snapshot of each engine was written.",
            "s",
            (
                Query(f"time() - (lockstep_snapshotter_snapshot_time_seconds{{{CLUSTER}}} > 0)", "{{member}}"),
                value("lockstep_snapshotter_overdue_seconds", "{{member}} overdue for"),
            ),
        ),
        Panel(
            "Commands behind the newest snapshot",
            "What an engine replays when it starts.",
            "none",
            (value("lockstep_snapshotter_behind_commands"),),
        ),
        Panel(
            "Positions of snapshotters",
            "Seq of the newest verified snapshot, and how far the snapshotter's own engine has executed.",
            "none",
            (
                value("lockstep_snapshotter_snapshot_seq", "{{member}} newest"),
                value("lockstep_snapshotter_replayed_seq", "{{member}} executed"),
            ),
        ),
        Panel(
            "Snapshots taken",
            "Snapshots taken and verified in the last hour; failures to read a journal or a snapshot.",
            "none",
            (
                Query(f"increase(lockstep_snapshotter_snapshots_total{{{CLUSTER}}}[1h])", "{{member}}"),
                Query(f"increase(lockstep_snapshotter_faults_total{{{CLUSTER}}}[1h])", "{{member}} failures"),
            ),
        ),
        Panel(
            "What a snapshot takes",
            "Replay, writing and verification of the last one.",
            "s",
            (value("lockstep_snapshotter_last_duration_seconds"),),
        ),
        Panel("Size of snapshots", "The newest one.", "bytes", (value("lockstep_snapshotter_snapshot_bytes"),)),
        Panel(
            "CPU",
            "Cores used by each process.",
            "none",
            (Query(f"rate(process_cpu_seconds_total{{{CLUSTER}}}[{RATE}])", "{{member}}"),),
        ),
        Panel("Memory", "Resident memory of each process.", "bytes", (value("process_resident_memory_bytes"),)),
        Panel(
            "Uptime",
            "Since the process started: a short one has restarted.",
            "s",
            (Query(f"time() - process_start_time_seconds{{{CLUSTER}}}", "{{member}}"),),
        ),
    ),
)

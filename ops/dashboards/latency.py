"""Dashboard: where the time of an order goes, hop by hop."""

from typing import Final

from lockstep.ops.dashboards.model import Dashboard, Kind, Panel, Query
from lockstep.ops.dashboards.queries import CLUSTER, RATE, quantiles, rate, value

_REPORT: Final = "lockstep_gateway_submit_to_report_seconds"


def _within(bound: str) -> Query:
    share = (
        f'sum (rate({_REPORT}_bucket{{{CLUSTER}, le="{bound}"}}[{RATE}])) '
        f"/ sum (rate({_REPORT}_count{{{CLUSTER}}}[{RATE}]))"
    )
    return Query(share, f"within {bound} s")


LATENCY_DASHBOARD: Final = Dashboard(
    "lockstep-latency",
    "Lockstep: latency by hop",
    "Where the time of an order goes. All figures count the oldest command of each burst, so they err upwards.",
    (
        Panel(
            "p99 submit to report",
            "The budget is 10 ms.",
            "s",
            (Query('lockstep:report_latency_seconds:p99{cluster="$cluster"}', "p99"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "p50 submit to report",
            "The budget is 2 ms.",
            "s",
            (Query('lockstep:report_latency_seconds:p50{cluster="$cluster"}', "p50"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "Within budget",
            "Share of commands answered within 10 ms.",
            "percentunit",
            (_within("0.01"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "Waits for release",
            "For how long the oldest applied command has waited for the other engines.",
            "s",
            (Query(f"max (lockstep_engine_release_waiting_seconds{{{CLUSTER}}})", "oldest"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "The whole way: submit to report",
            "From a client's message at the gateway to its reports.",
            "s",
            quantiles(_REPORT),
            width=12,
        ),
        Panel(
            "Shares within bounds",
            "Share of commands answered within each bound.",
            "percentunit",
            (_within("0.002"), _within("0.01"), _within("0.1")),
            width=12,
        ),
        Panel(
            "1 gateway: receive to intake",
            "Until the intake log has the command; frames wait up to 2 ms for company.",
            "s",
            quantiles("lockstep_gateway_receive_to_intake_seconds"),
        ),
        Panel(
            "1 to 2: receive, to the leader",
            "From the gateway's receipt to the leader's, intake log included. By the hosts' clocks.",
            "s",
            quantiles("lockstep_sequencer_receive_to_intake_seconds"),
        ),
        Panel(
            "2 sequencer: intake to stamp",
            "Rises when engines fall behind and the window is full.",
            "s",
            quantiles("lockstep_sequencer_intake_to_stamp_seconds"),
        ),
        Panel(
            "2 to 3: stamp, to the engines",
            "By the hosts' clocks.",
            "s",
            quantiles("lockstep_engine_stamp_to_receive_seconds", by="member"),
        ),
        Panel(
            "3 engines: journal write",
            "One burst's write, sync included: the disk.",
            "s",
            quantiles("lockstep_engine_journal_write_seconds", by="member"),
        ),
        Panel("4 engines: apply", "One burst.", "s", quantiles("lockstep_engine_apply_seconds", by="member")),
        Panel(
            "5 primary: acknowledgement to release",
            "How long the primary waits for the other engines.",
            "s",
            quantiles("lockstep_engine_ack_to_release_seconds"),
        ),
        Panel(
            "2 to 5: stamp to release",
            "By the hosts' clocks: synchronise them, or read it on one host only.",
            "s",
            quantiles("lockstep_engine_stamp_to_release_seconds"),
        ),
        Panel(
            "2 to 6: stamp to release, at the gateway",
            "By the hosts' clocks.",
            "s",
            quantiles("lockstep_gateway_stamp_to_receive_seconds"),
        ),
        Panel(
            "6 gateway: release to the streams",
            "From the events' arrival until they are with the clients' streams.",
            "s",
            quantiles("lockstep_gateway_receive_to_delivery_seconds"),
        ),
        Panel(
            "Stamp to commit, as the leader sees it",
            "The leader is not woken for acknowledgements, so it learns late.",
            "s",
            quantiles("lockstep_sequencer_stamp_to_commit_seconds"),
        ),
        Panel(
            "Batches",
            "Stamped batches a second, and journal writes. Fewer writes than batches is group commit.",
            "ops",
            (
                rate("lockstep_sequencer_batches_total", legend="stamped"),
                rate("lockstep_engine_journal_write_seconds_count", by="member", legend="{{member}} writes"),
            ),
        ),
        Panel(
            "Commands per batch",
            "How many commands share one stamp, one write and one acknowledgement.",
            "none",
            (
                Query(
                    f"sum (rate(lockstep_sequencer_commands_total{{{CLUSTER}}}[{RATE}])) "
                    f"/ sum (rate(lockstep_sequencer_batches_total{{{CLUSTER}}}[{RATE}]))",
                    "commands",
                ),
            ),
        ),
        Panel(
            "Silence of releases",
            "Since each gateway last heard the primary, which speaks every 10 ms.",
            "s",
            (value("lockstep_gateway_release_silence_seconds"),),
        ),
    ),
)

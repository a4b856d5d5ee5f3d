"""Dashboard: whether clients, gateways, journals and replicas agree, as the reconciler finds."""

from typing import Final

from lockstep.ops.dashboards.model import Dashboard, Kind, Panel, Query
from lockstep.ops.dashboards.queries import CLUSTER, RATE, value

RECONCILIATION_DASHBOARD: Final = Dashboard(
    "lockstep-reconciliation",
    "Lockstep: reconciliation",
    "What the reconciler has proved, and what it has found.",
    (
        Panel(
            "Open breaks",
            "Every one of them needs a person.",
            "none",
            (Query(f"sum (lockstep_reconcile_breaks_open{{{CLUSTER}}})", "open"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "Verified",
            "Everything up to this seq was checked.",
            "none",
            (value("lockstep_reconcile_verified_seq", "seq"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "Not yet verified",
            "Committed commands that the reconciler has not checked.",
            "none",
            (Query('lockstep:reconcile_behind_commands{cluster="$cluster"}', "behind"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "Certificates",
            "Certificates issued since the reconciler started.",
            "none",
            (value("lockstep_reconcile_certificates_total", "issued"),),
            Kind.NUMBER,
            6,
        ),
        Panel(
            "Open breaks by rule",
            "The rule says what disagrees.",
            "none",
            (Query(f"sum by (rule) (lockstep_reconcile_breaks_open{{{CLUSTER}}})", "{{rule}}"),),
            width=12,
        ),
        Panel(
            "Behind the cluster",
            "Committed commands that the reconciler has not checked.",
            "none",
            (
                Query('lockstep:reconcile_behind_commands{cluster="$cluster"}', "behind"),
                value("lockstep_reconcile_lag_commands", "behind, as of its last pass"),
            ),
            width=12,
        ),
        Panel(
            "Age of what is checked",
            "How long ago everything that was committed was checked.",
            "s",
            (value("lockstep_reconcile_lag_seconds", "lag"),),
            width=12,
        ),
        Panel(
            "Commands verified",
            "A second.",
            "ops",
            (Query(f"clamp_min(deriv(lockstep_reconcile_verified_seq{{{CLUSTER}}}[{RATE}]), 0)", "verified"),),
            width=12,
        ),
        Panel(
            "Duration of a pass",
            "How long the last pass over new records took.",
            "s",
            (value("lockstep_reconcile_last_pass_seconds", "last pass"),),
            width=12,
        ),
    ),
)

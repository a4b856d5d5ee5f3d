"""What Prometheus has to scrape, from the cluster's configuration, in the format of its `file_sd_configs`."""

import json

from lockstep.runtime.topology import Topology


def scrape_targets(topology: Topology) -> str:
    """JSON: each process with a port for it, those beside the cluster too, and each etcd member by itself.

    The labels `cluster`, `kind` and `member` are those that rules and dashboards select by.
    """
    rows = [
        (f"{member.host}:{member.metrics_port}", member.kind.name.lower(), member.name)
        for member in topology.all_members()
        if member.metrics_port
    ]
    rows += [
        (f"{engine.host}:{engine.snapshotter_metrics_port}", "snapshotter", f"snapshotter-{engine.id}")
        for engine in topology.engines
        if engine.snapshotter_metrics_port
    ]
    reconciler = topology.reconciler
    if reconciler.metrics_port:
        rows.append((f"{reconciler.host}:{reconciler.metrics_port}", "reconciler", "reconciler"))
    if topology.ledger.metrics_port:
        rows.append((f"{topology.ledger.host}:{topology.ledger.metrics_port}", "ledger", "ledger"))
    if topology.alerts.metrics_port:
        rows.append((f"{topology.alerts.host}:{topology.alerts.metrics_port}", "alerts", "alerts"))
    if topology.day.metrics_port:
        rows.append((f"{topology.day.host}:{topology.day.metrics_port}", "day", "day"))
    rows += [(address, "etcd", f"etcd-{number}") for number, address in enumerate(topology.etcd_endpoints, 1)]
    groups = [
        {"targets": [address], "labels": {"cluster": topology.name, "kind": kind, "member": member}}
        for address, kind, member in rows
    ]
    return json.dumps(groups, indent=2) + "\n"

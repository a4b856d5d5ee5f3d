"""How this process speaks to the cluster's etcd: by TLS with its own certificate, where there is one."""

from functools import partial
from typing import Any

from lockstep.runtime.access.dialing import introduce, material_for
from lockstep.runtime.etcd import EtcdOptions, TlsOptions
from lockstep.runtime.topology import Topology


def etcd_options(topology: Topology, **options: Any) -> EtcdOptions:
    """Options of a client of etcd."""
    tls = etcd_tls(topology)
    newer = None if tls is None else partial(etcd_tls, topology)
    return EtcdOptions(endpoints=topology.etcd_endpoints, tls=tls, newer_tls=newer, **options)


def etcd_fault(topology: Topology, error: Exception) -> str:
    """What is the matter with etcd, in a line that names its addresses once."""
    text = str(error) or "no answer in time"
    if any(endpoint in text for endpoint in topology.etcd_endpoints):
        return text
    return f"etcd at {', '.join(topology.etcd_endpoints)}: {text}"


def etcd_tls(topology: Topology) -> TlsOptions | None:
    """What etcd is shown; None: it is spoken to in plaintext."""
    if not topology.tls.on or not topology.tls.etcd:
        return None
    material = material_for(topology)
    if material is None:
        introduce(topology)
        material = material_for(topology)
    assert material is not None, "introduced just now"
    material.refresh()
    return TlsOptions(ca=material.ca, cert=material.certificate, key=material.key)

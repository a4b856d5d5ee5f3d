"""The cluster's door to etcd: a small asyncio client, made for failover.

`store` says what is promised, `client` keeps the promises on etcd's gRPC API. Written by ourselves because no published
client has asyncio, TLS, several endpoints, deadlines per call, hedged writes, `hasleader` and token refresh together.
"""

from lockstep.runtime.etcd.client import EtcdStore
from lockstep.runtime.etcd.options import EtcdOptions, TlsOptions
from lockstep.runtime.etcd.store import (
    CasLost,
    CasWon,
    ConfigStore,
    Deleted,
    LeaseHandle,
    MemberStatus,
    MemberUnreachable,
    StoreAmbiguous,
    StoreClosed,
    StoreError,
    StoreLeaseEnded,
    StoreRefused,
    StoreUnavailable,
    Versioned,
    settle_ambiguous,
)

__all__ = [
    "CasLost",
    "CasWon",
    "ConfigStore",
    "Deleted",
    "EtcdOptions",
    "EtcdStore",
    "LeaseHandle",
    "MemberStatus",
    "MemberUnreachable",
    "StoreAmbiguous",
    "StoreClosed",
    "StoreError",
    "StoreLeaseEnded",
    "StoreRefused",
    "StoreUnavailable",
    "TlsOptions",
    "Versioned",
    "settle_ambiguous",
]

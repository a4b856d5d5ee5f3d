"""A local etcd that speaks TLS: its flags, and the channel by which it is asked whether it is ready."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from lockstep.runtime.tls.authority import CA, ETCD
from lockstep.runtime.tls.material import Material


def with_tls(flags: dict[str, str], cert_dir: Path | None) -> dict[str, str]:
    """The flags of a server whose clients need a certificate of the authority; as they are without a directory."""
    if cert_dir is None:
        return flags
    own = str(cert_dir / f"{ETCD}.pem")
    secured = {
        name: flags[name].replace("http://", "https://") for name in ("listen-client-urls", "advertise-client-urls")
    }
    files = {"cert-file": own, "key-file": own, "trusted-ca-file": str(cert_dir / CA), "client-cert-auth": "true"}
    return {**flags, **secured, **files}


def probe_channel(endpoint: str, cert_dir: Path | None, options: Sequence[tuple[str, int]]) -> Any:
    """A `grpc.Channel` to the server."""
    if cert_dir is None:
        return grpc.insecure_channel(endpoint, options=options)
    return grpc.secure_channel(endpoint, Material(cert_dir, ETCD).channel_credentials(), options=options)

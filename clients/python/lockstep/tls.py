"""Speaking TLS with a cluster."""

import os
from pathlib import Path
from typing import Union

import grpc

PathLike = Union[str, "os.PathLike[str]"]


def tls_credentials(ca_file: PathLike, certificate_file: PathLike | None = None) -> grpc.ChannelCredentials:
    """What a client takes as `credentials` to speak TLS.

    Args:
        ca_file: PEM file of the authority that the cluster's certificates are believed by.
        certificate_file: PEM file with a private key and its certificate, where the cluster asks clients for one.

    Raises:
        OSError: a file can't be read.

    Example:
        >>> client = Client("exchange:7450", token=token, client_number=1, credentials=tls_credentials("ca.pem"))
    """
    ca = Path(ca_file).read_bytes()
    if certificate_file is None:
        return grpc.ssl_channel_credentials(ca)
    own = Path(certificate_file).read_bytes()
    return grpc.ssl_channel_credentials(ca, own, own)

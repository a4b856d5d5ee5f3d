"""What a process makes of its certificate: credentials of servers and channels, which follow the file.

At least TLS 1.2, which is also gRPC's least.
"""

import ssl
from pathlib import Path
from typing import Any, Final

import grpc

from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.tls.authority import CA

_KEY_END: Final = b"-----END PRIVATE KEY-----\n"


class Material:
    """The certificate of one name, and the authority that others are believed by.

    Raises:
        EnvironmentFault: a file is missing or can't be used.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.ca_file = directory / CA
        self.file = directory / f"{name}.pem"
        self._stamp: tuple[int, ...] = ()
        self._contexts: list[ssl.SSLContext] = []
        self.generation = 0
        """Counts the files that were read."""
        self.ca = self.key = self.certificate = b""
        self.refresh()

    def refresh(self) -> bool:
        """Read the files again if they were replaced; whether they were.

        Raises:
            EnvironmentFault: at the first time, they can't be used. Later the ones before stay in force.
        """
        try:
            found = [path.stat() for path in (self.ca_file, self.file)]
            stamp = tuple(number for one in found for number in (one.st_mtime_ns, one.st_ino, one.st_size))
            if stamp == self._stamp:
                return False
            ca, raw = self.ca_file.read_bytes(), self.file.read_bytes()
            self._check()
            for context in self._contexts:
                context.load_cert_chain(self.file)
        except (OSError, ssl.SSLError) as error:
            if self.generation:
                return False
            text = (
                f"the certificate {self.file} (authority {self.ca_file}) can't be used: {error}; `lockstep certs init`"
            )
            raise EnvironmentFault(f"{text} or `lockstep certs issue` makes it") from error
        key, mark, certificate = raw.partition(_KEY_END)
        self.ca, self.key, self.certificate, self._stamp = ca, key + mark, certificate, stamp
        self.generation += 1
        return True

    def _check(self) -> None:
        """Whether key and certificate are a pair."""
        probe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        probe.load_cert_chain(self.file)
        probe.load_verify_locations(self.ca_file)

    # ---- servers -------------------------------------------------------------------------------------------------

    def server_credentials(self, *, mutual: bool) -> Any:
        """Of a gRPC server; `mutual`: callers need a certificate, too. New connections see a replaced file."""
        seen = self.generation

        def newer() -> Any:
            nonlocal seen
            self.refresh()
            if seen == self.generation:
                return None
            seen = self.generation
            return self._configuration()

        return grpc.dynamic_ssl_server_credentials(self._configuration(), newer, mutual)

    def _configuration(self) -> Any:
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.ca)

    def ssl_context(self) -> ssl.SSLContext:
        """Of any other server: clients need no certificate. `refresh` puts a replaced file into it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        context.load_cert_chain(self.file)
        self._contexts.append(context)
        return context

    # ---- clients -------------------------------------------------------------------------------------------------

    def channel_credentials(self) -> Any:
        """Of a channel that is opened now."""
        self.refresh()
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

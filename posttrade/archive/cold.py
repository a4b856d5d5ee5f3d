"""The cold tier: objects in S3 or what speaks like it, each locked until its time is over.

The bucket has versions and object lock (it is made with `--object-lock-enabled-for-bucket`). What is put under a name
again is another version; the archive asks for the version that its signed manifest names. Credentials come from where
boto3 finds them: environment, files, the machine's role.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError

from lockstep.posttrade.archive.faults import ArchiveFault
from lockstep.runtime.faults import EnvironmentFault

MODES: Final = ("COMPLIANCE", "GOVERNANCE")
_SUM: Final = "sha256"
_SECONDS: Final = 20
_GONE: Final = ("404", "NoSuchKey", "NotFound", "NoSuchVersion")


class ColdStore:
    """One bucket, or a prefix in it. `url`: `s3://bucket/prefix`.

    Raises:
        EnvironmentFault: it does not answer, or refuses.
    """

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        scheme, _, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise EnvironmentFault(f"{url!r} is no place of objects: write s3://BUCKET or s3://BUCKET/PREFIX")
        self.url, self.endpoint = url, endpoint
        self._bucket, self._prefix = bucket, prefix.strip("/")
        self.requests = 0
        """Sent so far: they cost money."""
        settings = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"max_attempts": 4})
        with self._faults("open"):
            self._client: Any = boto3.client("s3", endpoint_url=endpoint, config=settings)

    def check(self) -> None:
        """Whether objects can be locked there.

        Raises:
            EnvironmentFault: they can't.
        """
        with self._faults("ask"):
            self.requests += 1
            try:
                found = self._client.get_object_lock_configuration(Bucket=self._bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ObjectLockConfigurationNotFoundError":
                    raise
                found = {}
        if found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise EnvironmentFault(f"the bucket of {self.url} has no object lock: make one that has")

    def put(self, name: str, content: bytes, mode: str, until: datetime) -> str:
        """Put an object, locked; its version. One that is there, the same and locked so long, is taken as it is."""
        sha256 = hashlib.sha256(content).hexdigest()
        there = self._same(name, sha256, until)
        if there is not None:
            return there
        with self._faults(f"put {name} to"):
            self.requests += 1
            done = self._client.put_object(
                Bucket=self._bucket, Key=self._key(name), Body=content, Metadata={_SUM: sha256},
                ChecksumAlgorithm="SHA256", ObjectLockMode=mode, ObjectLockRetainUntilDate=until,
            )  # fmt: skip
        return str(done["VersionId"])

    def _same(self, name: str, sha256: str, until: datetime) -> str | None:
        with self._faults(f"ask for {name} in"):
            self.requests += 1
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
            except ClientError as error:
                if error.response["Error"]["Code"] in _GONE:
                    return None
                raise
        locked = found.get("ObjectLockRetainUntilDate")
        same = found.get("Metadata", {}).get(_SUM) == sha256 and locked is not None and locked >= until
        return str(found["VersionId"]) if same else None

    def get(self, name: str, version_id: str) -> bytes:
        """The bytes of one version."""
        with self._faults(f"get {name} from"):
            self.requests += 1
            found = self._client.get_object(Bucket=self._bucket, Key=self._key(name), VersionId=version_id)
            try:
                return bytes(found["Body"].read())
            except FlexibleChecksumError as error:
                raise ArchiveFault(f"{self.url}/{name} is not what was signed: {error}") from error

    def locked_until(self, name: str, version_id: str) -> datetime | None:
        """Until when nobody can remove this version; None: it is not locked."""
        with self._faults(f"ask for {name} in"):
            self.requests += 1
            found = self._client.head_object(Bucket=self._bucket, Key=self._key(name), VersionId=version_id)
        until: datetime | None = found.get("ObjectLockRetainUntilDate")
        return until

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextmanager
    def _faults(self, action: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            text = "look at credentials, endpoint (--endpoint-url) and the bucket's rules"
            raise EnvironmentFault(f"cannot {action} {self.url}: {error}; {text}") from error

"""What a trail has sealed, read back from its files alone, and checked as it is read."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockstep.posttrade.audit import manifest, merkle
from lockstep.posttrade.audit.manifest import bytes_of, manifest_name, manifest_number


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """One that is as it was sealed."""

    body: dict[str, Any]
    """Of its manifest."""
    hash: str
    """Of its manifest."""
    lines: list[bytes]
    """Its records."""


def sealed_records(directory: Path) -> Iterator[dict[str, Any]]:
    """All records of a trail that are sealed, in order; each segment is checked before one of its records is given.

    Raises:
        ManifestFault: a manifest or a segment is missing, or not what was sealed.
    """
    for segment in sealed_segments(directory):
        yield from map(record_of, segment.lines)


def record_of(line: bytes) -> dict[str, Any]:
    """The record that a line is. Whoever has a key can seal what is none.

    Raises:
        ManifestFault: it is none.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise manifest.ManifestFault(f"a record can't be read: {error}") from error
    if not isinstance(found, dict):
        raise manifest.ManifestFault("a record is no JSON object")
    return found


def sealed_segments(directory: Path, behind: int = 0, behind_hash: str = manifest.NOTHING) -> Iterator[SealedSegment]:
    """The segments behind a manifest, whose hash is known, in order; each is checked before it is given.

    Raises:
        ManifestFault: a manifest or a segment is missing, or not what was sealed.
    """
    numbers = sorted(number for path in directory.glob("manifest-*.json") if (number := manifest_number(path.name)))
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise manifest.ManifestFault(f"{directory} has no manifests, or not all: `lockstep audit verify` says which")
    previous = behind_hash
    if behind and (behind > len(numbers) or _hash_of(directory, behind) != behind_hash):
        text = f"it has no manifest {behind} with the hash {behind_hash}"
        raise manifest.ManifestFault(f"{text}: it is another trail, or its end was cut off")
    for number in numbers[behind:]:
        raw = _bytes_of(directory / manifest_name(number))
        body, _ = manifest.read_sealed(raw)
        content = _bytes_of(directory / str(body["segment"]))
        lines = content.splitlines()
        root = merkle.root_of([merkle.leaf_hash(line) for line in lines]).hex()
        whole = root == body["root"] and hashlib.sha256(content).hexdigest() == body["sha256"]
        if body["previous"] != previous or not whole:
            text = f"{manifest_name(number)} or its segment is not what was sealed"
            raise manifest.ManifestFault(f"{text}: `lockstep audit verify` says what was changed")
        previous = manifest.hash_of(raw)
        yield SealedSegment(body, previous, lines)


def _hash_of(directory: Path, number: int) -> str:
    return manifest.hash_of(_bytes_of(directory / manifest_name(number)))


def _bytes_of(path: Path) -> bytes:
    try:
        return bytes_of(path)
    except OSError as error:
        raise manifest.ManifestFault(f"{path.name} can't be read: {error.strerror}") from error

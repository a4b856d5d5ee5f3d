"""Cluster views to plan on, made in one line."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lockstep.ops.operator.view import ClusterView, EngineSeen

MakeView = Callable[..., ClusterView]


@pytest.fixture
def make_view() -> MakeView:
    """A healthy cluster of `engines` engines, with engine 1 as primary; `changes` by engine id, then of the view."""

    def make(engines: int = 3, changes: dict[int, dict[str, object]] | None = None, **view: object) -> ClusterView:
        seen = tuple(
            EngineSeen(
                member=member,
                address=f"127.0.0.1:{7000 + member}",
                up=True,
                role="primary" if member == 1 else "standby",
                epoch=4,
                seq=1000,
                committed_seq=1000,
                digest=b"d",
                in_sync=True,
            )
            for member in range(1, engines + 1)
        )
        seen = tuple(replace(engine, **(changes or {}).get(engine.member, {})) for engine in seen)
        healthy = ClusterView(
            name="test",
            leader=1,
            leader_address="127.0.0.1:6001",
            sequencers=((1, "127.0.0.1:6001", True), (2, "127.0.0.1:6002", True)),
            epoch=4,
            seq=1000,
            committed_seq=1000,
            primary=1,
            in_sync=tuple(engine.member for engine in seen if engine.in_sync),
            fenced=tuple(engine.member for engine in seen if engine.fenced),
            engines=seen,
            serving_gateways=1,
        )
        return replace(healthy, **view)

    return make

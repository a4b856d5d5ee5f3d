"""`bench reconnect` at a small size: every client comes back, half of them from the gateway that died."""

import pytest

from lockstep.bench.reconnect import ReconnectPlan, run_reconnect_bench


@pytest.mark.slow
def test_every_client_trades_again() -> None:
    result = run_reconnect_bench(ReconnectPlan(clients=20, patience_s=30), lambda _text: None)
    # Ten, where all have stayed at the gateway that they began at.
    assert 0 < result.moved <= 20
    assert result.unanswered == 0
    assert result.epochs == 0
    # Those whose gateway lives keep their stream; the others begin at least one, and not again and again.
    assert result.moved <= result.connections <= 4 * result.moved
    assert result.p50_s <= result.p99_s <= result.last_s < 30

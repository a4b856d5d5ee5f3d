"""`bench reconnect` at a small size: every client comes back, half of them from the gateway that died."""

from lockstep.bench.reconnect import ReconnectPlan, run_reconnect_bench


def test_every_client_trades_again() -> None:
    result = run_reconnect_bench(ReconnectPlan(clients=20, patience_s=30), lambda _text: None)
    assert (result.moved, result.unanswered) == (10, 0)
    assert result.epochs == 0
    # Those whose gateway lives keep their stream; the others begin at least one, and not again and again.
    assert 10 <= result.connections <= 40
    assert result.p50_s <= result.p99_s <= result.last_s < 30

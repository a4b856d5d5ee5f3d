"""The audit trail: what happened, provably, years later."""

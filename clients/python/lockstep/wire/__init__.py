"""The wire as the fast path sees it."""

"""The REST door: HTTP requests to commands and queries, JSON back. See edge/DESIGN.md and docs/rest.md."""

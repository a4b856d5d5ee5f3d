"""What the processes measure of themselves, and how Prometheus gets it (see `ops/DESIGN.md`)."""

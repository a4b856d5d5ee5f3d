"""Faults on real processes: a seeded schedule, a cluster under load, and the checker's verdict (docs/chaos.md)."""

"""The whole cluster in one thread, from one seed: real state machines, simulated world. See docs/simulation.md."""

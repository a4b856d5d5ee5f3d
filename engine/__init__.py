"""The matching engine: one contract (`lockstep.engine.contract`), and the implementations of it."""

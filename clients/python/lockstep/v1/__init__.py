"""Generated from `proto/lockstep/v1` by `make proto`; see there for what the messages mean."""

"""Generated from `proto/lockstep/wire/v1` by `make proto`: the fast twin of the columnar messages."""

"""The ledger: what everybody owns, and how it came to be."""

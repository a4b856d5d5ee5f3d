"""Stories of the protocol: scripts that the simulated cluster plays, and what it writes down while it does."""

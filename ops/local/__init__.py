"""What a cluster on one machine needs besides its own processes."""

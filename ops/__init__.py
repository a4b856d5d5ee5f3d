"""Running a cluster: configuration, the command line, the local cluster, and what every process has in common."""

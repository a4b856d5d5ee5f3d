"""The trading day: which phase an instrument is due in, and the process that brings it there."""

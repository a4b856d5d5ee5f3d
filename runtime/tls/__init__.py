"""Certificates: a small authority for clusters that have none, and what processes make of the files."""

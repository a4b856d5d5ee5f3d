"""Replaying an order-flow file through a running cluster and writing what came back."""

"""The reconciler: proves continuously that clients, gateways, journals, replicas and a downstream copy agree."""

"""The archive of an audit trail: its sealed records in three tiers, to answer questions over years."""

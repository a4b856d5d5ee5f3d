"""What an operator may do to a cluster: the cluster as seen, the decisions (pure), and the calls for them."""

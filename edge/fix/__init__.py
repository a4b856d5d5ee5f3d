"""FIX 4.4 and FIX 5.0 SP2 over FIXT 1.1: the session layer, as pure machines."""

"""From the fill to the transfer: capture, novation, netting, delivery versus payment, fails. ADR 47."""

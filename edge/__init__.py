"""Doors for the world outside: each translates an outside protocol into the gateway's sessions and back."""

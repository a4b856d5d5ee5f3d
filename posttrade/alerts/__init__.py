"""Watchlists and alerts of users: a follower of the committed stream."""

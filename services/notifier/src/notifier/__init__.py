"""Turns events into messages a person can read."""

"""Accepts restore requests, thaws archives and finds files."""

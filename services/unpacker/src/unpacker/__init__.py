"""Reads the wanted members out of thawed archives."""

"""Accepts archive requests and runs the fallback schedule."""

"""The restore intake's use cases."""

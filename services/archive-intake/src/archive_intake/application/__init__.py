"""The use cases: accepting, reporting, scheduling."""

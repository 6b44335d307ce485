from local_glaciate import place  # noqa: F401  fixtures

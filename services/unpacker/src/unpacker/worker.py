"""The Batch worker: drains the unpack queue."""

from unpacker import bootstrap


def main() -> None:
    """Works until the queue stays empty or SIGTERM arrives."""
    bootstrap.worker().run()


if __name__ == "__main__":
    main()

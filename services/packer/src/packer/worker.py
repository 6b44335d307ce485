"""Batch: plan and pack until the queue is empty. `python -m packer.worker`."""

from packer import bootstrap


def main() -> None:
    """Exits when the queue has been empty for a while, or on SIGTERM."""
    bootstrap.worker().run()


if __name__ == "__main__":
    main()

"""Batch: plan and pack until the queue is empty. `python -m packer.worker [--processes 2]`, one process a processor."""

import argparse

from glaciate.processes import in_processes


def main() -> None:
    """Exits when the queue has been empty for a while, or on SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    in_processes(_work, parser.parse_args().processes)


def _work() -> None:
    from packer import bootstrap  # after forking: the first process needs none of it

    bootstrap.worker().run()


if __name__ == "__main__":
    main()

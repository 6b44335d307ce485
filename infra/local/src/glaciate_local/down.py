"""`python -m glaciate_local.down [--keep]`: stop exactly what `up` started in this folder."""

import argparse
import sys

from glaciate_local.cloud import CloudFailed, one_at_a_time, stop
from glaciate_local.settings import LocalSettings, SettingIsWrong


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Stop the local cloud that `make up` started.")
    parser.add_argument("--keep", action="store_true", help="keep the logs of the server and of its jobs")
    keep = parser.parse_args().keep
    try:
        settings = LocalSettings.from_environment()
        with one_at_a_time(settings):
            print(stop(settings, keep=keep))
    except (CloudFailed, SettingIsWrong) as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

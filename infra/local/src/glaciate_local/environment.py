"""`eval "$(python -m glaciate_local.environment)"`: lets curl, the AWS CLI and any SDK speak to the local cloud in this shell."""

import json
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from glaciate_local.settings import LocalSettings, SettingIsWrong


def variables(local: Mapping[str, Any]) -> dict[str, str]:
    """The usual AWS environment for what `local.json` names, and `API_URL`."""
    return {
        "AWS_ACCESS_KEY_ID": local["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": local["secret_access_key"],
        "AWS_REGION": local["region"],
        "AWS_DEFAULT_REGION": local["region"],
        "AWS_ENDPOINT_URL": local["aws_endpoint_url"],
        "API_URL": local["api_url"],
    }


def main() -> int:
    """Prints export commands, or says that the local cloud is not up."""
    try:
        local = json.loads(LocalSettings.from_environment().local_json.read_text(encoding="utf-8"))
    except (OSError, SettingIsWrong) as failed:
        print(f"the local cloud is not up: {failed}", file=sys.stderr)
        return 1
    for name, value in variables(local).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

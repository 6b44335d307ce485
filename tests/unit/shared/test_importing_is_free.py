"""No module reads the environment, makes a client or opens a connection when it is imported."""

import pkgutil
import subprocess
import sys

PACKAGES = ("glaciate", "archive_intake", "packer", "restore_intake", "unpacker", "notifier", "glaciate_cli")

_PROGRAM = """
import importlib, pkgutil, socket, sys
import boto3, botocore.session
def refuse(*arguments, **options):
    raise AssertionError("importing made a client or opened a socket")
boto3.client = boto3.resource = refuse
botocore.session.Session.create_client = refuse
socket.socket.connect = refuse
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def test_every_module_can_be_imported_in_an_empty_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *PACKAGES], env={}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_the_list_of_packages_is_whole() -> None:
    installed = {module.name for module in pkgutil.iter_modules() if (module.module_finder.path or "").endswith("/src")}  # type: ignore[union-attr]

    assert installed - {"glaciate_local"} <= set(PACKAGES)

"""The packer's modules in an empty environment."""

import os
import pkgutil
import subprocess
import sys

import packer


def test_importing_needs_no_environment_and_makes_no_client() -> None:
    names = [name for _, name, _ in pkgutil.walk_packages(packer.__path__, "packer.")]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"

    done = subprocess.run([sys.executable, "-c", code, *names], env={"PATH": os.environ["PATH"]}, check=False)

    assert done.returncode == 0
    assert {"packer.handler", "packer.worker", "packer.application.pack"} <= set(names)


def test_the_launchers_modules_need_neither_codecs_nor_libcurl() -> None:
    code = (
        "import sys\n"
        "for name in ('isal', 'deflate', 'pycurl', 'awscrt'): sys.modules[name] = None\n"
        "import packer.handler\n"
    )

    done = subprocess.run([sys.executable, "-c", code], env={"PATH": os.environ["PATH"]}, check=False)

    assert done.returncode == 0

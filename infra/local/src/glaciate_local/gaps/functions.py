"""Lambda functions that see what they see on AWS: their bundle, and nothing of this repository's environment."""

from ministack.core import lambda_runtime

from glaciate_local.gaps.batch_jobs import command_folder
from glaciate_local.gaps.gap import Gap
from glaciate_local.settings import LocalSettings


def import_from_the_bundle_only(settings: LocalSettings) -> None:
    """Run functions on a Python without installed packages; MiniStack's own are on the path otherwise."""
    detect_alone = lambda_runtime._detect_runtime_binary
    python = str(command_folder(settings) / "python")

    def detect(runtime: str) -> tuple[str, str]:
        binary, script = detect_alone(runtime)
        return (python if runtime.startswith("python") else binary), script

    lambda_runtime._detect_runtime_binary = detect


GAPS = (Gap("functions import their bundle", "has only the bundle and the runtime's own", import_from_the_bundle_only),)

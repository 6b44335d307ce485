"""The packer's use cases."""

from packer.application.close import CloseJob
from packer.application.pack import Pack
from packer.application.plan import Plan
from packer.application.sort_manifest import SortManifest

__all__ = ["CloseJob", "Pack", "Plan", "SortManifest"]

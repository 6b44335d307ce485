"""The packer's use cases."""

from packer.application.close import CloseJob
from packer.application.pack import Pack
from packer.application.plan import Plan

__all__ = ["CloseJob", "Pack", "Plan"]

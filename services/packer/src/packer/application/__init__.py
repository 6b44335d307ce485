"""The packer's use cases."""

from packer.application.close import CloseJob
from packer.application.deleting import AskForDeletion, DeleteHeld, DeleteSources, EndHold
from packer.application.indexing import AskForIndexing, IndexAgain
from packer.application.pack import Pack
from packer.application.plan import Plan
from packer.application.sort_manifest import SortManifest

__all__ = [
    "AskForDeletion",
    "AskForIndexing",
    "CloseJob",
    "DeleteHeld",
    "DeleteSources",
    "EndHold",
    "IndexAgain",
    "Pack",
    "Plan",
    "SortManifest",
]

"""The unpacker's use cases."""

from unpacker.application.rebuild_catalog import RebuildCatalog
from unpacker.application.unpack_archive import UnpackArchive
from unpacker.application.unpack_members import UnpackMembers
from unpacker.application.wants import Outcomes, Want

__all__ = ["Outcomes", "RebuildCatalog", "UnpackArchive", "UnpackMembers", "Want"]

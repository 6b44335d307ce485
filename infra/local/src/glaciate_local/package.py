"""What `sam package` does, for the local cloud: upload what templates refer to on this disk, and refer to that."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

Template = dict[str, Any]
LOCAL_PATHS = {
    "AWS::CloudFormation::Stack": "TemplateURL",
    "AWS::Serverless::Application": "Location",
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Lambda::Function": "Code",
}
TEMPLATES = ("AWS::CloudFormation::Stack", "AWS::Serverless::Application")
EPOCH = (1980, 1, 1, 0, 0, 0)


class NothingToPackage(Exception):
    """A template refers to something that is not on this disk."""


class TemplateLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML with CloudFormation's short forms."""


def _short_form(loader: TemplateLoader, suffix: str, node: yaml.Node) -> Any:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


TemplateLoader.add_multi_constructor("!", _short_form)
TemplateLoader.add_constructor("tag:yaml.org,2002:timestamp", TemplateLoader.construct_yaml_str)


def read_template(path: Path) -> Template:
    """A template with short forms written out."""
    template: Template = yaml.load(path.read_text(encoding="utf-8"), Loader=TemplateLoader)
    return template


def files_of(folder: Path) -> Iterator[Path]:
    """Every file that belongs into a bundle, in a fixed order."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one != "__pycache__")
        for name in sorted(names):
            yield Path(where, name)


def bundle(folder: Path) -> bytes:
    """The folder as a ZIP: the same files give the same bytes. Stored, because it only travels on this machine."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path in files_of(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EPOCH)
            entry.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            archive.writestr(entry, path.read_bytes())
    return content.getvalue()


def stamp_of(folder: Path) -> str | None:
    """The digest of what `make build` made the folder from, or None for a folder it did not make."""
    stamp = folder.parents[1] / ".digests" / f"{folder.parent.name}-{folder.name}"
    return stamp.read_text().strip()[:24] if stamp.is_file() else None


def kept_bundle(folder: Path, stamp: str) -> bytes:
    """The bundle of a built folder, kept beside it so that the next cloud need not make it again."""
    kept = folder.parents[1] / ".bundles" / f"{folder.name}-{stamp}.zip"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        half = kept.with_suffix(f".{os.getpid()}")
        half.write_bytes(bundle(folder))
        for old in kept.parent.glob(f"{folder.name}-{'?' * len(stamp)}.zip"):
            old.unlink(missing_ok=True)
        half.replace(kept)
    return kept.read_bytes()


@dataclass(frozen=True, slots=True)
class Package:
    """Uploads what one template and its nested ones refer to; `put` stores bytes under a key unless it has them."""

    root: Path
    bucket: str
    endpoint: str
    put: Callable[[str, Callable[[], bytes]], None]
    _bundles: dict[Path, str] = field(default_factory=dict)

    def template(self, path: Path) -> str:
        """Package the template; answers the URL of its copy in the bucket."""
        template = read_template(path)
        defaults = template.get("Globals", {}).get("Function", {})
        for name, resource in template.get("Resources", {}).items():
            kind = resource.get("Type", "")
            properties = resource.setdefault("Properties", {})
            at = LOCAL_PATHS.get(kind)
            if at is None:
                continue
            given = properties.get(at, defaults.get(at))
            if not isinstance(given, str) or "://" in given:
                continue
            local = (path.parent / given).resolve()
            if not local.exists():
                raise NothingToPackage(f"{path.name}: {name} refers to {local}, which does not exist; run `make build`")
            if kind in TEMPLATES:
                properties[at] = self.template(local)
            else:
                key = self._code(local)
                properties[at] = (
                    {"S3Bucket": self.bucket, "S3Key": key}
                    if kind == "AWS::Lambda::Function"
                    else f"s3://{self.bucket}/{key}"
                )
        defaults.pop("CodeUri", None)
        body = json.dumps(template, sort_keys=True).encode()
        key = f"templates/{path.stem}-{hashlib.sha256(body).hexdigest()[:24]}.json"
        self.put(key, lambda: body)
        return f"{self.endpoint}/{self.bucket}/{key}"

    def _code(self, named: Path) -> str:
        if named not in self._bundles:
            folder = self._built(named)
            stamp = stamp_of(folder)
            content = b"" if stamp else bundle(folder)
            key = f"code/{folder.name}-{stamp or hashlib.sha256(content).hexdigest()[:24]}.zip"
            self.put(key, lambda: kept_bundle(folder, stamp) if stamp else content)
            self._bundles[named] = key
        return self._bundles[named]

    def _built(self, folder: Path) -> Path:
        """A service's source folder stands for the bundle that `make build` made of it."""
        if folder.parent != self.root / "services":
            return folder
        built = self.root / "build" / "lambda" / folder.name
        if not built.is_dir():
            raise NothingToPackage(f"{built} does not exist; run `make build`")
        return built

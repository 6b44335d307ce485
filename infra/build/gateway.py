"""Writes the end of infra/services/api.yaml from the code: resources, methods, request models, deployments.

`--check` fails where it is stale.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel

from glaciate.openapi import CALLS, Call

TEMPLATE = Path(__file__).resolve().parents[1] / "services" / "api.yaml"
LINE = "  # Generated from the code by `make docs`: resources, methods, request models, deployments.\n"
WAYS_IN = ("ByIam", "ByApiKey", "ByCognito")
API = {"Ref": "Api"}
Resource = dict[str, Any]


def words(text: str) -> str:
    """A path or a name as part of a logical id."""
    return "".join(part[:1].upper() + part[1:] for part in text.replace("/", "_").strip("_").split("_")) or "Root"


def draft_4(schema: Any) -> Any:
    """A pydantic schema in the older words that API Gateway understands; what it does not know is left to the service."""
    if isinstance(schema, list):
        return [draft_4(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    told: dict[str, Any] = {}
    for key, value in schema.items():
        if key in {"properties", "$defs"}:
            told["definitions" if key == "$defs" else key] = {name: draft_4(part) for name, part in value.items()}
        elif key == "$ref":
            told[key] = value.replace("#/$defs/", "#/definitions/")
        elif key == "const":
            told["enum"] = [value]
        elif key not in {"title", "default", "description", "format", "contentMediaType"}:
            told[key] = draft_4(value)
    return told


def request_model(body: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema, draft 4, of a call's body."""
    schema: dict[str, Any] = draft_4(body.model_json_schema(mode="validation"))
    return {"$schema": "http://json-schema.org/draft-04/schema#", **schema}


def path_name(path: str) -> str:
    """The logical id of a path's resource."""
    return f"{words(path.replace('{', '').replace('}', ''))}Path"


def path_resources() -> dict[str, Resource]:
    """One resource for each step of each path."""
    found: dict[str, Resource] = {}
    for call in CALLS:
        steps = call.path.strip("/").split("/")
        for depth, part in enumerate(steps):
            parent = {"Ref": path_name("/".join(steps[:depth]))} if depth else {"Fn::GetAtt": ["Api", "RootResourceId"]}
            found[path_name("/".join(steps[: depth + 1]))] = {
                "Type": "AWS::ApiGateway::Resource",
                "Properties": {"RestApiId": API, "ParentId": parent, "PathPart": part},
            }
    return found


def model_resources() -> dict[str, Resource]:
    """One model for each body."""
    return {
        f"{call.body.__name__}Model": {
            "Type": "AWS::ApiGateway::Model",
            "Properties": {
                "RestApiId": API,
                "Name": call.body.__name__,
                "ContentType": "application/json",
                "Schema": request_model(call.body),
            },
        }
        for call in CALLS
        if call.body
    }


def method(call: Call) -> Resource:
    """One call's method: who may call, what it takes, which function answers."""
    parameters = {f"method.request.path.{part[1:-1]}": True for part in call.path.split("/") if part.startswith("{")}
    parameters |= {f"method.request.querystring.{name}": name == "project_name" for name in call.query}
    if call.method == "post":
        parameters["method.request.header.Idempotency-Key"] = False
    function = (
        "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${Prefix}-" + f"{call.service}-api"
    )
    properties: dict[str, Any] = {
        "RestApiId": API,
        "ResourceId": {"Ref": path_name(call.path)},
        "HttpMethod": call.method.upper(),
        "AuthorizationType": {"Fn::If": ["ByIam", "AWS_IAM", {"Fn::If": ["ByCognito", "COGNITO_USER_POOLS", "NONE"]}]},
        "AuthorizerId": {"Fn::If": ["ByCognito", {"Ref": "UserPoolAuthorizer"}, {"Ref": "AWS::NoValue"}]},
        "ApiKeyRequired": {"Fn::If": ["ByApiKey", True, False]},
        "RequestValidatorId": {"Ref": "Validator"},
        "RequestParameters": parameters,
        "Integration": {
            "Type": "AWS_PROXY",
            "IntegrationHttpMethod": "POST",
            "Uri": {
                "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"
                + function
                + "/invocations"
            },
        },
    }
    if call.body:
        properties["RequestModels"] = {"application/json": {"Ref": f"{call.body.__name__}Model"}}
    return {"Type": "AWS::ApiGateway::Method", "Properties": properties}


def resources() -> dict[str, Resource]:
    """Everything generated but the deployments."""
    methods = {
        words(f"{call.method}_{call.path}".translate(str.maketrans("", "", "{}"))): method(call) for call in CALLS
    }
    return path_resources() | model_resources() | methods


def deployments(written_by_hand: str, found: dict[str, Resource]) -> dict[str, Resource]:
    """A deployment is a copy of the API at one moment: whatever changes gives it a new name, and the stage moves on to it."""
    revision = hashlib.sha256((written_by_hand + json.dumps(found, sort_keys=True)).encode()).hexdigest()[:10]
    copied = [name for name, resource in found.items() if resource["Type"] == "AWS::ApiGateway::Method"]
    copied += re.findall(r"^  (\w+):.*\n    Type: AWS::ApiGateway::GatewayResponse$", written_by_hand, re.MULTILINE)
    return {
        f"Deployment{way}{revision}": {
            "Type": "AWS::ApiGateway::Deployment",
            "Condition": way,
            "DependsOn": copied,
            "Properties": {"RestApiId": API},
        }
        for way in WAYS_IN
    }


def generate(text: str) -> str:
    """The template with its end, and the names of the deployments, as the code says."""
    written_by_hand = re.sub(r"\b(DeploymentBy[A-Z][A-Za-z]+?)[0-9a-f]{10}\b", r"\1", text[: text.index(LINE)])
    found = resources()
    copies = deployments(written_by_hand, found)
    for name in copies:
        written_by_hand = re.sub(rf"\b{name[:-10]}\b", name, written_by_hand)
    body = yaml.dump({**found, **copies}, Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)
    return written_by_hand + LINE + "".join(f"  {line}\n" for line in body.splitlines())


class Plain(yaml.SafeDumper):
    """Repeats a value rather than naming it: CloudFormation knows no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Always."""
        return True


def main() -> int:
    """Writes the template, or says that it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = TEMPLATE.read_text()
    fresh = generate(text)
    if parser.parse_args().check:
        if fresh != text:
            print("stale: infra/services/api.yaml (run `make docs`)", file=sys.stderr)
        return int(fresh != text)
    TEMPLATE.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())

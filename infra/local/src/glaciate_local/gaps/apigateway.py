"""An API Gateway that takes from an OpenAPI body what SAM puts there besides paths, and refuses what is too long."""

import json
import logging
import re
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway_v1 as api
from ministack.services import lambda_svc

from glaciate_local.gaps.gap import Gap
from glaciate_local.gaps.rights import policy_allows
from glaciate_local.settings import LocalSettings

log = logging.getLogger("glaciate.apigateway")

Spec = dict[str, Any]
LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024
PLACES = {"path": "path", "query": "querystring", "header": "header"}


def import_all_of_the_body(_: LocalSettings) -> None:
    """Request validators, models and gateway responses; MiniStack imports paths, security and integrations only."""
    import_alone = api._import_rest_api

    def import_rest_api(spec: Spec, base: Any = None) -> str:
        api_id: str = import_alone(spec, base)
        schemas = spec.get("definitions") or spec.get("components", {}).get("schemas") or {}
        for name, schema in schemas.items():
            among = {"definitions": schemas, "components": {"schemas": schemas}}
            api._create_model(api_id, {"name": name, "schema": {**schema, **among}})
        validators = {}
        for name, what in spec.get("x-amazon-apigateway-request-validators", {}).items():
            _, _, body = api._create_request_validator(api_id, what | {"name": name})
            validators[name] = json.loads(body)["id"]
        for kind, response in spec.get("x-amazon-apigateway-gateway-responses", {}).items():
            api._put_gateway_response(api_id, kind, response)
        for resource in api._resources[api_id].values():
            for method, found in resource["resourceMethods"].items():
                operation = spec["paths"].get(resource["path"], {}).get(method.lower(), {})
                default = spec.get("x-amazon-apigateway-request-validator")
                found.update(_asked_of(operation, validators, default))
        return api_id

    api._import_rest_api = import_rest_api


def _asked_of(operation: Spec, validators: dict[str, str], default: str | None) -> dict[str, Any]:
    """A method's validator, models and parameters as API Gateway keeps them."""
    parameters = operation.get("parameters", [])
    models = {
        kind: content["schema"]["$ref"].rsplit("/", 1)[-1]
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
        if "$ref" in content.get("schema", {})
    }
    for one in parameters:
        if one.get("in") == "body" and "$ref" in one.get("schema", {}):
            models["application/json"] = one["schema"]["$ref"].rsplit("/", 1)[-1]
    required = {
        f"method.request.{PLACES[one['in']]}.{one['name']}": bool(one.get("required"))
        for one in parameters
        if one.get("in") in PLACES
    }
    validator = validators.get(operation.get("x-amazon-apigateway-request-validator") or default or "")
    return {"requestValidatorId": validator, "requestModels": models, "requestParameters": required}


def refuse_what_is_too_long(_: LocalSettings) -> None:
    """413 for what a function cannot be given."""
    execute_alone = api._execute_in_scope

    async def execute(request: Any, api_id: str, stage: str, *rest: Any) -> Any:
        _method, _path, _headers, body, *_ = rest
        if len(body or b"") > LAMBDA_PAYLOAD_BYTES and stage in api._stages_v1.get(api_id, {}):
            request["stage"] = api._stages_v1[api_id][stage]
            return api._gw_error("REQUEST_TOO_LARGE", "Request Too Long")
        return await execute_alone(request, api_id, stage, *rest)

    api._execute_in_scope = execute


def ask_the_function(_: LocalSettings) -> None:
    """500 when the function's policy does not let this API call it; MiniStack never asks."""
    invoke_alone = api._invoke_lambda_proxy_v1

    async def invoke(integration: Any, api_id: str, stage: str, *rest: Any, **more: Any) -> Any:
        _, resource, _, method, *_ = rest
        arn = api._extract_lambda_ref_from_integration_uri(integration.get("uri", ""))
        function = lambda_svc._functions.get(lambda_svc._resolve_name_and_qualifier(arn)[0])
        here = f"arn:aws:execute-api:{get_region()}:{get_account_id()}:{api_id}"
        source = f"{here}/{stage}/{method}{re.sub(r'{[^}]*}', '*', resource['path'])}"
        asked = {"service": "apigateway.amazonaws.com", "action": "lambda:InvokeFunction"}
        if function and not policy_allows(
            function["policy"], **asked, resource=function["config"]["FunctionArn"], source_arn=source
        ):
            log.warning("the policy of %s does not let API Gateway call it for %s", arn, source)
            return api._gw_error("API_CONFIGURATION_ERROR", "Internal server error")
        return await invoke_alone(integration, api_id, stage, *rest, **more)

    api._invoke_lambda_proxy_v1 = invoke


GAPS = (
    Gap("functions called by APIs", "asks the function's policy whether this API may call it", ask_the_function),
    Gap("OpenAPI body", "validates requests and answers errors as the body says", import_all_of_the_body),
    Gap("requests too long", "refuses them with 413", refuse_what_is_too_long),
)

"""Whether one service may call another: by the resource's policy, or by the role it was given."""

from typing import Any

from ministack.core.iam_evaluator import (
    EvalContext,
    _gather_role_policies,
    evaluate,
    evaluate_resource_policy,
    evaluate_trust_policy,
)
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam


def context(action: str, resource: str, source_arn: str = "") -> EvalContext:
    """A service that calls in the name of a resource of this account."""
    return EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account=get_account_id(),
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context={"aws:sourceaccount": get_account_id(), "aws:sourcearn": source_arn},
    )


def policy_allows(policy: Any, *, service: str, action: str, resource: str, source_arn: str) -> bool:
    """Whether a resource's policy lets the service do it for that source."""
    asked = context(action, resource, source_arn)
    return bool(evaluate_resource_policy(policy, asked, service=service).decision == "Allow")


def role_lacks(role_arn: str, *, service: str, action: str, resource: str, source_arn: str = "") -> str | None:
    """Why the service cannot do it by this role; None when it can."""
    name = role_arn.rsplit("/", 1)[-1]
    role = iam._roles.get(name)
    if role is None:
        return f"there is no role {role_arn}"
    assuming = context("sts:AssumeRole", role_arn, source_arn)
    trust = role["AssumeRolePolicyDocument"]
    root = f"arn:aws:iam::{get_account_id()}:root"
    if service not in str(trust) or not evaluate_trust_policy(trust, root, assuming):
        return f"role {name} does not trust {service}"
    doing = context(action, resource, source_arn)
    if evaluate(doing, _gather_role_policies(name, get_account_id())).decision != "Allow":
        return f"role {name} does not allow {action} on {resource}"
    return None

"""What tests make of AWS over and over, made the short way."""

import os
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
from pynamodb.models import Model


def client(service: str) -> Any:
    """boto3's, one for all tests that speak to the same endpoint: making one takes as long as a dozen calls.

    A test that hooks into a client makes its own.
    """
    return _client(service, os.environ.get("AWS_ENDPOINT_URL"))


@cache
def _client(service: str, _endpoint: str | None) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]


def make_tables(*models: type[Model]) -> None:
    """New ones, in a cloud that has none: nobody looks first whether they are there."""
    for model in models:
        with patch.object(model, "exists", return_value=False):
            model.create_table(billing_mode="PAY_PER_REQUEST")

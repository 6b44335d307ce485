"""What every command has in common: its options, where it speaks to, and how it ends when something expected goes wrong."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click
import httpx

from glaciate_cli.api import TIMEOUT_SECONDS, Document, GlaciateApi
from glaciate_cli.deployment import Deployment, find_deployment
from glaciate_cli.errors import CommandFailed, Exit, NotConfigured
from glaciate_cli.screen import Screen
from glaciate_cli.watch import Watch


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command reaches the world through; a test passes its own as click's `obj`."""

    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS))
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command."""

    screen: Screen
    surroundings: Surroundings
    local_json: Path | None
    stack: str | None

    def deployment(self) -> Deployment:
        """The deployment to speak to."""
        return find_deployment(os.environ, working_directory=Path.cwd(), local_json=self.local_json, stack=self.stack)

    def api(self) -> GlaciateApi:
        """Its API, called with the caller's own credentials."""
        return self._api(self.deployment())

    def api_and_project(self, project: str | None) -> tuple[GlaciateApi, str]:
        """Its API, and the project: the one named, or the deployment's.

        Raises:
            NotConfigured: no project is named anywhere.
        """
        deployment = self.deployment()
        named = project or deployment.project
        if named is None:
            msg = "No project: give --project or set GLACIATE_PROJECT."
            raise NotConfigured(msg)
        return self._api(deployment), named

    def watch(self, api: GlaciateApi, identifier: str, *, at_most_seconds: float | None) -> Document:
        """Follows a job or a request until it ends, or for so long."""
        return Watch(api, self.screen, pause=self.surroundings.pause)(identifier, at_most_seconds=at_most_seconds)

    def _api(self, deployment: Deployment) -> GlaciateApi:
        return GlaciateApi(
            url=deployment.api_url(),
            region=deployment.region,
            credentials=deployment.credentials(),
            http=self.surroundings.http,
            pause=self.surroundings.pause,
        )


def glaciate_command(function: Callable[..., Exit | None]) -> Callable[..., None]:
    """Gives a command the options that all have, and turns what it returns or raises into its exit code."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")
    @click.option(
        "--local-json",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The local cloud's local.json; found by itself from the working directory upward.",
    )
    @click.option("--stack", help="The CloudFormation stack to ask for addresses; GLACIATE_STACK.")
    @wraps(function)
    def run(*, as_json: bool, local_json: Path | None, stack: str | None, **options: Any) -> None:
        context = click.get_current_context()
        screen = Screen(as_json=as_json)
        surroundings = context.find_object(Surroundings) or Surroundings()
        try:
            ended = function(Invocation(screen, surroundings, local_json, stack), **options)
        except CommandFailed as failure:
            screen.problem(failure)
            ended = failure.exit_code
        except KeyboardInterrupt:
            screen.warn("Interrupted. What was accepted goes on without this command.")
            ended = Exit.INTERRUPTED
        context.exit(int(ended or Exit.FINE))

    return run


project_option = click.option("--project", help="The project; else GLACIATE_PROJECT, else the local cloud's.")

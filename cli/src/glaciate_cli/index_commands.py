"""`glaciate index`: for operators, over SQS with the caller's own AWS credentials."""

import json
import uuid

import click

from glaciate_cli.context import Invocation, glaciate_command, project_option
from glaciate_cli.deployment import told_plainly
from glaciate_cli.errors import Exit, NotConfigured

REBUILD_INDEX = "RebuildIndex.v1"
_QUEUE = "pack"


@click.group()
def index() -> None:
    """Mend the index that says where every file went."""


@index.command()
@project_option
@click.option("--all-projects", is_flag=True, help="The archives of every project.")
@glaciate_command
def rebuild(invocation: Invocation, *, project: str | None, all_projects: bool) -> Exit:
    """Have the index of a project written again from the catalogs of its archives.

    For when the files table, or rows of it, were lost. The packer's workers do it, archive by archive; jobs and restores
    go on meanwhile. Harmless to run twice: every row is the same row again.
    """
    if project and all_projects:
        msg = "Give --project or --all-projects, not both."
        raise click.UsageError(msg)
    deployment = invocation.deployment()
    wanted = None if all_projects else project or deployment.project
    if wanted is None and not all_projects:
        msg = "No project: give --project, set GLACIATE_PROJECT, or give --all-projects."
        raise NotConfigured(msg)
    correlation_id = f"index-{uuid.uuid4()}"
    message = {"type": REBUILD_INDEX, "correlation_id": correlation_id, "project": wanted}
    queue, sqs = deployment.queue(_QUEUE), deployment.sqs()
    with told_plainly():
        message_id = sqs.send_message(QueueUrl=queue.url, MessageBody=json.dumps(message))["MessageId"]
    if invocation.screen.as_json:
        invocation.screen.document(
            {"queue": _QUEUE, "message_id": message_id, "project": wanted, "correlation_id": correlation_id}
        )
        return Exit.FINE
    invocation.screen.say(
        f"Asked the packer to write the index of {f'project {wanted}' if wanted else 'every project'} again.\n"
        f"A worker starts within a minute or so and logs each archive, with correlation id {correlation_id}.\n"
        f"An archive whose catalog does not serve ends in the dead letters: glaciate dlq list {_QUEUE}"
    )
    return Exit.FINE

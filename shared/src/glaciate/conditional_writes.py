"""What DynamoDB's refusals of a conditional write mean."""

from collections.abc import Callable

from pynamodb.exceptions import TransactWriteError, UpdateError

from glaciate.errors import Transient


def conditionally(write: Callable[[], object]) -> bool:
    """Whether a conditional write found its condition true.

    Raises:
        Transient: another transaction held the row.
    """
    try:
        write()
    except UpdateError as error:
        if error.cause_response_code == "ConditionalCheckFailedException":
            return False
        if error.cause_response_code == "TransactionConflictException":
            msg = "another transaction holds the row"
            raise Transient(msg) from error
        raise
    return True


def _reasons(error: TransactWriteError) -> set[str]:
    return {reason.code for reason in error.cancellation_reasons if reason is not None}


def met_another(error: TransactWriteError) -> bool:
    """Whether a transaction lost to another writer, and may win when it is tried again."""
    conflict = _reasons(error) & {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
    return bool(conflict) or error.cause_response_code == "TransactionInProgressException"


def condition_failed(error: TransactWriteError) -> bool:
    """Whether one of a transaction's conditions was false."""
    return "ConditionalCheckFailed" in _reasons(error)

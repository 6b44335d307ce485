"""What IAM is told of a request."""

from ministack import app

from glaciate_local.gaps.gap import Gap
from glaciate_local.settings import LocalSettings


def count_loopback_as_tls(_: LocalSettings) -> None:
    """Let policies that demand TLS hold without certificates: what is said on 127.0.0.1 leaves no machine."""
    pin_alone = app.pin_request_origin

    def pin(source_ip: str, _secure: bool) -> None:
        pin_alone(source_ip, True)

    app.pin_request_origin = pin


GAPS = (Gap("aws:SecureTransport", "is called over TLS, and policies may demand it", count_loopback_as_tls),)

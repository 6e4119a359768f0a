"""What the SDK logs of its requests: one DEBUG line each, without content, and with the shop in every line.

``NEUROON_LOG=debug`` shows these lines where the program has set up no logging of its own.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from ..errors import APIError
from ..settings import warn_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yarl import URL

    from ..api.contract import Endpoint
    from ..api.responses import Response
    from ..errors import NeuroonError

__all__ = ["LOGGER", "log_request", "requests_are_logged", "set_up_from_env"]

LOGGER = logging.getLogger("neuroon_async")
LOG_VARIABLE = "NEUROON_LOG"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def requests_are_logged() -> bool:
    """Is anybody to see the line of a request? Making it costs time."""
    return LOGGER.isEnabledFor(logging.DEBUG)


def log_request(
    shop_id: str,
    endpoint: Endpoint,
    url: URL,
    outcome: Response | NeuroonError,
    *,
    attempt: int,
    seconds: float,
    sent: int,
    redact: Callable[[str], str],
) -> None:
    """One line for one attempt: method, path, status, time, bytes and request id. Never content, headers or the query.

    ``sent`` is the size of the request's body.
    """
    status = getattr(outcome, "status", None)
    request_id = getattr(outcome, "request_id", None)
    body = getattr(outcome, "body", None)
    came = str(status) if status is not None else type(outcome).__name__
    if isinstance(outcome, APIError):
        came += f" {type(outcome).__name__}"
    LOGGER.debug(
        "%s: %s %s -> %s in %.0f ms, %d bytes sent%s%s%s",
        shop_id,
        endpoint.method,
        redact(url.raw_path),
        came,
        seconds * 1_000,
        sent,
        "" if body is None else f", {len(body)} received",
        "" if attempt == 1 else f", attempt {attempt}",
        "" if request_id is None else f", request {request_id}",
    )


def set_up_from_env(environ: Mapping[str, str] | None = None) -> None:
    """Follow ``NEUROON_LOG``: the level of the SDK's loggers, and a handler only where there is none."""
    value = (os.environ if environ is None else environ).get(LOG_VARIABLE, "").strip().lower()
    if not value:
        return
    if value not in _LEVELS:
        warn_user(f"{LOG_VARIABLE} must be one of {', '.join(_LEVELS)}, got {value!r}")
        return
    LOGGER.setLevel(_LEVELS[value])
    if not LOGGER.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        LOGGER.addHandler(handler)

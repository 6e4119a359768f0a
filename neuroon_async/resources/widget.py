"""The browser widget's token, which the shop's server signs itself, and the tag that carries it. No I/O."""

from __future__ import annotations

import hmac
import threading
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from ..api.contract import WIDGET_SCRIPT_URL, WIDGET_TOKEN_LIFETIME, WIDGET_TOKEN_RENEWAL
from ..settings import Secret, check_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WidgetTokenSigner"]


class WidgetTokenSigner:
    """Signs widget tokens; usable alone, from any number of threads.

    A token is ``base64url(shopId:unixSeconds:hex(HMAC-SHA256(apiKey, shopId:unixSeconds)))`` without padding, valid
    for 24 hours. It is cached and signed anew 5 minutes before its end. ``clock`` gives the Unix time in seconds.

    >>> signer = WidgetTokenSigner("shop_1", "sk_" + "0" * 32, clock=lambda: 1_700_000_000)
    >>> signer.token() == signer.token()
    True
    """

    def __init__(self, shop_id: str, api_key: str | Secret, *, clock: Callable[[], float] = time.time) -> None:
        self._shop_id = shop_id
        if isinstance(api_key, Secret):  # a client's, which checked it with its settings
            self._key = api_key
        else:
            self._key = Secret(api_key)
            del api_key  # should the check fail, no error tracker finds it among the local variables
            check_credentials(shop_id, self._key)
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._signed_at: int | None = None

    def __repr__(self) -> str:
        return f"WidgetTokenSigner(shop_id={self._shop_id!r})"

    def token(self) -> str:
        """A token that is valid for at least 5 more minutes."""
        with self._lock:
            now = int(self._clock())
            if not self._fresh(now):
                self._token = self._sign(now)
                self._signed_at = now
            return self._token

    def script_tag(
        self, container: str = "#neuroon-search", theme: str = "auto", *, script_url: str = WIDGET_SCRIPT_URL
    ) -> str:
        """The ``<script>`` element that loads the widget into ``container``; every attribute is escaped.

        Put it next to ``<div id="neuroon-search"></div>``, and render it anew for each page: tokens expire.
        """
        attributes = {
            "src": script_url,
            "data-token": self.token(),
            "data-container": container,
            "data-theme": theme,
        }
        rendered = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
        return f"<script {rendered}></script>"

    def _fresh(self, now: int) -> bool:
        # A clock that was set back makes the cached token one from the future, which a server may refuse.
        return self._signed_at is not None and 0 <= now - self._signed_at < WIDGET_TOKEN_LIFETIME - WIDGET_TOKEN_RENEWAL

    def _sign(self, now: int) -> str:
        message = f"{self._shop_id}:{now}"
        signature = hmac.new(self._key.reveal().encode(), message.encode(), sha256).hexdigest()
        return urlsafe_b64encode(f"{message}:{signature}".encode()).rstrip(b"=").decode()

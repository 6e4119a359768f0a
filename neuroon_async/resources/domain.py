"""Domain verification: proving that the shop's domain is the shop's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.addresses import is_site_address
from ..api.arguments import check_flag, shown
from ..api.contract import UNVERIFY_DOMAIN, VERIFICATION_DATA, VERIFY_DOMAIN, VERIFY_DOMAIN_SHORT
from ..api.models import VerificationRequest, encode
from ..api.results import Verification, VerificationData
from ..errors import UsageError

if TYPE_CHECKING:
    from ..transport.transport import Transport

__all__ = ["Domain"]


class Domain:
    """``client.domain``. The API allows 5 verifications and 5 removals in 300 seconds."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._params = {"shop_id": transport.settings.shop_id}

    async def verify(
        self,
        domain: str,
        *,
        short_path: bool = False,
        timeout: float | None = None,
    ) -> Verification:
        """Start verifying a domain such as ``https://shop.example``; the answer holds the code to publish.

        The call is repeated only where the server cannot have processed it. Where such a repetition finds the domain
        verified, the first try has worked, and the answer holds no code (`verification_data` has it).

        Args:
            domain: The shop's address, with ``https://`` or ``http://``.
            short_path: Use ``/verify`` instead of ``/{shopId}/verify``: the vendor's pages give both.
            timeout: Seconds for one attempt, instead of the client's.

        Raises:
            UsageError: The domain is no address. Nothing was sent.
            Conflict: The domain is verified already.
            ResponseDecodeError: A success that is not the documented answer: the verification may have begun.

        >>> verification = await client.domain.verify("https://shop.example")     # doctest: +SKIP
        """
        check_flag("short_path", short_path)
        if not is_site_address(domain):
            raise UsageError(f"must be a URL such as 'https://shop.example', got {shown(domain)}", where="domain")
        body = encode(VerificationRequest(domain))
        endpoint = VERIFY_DOMAIN_SHORT if short_path else VERIFY_DOMAIN
        answer = await self._transport.call(endpoint, params=self._params, body=body, timeout=timeout)
        if answer.status == endpoint.done_on_retry:
            return Verification(shop_id=self._params["shop_id"], domain=domain)
        return self._transport.decode(answer, Verification)

    async def verification_data(self, *, timeout: float | None = None) -> VerificationData:
        """The state of the verification, and what to publish where.

        ``timeout``: seconds for one attempt, instead of the client's.
        """
        answer = await self._transport.call(VERIFICATION_DATA, params=self._params, timeout=timeout)
        return self._transport.decode(answer, VerificationData)

    async def unverify(self, *, timeout: float | None = None) -> None:
        """Remove the verification. ``timeout``: seconds for one attempt, instead of the client's."""
        await self._transport.call(UNVERIFY_DOMAIN, params=self._params, timeout=timeout)

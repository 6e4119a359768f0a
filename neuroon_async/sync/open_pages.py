"""A page that the server does not hold just so, while it waits to be compared with the ledger product by product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .outgoing import encoded_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ledger.pages import Page
    from .outgoing import Outgoing

__all__ = ["OpenPage"]


class OpenPage:
    """``checked``: its products may be sent as they are, so they are encoded at once.

    As bytes they leave the processor's cache to what is read next, and the garbage collector has no business with them.
    """

    __slots__ = ("digest", "digests", "ids", "products")

    def __init__(self, page: Page, *, checked: bool) -> None:
        self.digest: bytes | None = page.digest
        self.ids: list[str] = page.ids
        encoded = encoded_page(page) if checked else None
        self.products: Sequence[Outgoing] = page if encoded is None else encoded
        self.digests: list[bytes | None] = (
            page.digests() if encoded is None else [product.digest for product in encoded]
        )
        """Of each product; ``None`` where it cannot become JSON. A digest covers the id, too."""

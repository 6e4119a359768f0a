"""The emulated shop: its catalog, its domain, its conversions, and the documented operations on them.

Knows nothing of HTTP, limits or faults: every operation takes a body and gives a document, or raises `Refusal`
with the status and the message that the documentation gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, get_args

from ..api.arguments import check_callback, check_choice, check_count, check_flag, check_text
from .bodies import Refusal, decode_json, is_array, is_object, timestamp
from .headers import site_of
from .readings import Readings
from .snapshots import SnapshotDict
from .validation import PRODUCT_FIELDS, conversion_complaints, domain_complaints, product_complaints

__all__ = ["EmulatedShop", "FullSemantics", "ReceivedConversion", "RememberedSync", "Upsert"]

FullSemantics = Literal["replace", "mark_absent"]
Upsert = Literal["merge", "replace"]

_Outcome = tuple[int, int, list[dict[str, Any]]]
"""How many products were created and updated, and the entries of ``errors``."""


@dataclass(slots=True)
class ReceivedConversion:
    """An order as first delivered; ``deliveries`` counts the repetitions too."""

    body: dict[str, Any]
    attributed: int
    """Lines that came with a ``searchLogId``."""
    deliveries: int = 1


@dataclass(slots=True)
class RememberedSync:
    """What an idempotency key stands for: one body and its answer."""

    digest: bytes
    answer: dict[str, Any]
    replays: int = 0


@dataclass(slots=True, kw_only=True)
class EmulatedShop:
    """The state behind the API. See `Emulator` for what the parameters mean."""

    shop_id: str
    name: str
    max_products: int
    full_semantics: FullSemantics
    upsert: Upsert
    require_search_log_id: bool
    name_all_missing_parents: bool
    readings: Readings
    reject_item: Callable[[dict[str, Any]], str | None] | None
    reject_batch: Callable[[list[dict[str, Any]]], tuple[int, str] | None] | None

    verification_code: str
    on_change: Callable[[str], None] | None = None
    """Called with the ``externalId`` of every product that was created, updated or deleted."""
    domain: str | None = None
    verified_at: str | None = None
    products: dict[str, dict[str, Any]] = field(default_factory=SnapshotDict[str, dict[str, Any]])
    conversions: dict[str, ReceivedConversion] = field(default_factory=SnapshotDict[str, ReceivedConversion])
    idempotency: dict[str, RememberedSync] = field(default_factory=SnapshotDict[str, RememberedSync])

    def __post_init__(self) -> None:
        check_text("shop_name", self.name)
        check_text("verification_code", self.verification_code)
        check_count("max_products", self.max_products, least=0)
        check_choice("full_semantics", self.full_semantics, get_args(FullSemantics))
        check_choice("upsert", self.upsert, get_args(Upsert))
        check_flag("require_search_log_id", self.require_search_log_id)
        check_flag("name_all_missing_parents", self.name_all_missing_parents)
        check_callback("reject_item", self.reject_item)
        check_callback("reject_batch", self.reject_batch)

    @property
    def _replaces_all(self) -> bool:
        return self.full_semantics == self.readings.full_sync == "replace"

    @property
    def _needs_search_log_id(self) -> bool:
        return self.require_search_log_id or self.readings.search_log_id == "required"

    # Products

    def sync(self, body: bytes, idempotency_key: str | None) -> tuple[dict[str, Any], bool]:
        """Apply a batch. Gives the answer, and whether it came from memory."""
        if idempotency_key is None or self.readings.idempotency == "ignored":
            return self._apply(body), False
        digest = sha256(body).digest()
        remembered = self.idempotency.get(idempotency_key)
        if remembered is None:
            answer = self._apply(body)
            self.idempotency[idempotency_key] = RememberedSync(digest, answer)
            return answer, False
        if remembered.digest != digest and self.readings.idempotency == "conflict":
            raise Refusal(409, "Idempotency key was used with another body")
        remembered.replays += 1
        return remembered.answer, True

    def delete(self, external_id: str) -> None:
        if self.products.pop(external_id, None) is None:
            raise Refusal(404, f"Product '{external_id}' not found")
        if self.on_change is not None:
            self.on_change(external_id)

    def _apply(self, body: bytes) -> dict[str, Any]:
        mode, products = self._read_batch(body)
        errors: list[dict[str, Any]] = []
        if self.readings.invalid_products == "fail_alone":
            products, errors = self._set_invalid_aside(mode, products)
        self._check_batch(mode, products)
        created, updated, refused = (self._apply_full if mode == "FULL" else self._upsert_all)(products)
        return self._summary(created, updated, errors + refused)

    def _read_batch(self, body: bytes) -> tuple[str, list[dict[str, Any]]]:
        document = read_object(body)
        products = document.get("products")
        if not is_array(products) or not 1 <= len(products) <= 500:
            raise Refusal(400, "products: Must provide between 1 and 500 products per batch")
        complaints = self._complaints(products) if self.readings.invalid_products == "fail_batch" else []
        mode: Any = document.get("syncType")
        if mode not in ("INCREMENTAL", "FULL"):
            complaints.insert(0, "syncType: must be INCREMENTAL or FULL")
        refuse_if(complaints)
        return mode, products

    def _complaints(self, products: list[Any]) -> list[str]:
        return product_complaints(products, zero_price=self.readings.zero_price == "accepted")

    def _set_invalid_aside(self, mode: str, products: list[Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The valid products of a batch, and an entry of ``errors`` for each of the others."""
        valid: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for product in products:
            complaints = self._complaints([product])
            if complaints:
                external_id = product.get("externalId") if is_object(product) else None
                errors.append({"externalId": external_id, "error": ", ".join(complaints)})
            else:
                valid.append(product)
        while missing := set(self._missing_parents(mode, valid)):
            orphans = [product for product in valid if product.get("parentExternalId") in missing]
            valid = [product for product in valid if product.get("parentExternalId") not in missing]
            errors.extend(
                {"externalId": orphan["externalId"], "error": _parent_not_found(orphan["parentExternalId"])}
                for orphan in orphans
            )
        return valid, errors

    def _check_batch(self, mode: str, products: list[dict[str, Any]]) -> None:
        if mode == "FULL" and len({product["externalId"] for product in products}) < len(products):
            raise Refusal(409, "Duplicate externalId in a FULL sync")
        if self.reject_batch is not None:
            rejection = self.reject_batch(products)
            if rejection is not None:
                raise Refusal(*rejection)
        currencies = {product["currency"] for product in products if product.get("currency")}
        if len(currencies) > 1:
            raise Refusal(422, f"Currency mismatch between items: {', '.join(sorted(currencies))}")
        self._check_parents(mode, products)

    def _check_parents(self, mode: str, products: list[dict[str, Any]]) -> None:
        missing = [_parent_not_found(parent) for parent in self._missing_parents(mode, products)]
        if missing:
            raise Refusal(422, ", ".join(missing) if self.name_all_missing_parents else missing[0])

    def _missing_parents(self, mode: str, products: list[dict[str, Any]]) -> list[str]:
        """The parents that are neither in the batch nor in what the sync leaves of the catalog."""
        parents = dict.fromkeys(parent for product in products if (parent := product.get("parentExternalId")))
        if not parents:
            return []
        known = {product["externalId"] for product in products}
        if not (mode == "FULL" and self._replaces_all):
            known.update(parent for parent in parents if parent in self.products)
        return [parent for parent in parents if parent not in known]

    def _apply_full(self, products: list[dict[str, Any]]) -> _Outcome:
        mentioned = {product["externalId"] for product in products}
        if self._replaces_all:
            before = {external_id for external_id in mentioned if external_id in self.products}
            gone = list(self.products) if self.on_change is not None else []
            self.products.clear()
            created, _, errors = self._upsert_all(products)
            self._announce(gone)
            updated = sum(external_id in self.products for external_id in before)
            return created - updated, updated, errors
        outcome = self._upsert_all(products)
        absent = self.products.keys() - mentioned
        for external_id in absent:
            self.products[external_id]["isActive"] = False
        self._announce(absent)
        return outcome

    def _announce(self, external_ids: Iterable[str]) -> None:
        if self.on_change is not None:
            for external_id in external_ids:
                self.on_change(external_id)

    def _upsert_all(self, products: list[dict[str, Any]]) -> _Outcome:
        created = updated = 0
        errors: list[dict[str, Any]] = []
        on_change = self.on_change
        for product in products:
            external_id = product["externalId"]
            stored = self.products.get(external_id)
            reason = self._refuse_item(product, is_new=stored is None)
            if reason is not None:
                errors.append({"externalId": external_id, "error": reason})
                continue
            created += stored is None
            updated += stored is not None
            known = _known_fields(product)
            self.products[external_id] = known if stored is None or self.upsert == "replace" else stored | known
            if on_change is not None:
                on_change(external_id)
        return created, updated, errors

    def _refuse_item(self, product: dict[str, Any], *, is_new: bool) -> str | None:
        if self.reject_item is not None and (reason := self.reject_item(product)) is not None:
            return reason
        if is_new and len(self.products) >= self.max_products:
            return f"Product limit of {self.max_products} reached"
        return None

    def _summary(self, created: int, updated: int, errors: list[dict[str, Any]]) -> dict[str, Any]:
        failures = {"failed": len(errors), "errors": errors}
        if self.readings.answers == "older":
            return {"synced": created + updated, "created": created, "updated": updated, **failures}
        return {
            "newProducts": created,
            "updatedProducts": updated,
            "productsCount": len(self.products),
            "remainingProducts": max(0, self.max_products - len(self.products)),
            **failures,
        }

    # Domain

    def verify(self, body: bytes, *, url: str | None) -> dict[str, Any]:
        """Verify a domain. ``url``: the registered one, or ``None`` where any will do."""
        document = read_object(body)
        refuse_if(domain_complaints(document))
        if self.verified_at is not None:
            raise Refusal(409, "Domain is already verified")
        domain = document["domain"]
        proof = self.readings.verification
        if proof == "by_registered_url" and url is not None and site_of(domain) != site_of(url):
            raise Refusal(422, "Domain does not match the shop's registered URL")
        if proof == "by_published_code":
            self.domain = domain
        else:
            self.set_verified(domain)
        return {
            "shopId": self.shop_id,
            "verificationCode": self.verification_code,
            "domain": self.domain,
            "name": self.name,
        }

    def set_verified(self, domain: str | None) -> None:
        self.domain = domain
        self.verified_at = timestamp(with_offset=self.readings.times == "with_z")

    def verification_data(self) -> dict[str, Any]:
        """The state of the verification, in either documented shape."""
        verified = self.verified_at is not None
        shape = self.readings.verification_data
        if shape == "verified_at" or (shape == "by_state" and verified):
            return {"domain": self.domain, "verificationCode": self.verification_code, "verifiedAt": self.verified_at}
        instructions = f'Add <meta name="neuroon-verification" content="{self.verification_code}"> to your page.'
        return {"verificationCode": self.verification_code, "instructions": instructions, "verified": verified}

    def unverify(self) -> None:
        self.domain = self.verified_at = None

    # Conversions and the shop itself

    def track(self, body: bytes) -> dict[str, Any]:
        document = read_object(body)
        refuse_if(conversion_complaints(document, require_search_log_id=self._needs_search_log_id))
        order_id = document["orderId"]
        known = self.conversions.get(order_id)
        if known is None:
            attributed = sum(line.get("searchLogId") is not None for line in document["conversions"])
            self.conversions[order_id] = ReceivedConversion(document, attributed)
            return {"orderId": order_id, "attributed": attributed, "duplicate": False}
        known.deliveries += 1
        return {"orderId": order_id, "attributed": known.attributed, "duplicate": True}

    def describe(self, *, url: str | None) -> dict[str, Any]:
        return {
            "shopId": self.shop_id,
            "name": self.name,
            "url": url,
            "verified": self.verified_at is not None,
            "productsCount": len(self.products),
            "maxProducts": self.max_products,
            "maxSearchesPerMonth": 10_000,
        }


def _parent_not_found(parent: str) -> str:
    return f"parentExternalId '{parent}' not found"


def _known_fields(product: dict[str, Any]) -> dict[str, Any]:
    if product.keys() <= PRODUCT_FIELDS:
        return product
    return {name: value for name, value in product.items() if name in PRODUCT_FIELDS}


def read_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; refused with 400 where it is anything else."""
    try:
        document = decode_json(body)
    except ValueError as error:
        raise Refusal(400, f"Malformed JSON request: {error}") from None
    if not is_object(document):
        raise Refusal(400, "Malformed JSON request: an object is required")
    return document


def refuse_if(complaints: list[str]) -> None:
    if complaints:
        raise Refusal(400, ", ".join(complaints))

"""The async Python SDK for Neuroon's Plugin API: sync a shop's catalog, verify its domain, report conversions.

>>> from neuroon_async import NeuroonClient, Product
>>> async def main():
...     async with NeuroonClient.from_env() as client:
...         report = await client.products.sync(
...             [Product(external_id="SKU-1", name="Tea", price=4.50, url="https://shop.example/tea")]
...         )
...         print(report)
"""

from .advice import Advice
from .api.clicks import ClickLog
from .api.constraints import Number
from .api.contract import DOCUMENTED_RATE_LIMITS, Environment, Locale, RateLimit, SyncMode
from .api.models import Conversion, ConversionItem, OrderLine, Product
from .api.results import BatchResult, ProductError, Shop, Verification, VerificationData
from .client import ClientOptions, NeuroonClient
from .errors import (
    APIError,
    AuthenticationFailed,
    ClientClosed,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    InvalidBatch,
    InvalidConversion,
    InvalidProduct,
    NeuroonError,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestTimeout,
    ResponseDecodeError,
    ServerError,
    SyncFailed,
    TransportError,
    UnprocessableEntity,
    UnsafeDeletion,
    UnsafeFullSync,
    UsageError,
    ValidationFailed,
)
from .ledger.protocols import Ledger, LedgerError, LedgerRun, PagedLedgerRun
from .ledger.sqlite import SQLiteLedger
from .limits.local import LocalLimiter
from .limits.machine import MachineLimiter
from .limits.protocols import DeadlineLimiter, Limiter, LimitState, Permit
from .report import ProductFailure, SyncProgress, SyncReport
from .resources.widget import WidgetTokenSigner
from .settings import Secret, package_version
from .sync.dead_letters import DeadLetterFile
from .sync.recorder import AcceptedCallback, FailureCallback, ProgressCallback
from .transport.retries import RetryBudget, RetryPolicy

__all__ = [
    "DOCUMENTED_RATE_LIMITS",
    "APIError",
    "AcceptedCallback",
    "Advice",
    "AuthenticationFailed",
    "BatchResult",
    "ClickLog",
    "ClientClosed",
    "ClientOptions",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "Conversion",
    "ConversionItem",
    "DeadLetterFile",
    "DeadlineLimiter",
    "Environment",
    "FailureCallback",
    "InvalidBatch",
    "InvalidConversion",
    "InvalidProduct",
    "Ledger",
    "LedgerError",
    "LedgerRun",
    "LimitState",
    "Limiter",
    "LocalLimiter",
    "Locale",
    "MachineLimiter",
    "NeuroonClient",
    "NeuroonError",
    "NotFound",
    "Number",
    "OrderLine",
    "PagedLedgerRun",
    "PermissionDenied",
    "Permit",
    "Product",
    "ProductError",
    "ProductFailure",
    "ProgressCallback",
    "RateLimit",
    "RateLimited",
    "RequestTimeout",
    "ResponseDecodeError",
    "RetryBudget",
    "RetryPolicy",
    "SQLiteLedger",
    "Secret",
    "ServerError",
    "Shop",
    "SyncFailed",
    "SyncMode",
    "SyncProgress",
    "SyncReport",
    "TransportError",
    "UnprocessableEntity",
    "UnsafeDeletion",
    "UnsafeFullSync",
    "UsageError",
    "ValidationFailed",
    "Verification",
    "VerificationData",
    "WidgetTokenSigner",
]

__version__ = package_version()

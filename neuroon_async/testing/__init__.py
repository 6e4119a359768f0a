"""For tests: the Plugin API on loopback, as strict as its documentation, with faults on demand."""

from ..api.contract import DOCUMENTED_RATE_LIMITS
from .emulator import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, ThreadedEmulator
from .fault_rules import FaultRule
from .faults import Fault
from .readings import Readings
from .recording import RecordedRequest
from .shop import ReceivedConversion, RememberedSync
from .widget import InvalidWidgetToken, verify_widget_token

__all__ = [
    "DEFAULT_API_KEY",
    "DEFAULT_SHOP_ID",
    "DOCUMENTED_RATE_LIMITS",
    "Emulator",
    "Fault",
    "FaultRule",
    "InvalidWidgetToken",
    "Readings",
    "ReceivedConversion",
    "RecordedRequest",
    "RememberedSync",
    "ThreadedEmulator",
    "verify_widget_token",
]

"""What the observations mean: what is well, what is worth a look, what is wrong, and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..advice import Advice
from ..api.contract import (
    API_KEY_VARIABLE,
    API_URL_VARIABLE,
    DOCUMENTED_RATE_LIMITS,
    SHOP_ID_VARIABLE,
    Environment,
)
from ..api.responses import RateLimitHeaders, Response
from ..errors import APIError, NeuroonError, RateLimited, RequestTimeout, ServerError, TransportError
from ..settings import is_loopback
from ..transport.failures import origin_of
from .answers import field_of
from .clock import skew_of
from .observations import KeyShape, Probe
from .readings import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .certificates import Certificate
    from .observations import Connection, Exchange, Observations, Setup

__all__ = ["Cause", "Finding", "Verdict", "diagnose"]

_SOON = 14
"""Days before its end from which a certificate is worth a word."""
_SLOW = 2.0
"""Seconds from which an answer is: the vendor's own monitor sees 0.6 to 1.0."""
_OFF = 5.0
"""Seconds from which a clock is worth a word."""
_TOO_FAR_OFF = 300.0
"""Seconds from which tokens fail: one is signed again only so long before its end."""


class Verdict(StrEnum):
    """``good``, ``note`` (works, and is worth a look), ``bad`` (does not work)."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


class Cause(StrEnum):
    """Where what is wrong has to be mended."""

    SETTINGS = "settings"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis."""

    topic: str
    verdict: Verdict
    what: str
    advice: Advice | None = None
    cause: Cause = Cause.SERVER


def diagnose(seen: Observations) -> list[Finding]:
    """Everything that can be said, from the settings to the server, in the order of the way between."""
    findings = [*_settings(seen.setup)]
    if seen.connection is not None:
        findings += _connection(seen, seen.connection)
    findings += _clock(seen)
    findings += _service(seen)
    findings += _credentials(seen)
    findings += _shop_id(seen)
    findings += _limits(seen)
    findings += _speed(seen)
    findings += _undocumented(seen)
    return findings


def good(topic: str, what: str) -> Finding:
    return Finding(topic, Verdict.GOOD, what)


def note(topic: str, what: str, advice: Advice | None = None) -> Finding:
    return Finding(topic, Verdict.NOTE, what, advice)


def bad(topic: str, what: str, advice: Advice | None = None, cause: Cause = Cause.SERVER) -> Finding:
    return Finding(topic, Verdict.BAD, what, advice, cause)


# What the user gave

_TOPICS = {"base_url": "address", "ssl": "certificates", "proxy": "proxy", "shop_id": "shop id"}


def _settings(setup: Setup) -> Iterator[Finding]:
    problem, topic = setup.problem, ""
    if problem is not None:
        where = (problem.where or "").lower()
        topic = "proxy" if where == "https_proxy" else _TOPICS.get(where, "API key")
    yield from _key(setup)
    if not setup.shop_id:
        yield bad("shop id", "not set", Advice(f"set {SHOP_ID_VARIABLE}"), Cause.SETTINGS)
    missing = {"API key"} if setup.key is KeyShape.MISSING else set[str]()
    missing |= set() if setup.shop_id else {"shop id"}
    if problem is not None and topic not in missing:
        yield bad(topic, problem.what, problem.advice, Cause.SETTINGS)
    if topic != "address":
        yield _environment(setup.base_url)
    if setup.proxy is not None:
        yield good("proxy", f"requests go through {setup.proxy}")


def _key(setup: Setup) -> Iterator[Finding]:
    if setup.key is KeyShape.MISSING:
        yield bad("API key", "not set", Advice(f"set {API_KEY_VARIABLE}"), Cause.SETTINGS)
    elif setup.key is KeyShape.DOCUMENTED:
        yield good("API key", "looks as documented: sk_ and 32 hex digits")
    elif setup.key is KeyShape.OLDER:
        yield note("API key", "has the older shape sk_live_…; it is used as it is")
    elif setup.problem is None or setup.problem.where not in {None, "api_key"}:
        yield note(
            "API key", "does not look like sk_ and 32 hex digits; it is used as it is", Advice("was all of it copied?")
        )


def _environment(base_url: str) -> Finding:
    known = next((name for name in Environment if name == base_url), None)
    if known is not None:
        return good("environment", f"{known.name.title()}, {base_url}")
    host = urlsplit(base_url).hostname or ""
    if is_loopback(host):
        return good("environment", f"an address on this machine, {base_url}")
    if urlsplit(base_url).scheme == "http":
        return note("environment", f"{base_url} is neither of the vendor's, and the API key travels unencrypted")
    return note("environment", f"{base_url} is neither of the vendor's two: a gateway or an emulator")


# The way there


def _connection(seen: Observations, connection: Connection) -> Iterator[Finding]:
    certificate, problem = connection.certificate, connection.problem
    if connection.addresses == (connection.host,):
        pass  # an address already
    elif connection.addresses:
        who = connection.host if seen.setup.proxy is None else "the proxy"
        yield good("name", f"{who} is {_listed(connection.addresses)}")
    elif problem is not None:
        yield bad("name", problem.what, problem.advice)
        return
    if connection.connect_seconds is not None:
        yield good("connection", f"there in {_milliseconds(connection.connect_seconds)}")
    elif problem is not None:
        yield bad("connection", problem.what, problem.advice)
        return
    if problem is not None:
        told = "" if certificate is None else f"; it is {_described(certificate)}"
        yield bad("certificate", problem.what + told, problem.advice)
    elif connection.tls is not None:
        yield from _trusted(seen, connection, certificate)


def _listed(addresses: tuple[str, ...]) -> str:
    shown = ", ".join(addresses[:3])
    return shown if len(addresses) <= 3 else f"{shown} and {len(addresses) - 3} more"


def _described(certificate: Certificate) -> str:
    by = "signed by itself" if certificate.self_signed else f"issued by {certificate.issuer or 'nobody named'}"
    for_whom = f" for {_listed(certificate.names)}" if certificate.names else ""
    return f"{by}{for_whom}, valid until {certificate.ends:%Y-%m-%d}"


def _trusted(seen: Observations, connection: Connection, certificate: Certificate | None) -> Iterator[Finding]:
    if certificate is None:
        yield good("certificate", f"trusted, {connection.tls}")
        return
    days = (certificate.ends - seen.at).days
    told = f"{_described(certificate)} ({connection.tls})"
    if days < _SOON:
        yield note("certificate", f"{told}: {days} days are left", Advice("its owner has to renew it"))
    else:
        yield good("certificate", told)
    if connection.trusted_by_system is False:
        yield note(
            "authority",
            f"trusted by your own authority file alone: {certificate.issuer or 'its issuer'} can read all that is "
            "sent, the API key too",
            Advice("fine where that is the proxy of your own network"),
        )


# The server


def _service(seen: Observations) -> Iterator[Finding]:
    it = seen.exchanges.get(Probe.HEALTH)
    if it is None:
        return
    status = field_of(it, "status")
    if isinstance(it.outcome, Response) and status == "UP":
        yield good("service", "says that it is UP")
    elif isinstance(it.outcome, Response):
        yield bad("service", f"says of itself: {status}", Advice("see https://status.neuroon.ai"))
    elif it.status is not None and it.status < 500:
        yield note("service", f"its health page answers {it.status}; that alone is no harm")
    else:
        yield bad("service", _said(it), _advice_of(it))


def _credentials(seen: Observations) -> Iterator[Finding]:
    it = seen.exchanges.get(Probe.SHOP)
    if it is None:
        return
    if isinstance(it.outcome, Response):
        plan = [
            f"{name} {value:,}" if isinstance(value := field_of(it, field), int) else ""
            for name, field in (("products at most", "maxProducts"), ("searches a month", "maxSearchesPerMonth"))
        ]
        yield good("plan", ", ".join(filter(None, plan)) or "the key is accepted; the plan tells no limit")
        return
    elsewhere = seen.exchanges.get(Probe.ELSEWHERE)
    if it.status == 401 and elsewhere is not None and isinstance(elsewhere.outcome, Response):
        address = origin_of(elsewhere.url) or elsewhere.url
        name = next((known.name.title() for known in Environment if known == address), "the other environment")
        yield bad(
            "credentials",
            f"{_said(it)}; the key is one of {name}",
            Advice(f"use it there: {API_URL_VARIABLE}={address}, or {{base_url}}", {"base_url": address}),
        )
        return
    yield bad("credentials", _said(it), _advice_of(it))


def _shop_id(seen: Observations) -> Iterator[Finding]:
    """Does the key belong to the shop of the path? /me does not ask for the id."""
    it = seen.exchanges.get(Probe.VERIFICATION_DATA)
    if it is None:
        return
    shop = seen.exchanges[Probe.SHOP]
    known = isinstance(shop.outcome, Response)
    if isinstance(it.outcome, Response):
        yield good("shop id", f"the key belongs to {seen.setup.shop_id}")
        yield _verification(it)
    elif known and it.status in {401, 403, 404}:
        named = field_of(shop, "shopId") or field_of(shop, "id")
        other = f"; the key is one of {named}" if isinstance(named, str) and named != seen.setup.shop_id else ""
        yield bad(
            "shop id",
            f"{_said(it)}: the key is accepted, but not for {seen.setup.shop_id}{other}",
            Advice(f"check {SHOP_ID_VARIABLE}: a key works for one shop only"),
        )
    else:
        yield bad("shop id", _said(it), _advice_of(it))


def _verification(it: Exchange) -> Finding:
    verified = field_of(it, "verified")
    since = field_of(it, "verifiedAt")
    if verified is True or since:
        return good("domain", "verified" + (f" since {since}" if since else ""))
    if verified is False or since is None:
        return note("domain", "not verified", Advice("'neuroon verify' begins it"))
    return note("domain", "the answer does not tell whether it is verified")


def _said(it: Exchange) -> str:
    """What came, in one line, without the advice: that has a place of its own."""
    outcome = it.outcome
    if isinstance(outcome, APIError):
        path = it.url.split("/", 3)[-1]  # not parsed: what stands for the key may be anywhere in it
        where = f"{it.endpoint.method} /{path}"
        return f"{where} answers {outcome.status}" + (f": {outcome.message}" if outcome.message else "")
    return outcome.what if isinstance(outcome, NeuroonError) else f"answers {it.status}"


def _advice_of(it: Exchange) -> Advice | None:
    outcome = it.outcome
    if isinstance(outcome, RateLimited):
        wait = "" if outcome.retry_after is None else f" in {outcome.retry_after:g} s"
        return Advice(f"something else uses up this key's limit: come back{wait}, and see what else runs with this key")
    if isinstance(outcome, ServerError):
        return Advice("see https://status.neuroon.ai; where it lasts, send the block below to the vendor's support")
    if isinstance(outcome, RequestTimeout):
        return Advice("a longer {timeout} tells whether it is only slow", {"timeout": ...})
    if isinstance(outcome, (APIError, TransportError)):
        return outcome.advice
    return Advice("a proxy, a firewall or a login page may stand between: open the address in a browser from here")


# Clock, limits, speed


def _clock(seen: Observations) -> Iterator[Finding]:
    here = [it for probe, it in seen.exchanges.items() if probe is not Probe.ELSEWHERE]
    if not any(it.status is not None for it in here):
        return
    skew = skew_of(here)
    if skew is None:
        yield note("clock", "no answer has a Date, so this machine's clock cannot be compared")
        return
    off = abs(skew.seconds)
    side = "ahead of" if skew.seconds > 0 else "behind"
    told = f"{_duration(off)} {side} the server's"
    if off < _OFF:
        yield good("clock", "agrees with the server's" if off < 1 else told)
    elif off < _TOO_FAR_OFF:
        yield note("clock", told, Advice("widget tokens carry this machine's time: let it follow a time server (NTP)"))
    else:
        harm = (
            "tokens for the widget are signed for the future"
            if skew.seconds > 0
            else "expired widget tokens are served"
        )
        yield bad("clock", f"{told}: {harm}", Advice("let this machine follow a time server (NTP)"), Cause.SETTINGS)


def _limits(seen: Observations) -> Iterator[Finding]:
    told = False
    for probe, name in ((Probe.SHOP_AGAIN, "shop"), (Probe.VERIFICATION_DATA, "verification_data")):
        it = seen.exchanges.get(probe) or (seen.exchanges.get(Probe.SHOP) if probe is Probe.SHOP_AGAIN else None)
        if it is None:
            continue
        said, table = RateLimitHeaders.of(it.headers), DOCUMENTED_RATE_LIMITS[name]
        if said.limit is None and said.remaining is None:
            continue
        told = True
        left = "" if said.remaining is None else f", {said.remaining} left"
        if said.limit is not None and said.limit != table.requests:
            smaller = "the SDK keeps to it by itself" if said.limit < table.requests else "the SDK keeps to the table"
            told_limit = f"{name}: {said.limit} requests{left}; documented are {table.requests} in {table.per:g} s"
            yield note("limits", told_limit, Advice(smaller))
        elif said.remaining is not None and said.remaining < table.requests // 2:
            yield note(
                "limits",
                f"{name}: {table.requests} requests in {table.per:g} s{left}",
                Advice("something else uses this key: share one limiter among the processes of a shop"),
            )
        else:
            yield good("limits", f"{name}: {table.requests} requests in {table.per:g} s, as documented{left}")
    if not told and isinstance(getattr(seen.exchanges.get(Probe.SHOP), "outcome", None), Response):
        yield good("limits", "answers do not tell them; the SDK keeps to the documented ones")


def _speed(seen: Observations) -> Iterator[Finding]:
    times = [
        it.seconds
        for probe in (Probe.SHOP_AGAIN, Probe.SHOP)
        if (it := seen.exchanges.get(probe)) is not None and it.status is not None
    ]
    if not times:
        return
    if times[0] < _SLOW:
        yield good("speed", f"/me is there in {_milliseconds(times[0])}")
    else:
        yield note(
            "speed",
            f"/me takes {times[0]:.1f} s",
            Advice("0.6 to 1 s is usual; {timeout} bounds one attempt", {"timeout": ...}),
        )


def _undocumented(seen: Observations) -> Iterator[Finding]:
    for reading in read(seen):
        if not reading.documented and reading.point != "health":
            yield note(
                reading.point,
                f"{reading.seen}, which no page documents",
                Advice("the SDK makes of it what it can; tell the vendor, with the block below"),
            )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1_000:,.0f} ms"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"

"""``neuroon verify``: verification of the shop's domain."""

# Annotations are read by typer at run time, so they are not postponed here.

from typing import Annotated

import typer
from msgspec import to_builtins
from msgspec.structs import asdict

from ...api.results import Verification, VerificationData
from ...errors import UsageError
from ..console import note, out, print_json, print_pairs
from ..exits import exit_codes, run
from ..groups import with_groups
from ..options import Credentials, Debug, Json, Network, connect

__all__ = ["verify"]


@with_groups
def verify(
    *,
    domain: Annotated[str | None, typer.Argument(help="Such as https://shop.example")] = None,
    status: Annotated[bool, typer.Option("--status", help="Show the state of the verification.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the verification.")] = False,
    credentials: Credentials,
    network: Network,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Start verifying the shop's domain, show how far it is (--status), or undo it (--remove)."""
    with exit_codes(debug=debug):
        if [domain is not None, status, remove].count(True) != 1:
            raise UsageError("give exactly one: a DOMAIN to verify, --status, or --remove")

        async def talk() -> Verification | VerificationData | None:
            async with connect(credentials, network) as client:
                if domain is not None:
                    return await client.domain.verify(domain)
                if status:
                    return await client.domain.verification_data()
                await client.domain.unverify()
                return None

        answer = run(talk())
        if as_json:
            print_json({"removed": True} if answer is None else to_builtins(asdict(answer)))
        else:
            _print_verification(answer)


def _print_verification(answer: Verification | VerificationData | None) -> None:
    if answer is None:
        out().print("The verification was removed.")
        return
    pairs: list[tuple[str, object]] = [("domain", answer.domain), ("code", answer.verification_code)]
    if isinstance(answer, VerificationData):
        pairs += [
            ("verified", answer.verified),
            ("verified since", answer.verified_at),
            ("what to do", answer.instructions),
        ]
    print_pairs(*pairs)
    if isinstance(answer, Verification) and answer.verification_code:
        note(
            "Publish the code on the domain. 'neuroon verify --status' shows whether it was found, and how to publish "
            "it where the API says so."
        )

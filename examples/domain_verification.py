"""Verify the shop's domain: ``python examples/domain_verification.py https://shop.example``.

The API hands out a code, the shop publishes it, the service looks for it. The API allows 5 verifications in 300 seconds
and a verified domain needs no other, so the state is asked for first.
"""

import asyncio
import sys

from neuroon_async import Conflict, NeuroonClient, NotFound


async def main(domain: str) -> None:
    async with NeuroonClient.from_env() as client:
        try:
            data = await client.domain.verification_data()
        except NotFound:  # some servers may have nothing to tell before the first verification
            data = None
        if data is not None and (data.verified or data.verified_at):
            print(f"{data.domain or domain} is verified already")
            return
        try:
            verification = await client.domain.verify(domain)
        except Conflict:
            print(f"{domain} is verified already")
            return
        print(f"publish this code on {domain}: {verification.verification_code}")
        data = await client.domain.verification_data()
        print(data.instructions or "the service gives no instructions; see the shop's dashboard")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "https://shop.example"))

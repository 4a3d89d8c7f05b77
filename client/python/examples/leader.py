# SPDX-License-Identifier: Apache-2.0
"""One of these leads, and all know where it is: leader.py ADDRESS"""
import asyncio
import sys

import holdfast


async def main(address: str) -> None:
    async def lead(lease: holdfast.aio.Lease) -> None:
        """Cancelled when the leadership is lost."""
        print(f"{address} leads, with fence {lease.fence}", flush=True)
        await asyncio.Event().wait()

    async with (
        holdfast.aio.Client() as client,
        client.elect("scheduler", lead, value=address.encode()),
        client.watch("scheduler") as states,
    ):
        async for state in states:
            if not state.is_known:
                print(f"who leads is not known: {state.why_unknown}", flush=True)
            elif state.holder is not None:
                print(f"the leader is at {state.holder.value.decode()}", flush=True)


asyncio.run(main(sys.argv[1]))

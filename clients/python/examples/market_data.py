"""Follow a book and the trades of one instrument with asyncio. Run: python market_data.py 127.0.0.1:7450 ACME"""

# ruff: noqa: T201 - an example talks to a person

import asyncio
import sys

from lockstep import AsyncClient, Book, Feed, PublicTrade, TradesMissed


async def main(address: str, symbol: str) -> None:
    async with AsyncClient(address) as client:
        subscription = await client.subscribe([symbol], feeds=[Feed.L2, Feed.TRADES])
        async for update in subscription:
            if isinstance(update, Book):
                print(f"seq {update.seq}: bid {update.best_bid} ask {update.best_ask}")
            elif isinstance(update, PublicTrade):
                print(f"seq {update.seq}: traded {update.quantity_lots} lots at {update.price_ticks} ticks")
            elif isinstance(update, TradesMissed):
                print(f"trades after seq {update.after_seq} up to {update.until_seq} can't be had: {update.text}")


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:] if len(sys.argv) == 3 else ("127.0.0.1:7450", "ACME"))))

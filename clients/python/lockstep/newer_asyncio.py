"""`Runner` and `timeout` of asyncio, which came with Python 3.11; before, from the packages that brought them back."""

import sys

if sys.version_info >= (3, 11):
    from asyncio import Runner, timeout
else:
    from async_timeout import timeout
    from backports.asyncio.runner import Runner

__all__ = ["Runner", "timeout"]

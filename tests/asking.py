"""Requests of tests over HTTP."""

import httpx

http = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
"""Asks as ``httpx.get`` and its like do, each time on a connection of its own, and reads no certificates for it."""

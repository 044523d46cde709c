"""The client for bots: a folder that needs ``httpx`` alone, so that it can be copied to where a bot runs.

    with PayloadClient("http://127.0.0.1:6300", "payloads") as client:
        payload = client.get("mid_chg_5b", "AAPL")
    booster = xgboost.Booster()
    booster.load_model(bytearray(payload.model_json, "utf-8"))
    prediction = booster.inplace_predict(numpy.array([payload.normalize(row)]))

`PayloadClient.get` asks on condition (``If-None-Match``), checks the digest that the server's ``ETag`` carries and
that model, factors and normalization pair up, and keeps the last good copy. When the server is away it hands out that
copy, says so in `Payload.stale` and warns in the log ``mm_core.client``.

A bot with many symbols keeps all of them current in one step, and reads them from the local copies:

    while True:
        synced = client.sync("mid_chg_5b", wait=25)  # returns as soon as something changed
        for symbol in synced.changed:
            payload = client.local("mid_chg_5b", symbol)

A model that has versions is pulled by version, or as whatever is deployed:

    payload = client.deployed("sentiment-fusion")
    booster = lightgbm.Booster(model_str=payload.model)  # where payload.model_format is "lightgbm-text"
    probabilities = booster.predict([payload.normalize(row)])

    PayloadError
    ├── ServerAway          no usable answer after all attempts, and no copy that may stand in
    ├── PayloadNotFound     404, 409, 422 or 400, with the server's sentence; a copy never stands in for these
    ├── RequestRefused      any other 4xx
    ├── BadAnswer           an answer that must not be used: not a payload, or one whose parts do not pair up
    │   └── DigestMismatch  the body is not the one that the ETag names, in every attempt
    ├── NoLocalCopy         there is no whole local copy, or it is older than allowed, or the disk took none
    └── BadRow              a row of factors that cannot be normalized; names every problem

Arguments that make no sense raise `ValueError`.
"""

from .client import PayloadClient
from .errors import (
    BadAnswer,
    BadRow,
    DigestMismatch,
    NoLocalCopy,
    PayloadError,
    PayloadNotFound,
    RequestRefused,
    ServerAway,
)
from .payloads import DimFactor, Payload, StaleCopy
from .synced import Synced
from .versions import DeployedVersion, VersionPayload

__all__ = [
    "BadAnswer",
    "BadRow",
    "DeployedVersion",
    "DigestMismatch",
    "DimFactor",
    "NoLocalCopy",
    "Payload",
    "PayloadClient",
    "PayloadError",
    "PayloadNotFound",
    "RequestRefused",
    "ServerAway",
    "StaleCopy",
    "Synced",
    "VersionPayload",
]

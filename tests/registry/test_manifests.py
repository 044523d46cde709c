"""What a manifest says is true at the revision that it names, whoever commits while it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mm_core.payloads import Coding, entity_tag
from mm_core.registry import Registry, manifests
from mm_core.registry.manifests import Manifest, Manifests

LOOKS = 9
"""At the store and at what is published: more than a manifest of two symbols takes."""


class _Hooked:
    """Something of which each method first tells that it is called."""

    def __init__(self, hooked: object, called: Callable[[], None]) -> None:
        self._hooked = hooked
        self._called = called

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._hooked, name)

        def call(*args: object) -> object:
            self._called()
            return method(*args)

        return call


@pytest.fixture
def published(registry: Registry, write_group: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry whose model ``m`` has two published symbols."""
    monkeypatch.setattr(manifests, "ALIGNING_SECONDS", 0.05)
    write_group("BTCUSDT_mid_chg_1m")
    registry.registrations.register("m", str(write_group()))
    registry.publisher.publish_all()
    return registry


def _save(registry: Registry, mean: float) -> None:
    body = {"mean_values": [mean, 0.0, 0.0], "variance_values": [1.0, 1.0, 1.0]}
    registry.configs.save("m", "SOLUSDT", {"SOLUSDT": body}, by="api")


def _digest(registry: Registry) -> str:
    return registry.payloads.handle("m", "SOLUSDT").digest


def _item(manifest: Manifest) -> dict[str, Any]:
    return next(item for item in json.loads(manifest.data)["items"] if item["symbol"] == "SOLUSDT")


@pytest.mark.parametrize("publishes", [False, True], ids=["not published", "published"])
@pytest.mark.parametrize("look", range(1, LOOKS + 1))
def test_whenever_somebody_commits_a_manifest_names_no_tag_of_another_revision_than_its_own(
    published: Registry, look: int, publishes: bool
) -> None:
    digests = {published.view().revision: _digest(published)}
    calls = 0

    def called() -> None:
        nonlocal calls
        calls += 1
        if calls == look:
            _save(published, 0.5)
            digests[published.view().revision] = _digest(published)
            if publishes:
                published.publisher.publish_all()

    made = Manifests(_Hooked(published.store, called), _Hooked(published.published, called))  # type: ignore[arg-type]
    manifest = made.get("m")
    calls = LOOKS
    item = _item(manifest)
    assert item["sha256"] in (None, digests[manifest.revision])
    assert item["config_revision"] == len(digests) - (manifest.revision != max(digests))
    published.publisher.publish_all()
    if manifest.revision != max(digests):
        assert published.changes.since("m", manifest.revision).symbols == ("SOLUSDT",), "or bots would miss it"
    after = _item(made.get("m"))
    assert (after["sha256"], after["etag"]) == (_digest(published), entity_tag(_digest(published), Coding.IDENTITY))


def test_where_others_commit_all_the_time_a_manifest_comes_without_tags(published: Registry) -> None:
    means = iter(range(1, 1000))
    hooked = _Hooked(published.store, lambda: _save(published, float(next(means))))
    manifest = Manifests(hooked, published.published).get("m")  # type: ignore[arg-type]
    assert _item(manifest)["etag"] is None


def test_a_manifest_is_made_once_for_a_revision(published: Registry) -> None:
    first = published.manifests.get("m")
    assert published.manifests.get("m") is first
    _save(published, 0.5)
    published.publisher.publish_all()
    second = published.manifests.get("m")
    assert (second.revision, second.sha256 != first.sha256) == (first.revision + 1, True)
    assert published.manifests.get("m") is second

"""What was kept of artifacts is lost: it is read again from where the root leads now, as a refresh would."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mm_core.conversion import OnnxConverter
from mm_core.errors import PayloadChanged
from mm_core.payloads import Coding
from mm_core.registry import Registry
from mm_core.registry.payloads import ONNX_NOTE
from mm_core.settings import Settings
from mm_core.wiring import open_registry

Write = Callable[..., Path]


def _pulled(registry: Registry) -> bytes:
    return registry.payloads.body(registry.payload("m", "SOLUSDT"), Coding.IDENTITY)


@pytest.fixture
def linked(registry: Registry, write_group: Write, settings: Settings) -> Path:
    """The root of model ``m``: a link to where it was moved, and nothing is kept of its files any more."""
    root = write_group(model_onnx=b"the researcher's own")
    registry.registrations.register("m", str(root))
    root.rename(root.with_name("real"))
    root.symlink_to(root.with_name("real"))
    registry.payload("m", "SOLUSDT")
    shutil.rmtree(settings.data_dir / "blobs")
    return root


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_root_that_became_a_link_gives_the_lost_models_and_onnx_again(
    linked: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, refreshed: bool
) -> None:
    monkeypatch.setattr(OnnxConverter, "convert", lambda self, data: b"converted from the booster")
    registry = open_registry(settings)
    if refreshed:
        registry.registrations.refresh("m")
    assert b"model_json" in _pulled(registry)
    assert registry.payloads.onnx("m", "SOLUSDT").data == b"the researcher's own"


def test_a_link_that_leads_out_of_the_allowed_roots_gives_nothing_and_says_so(linked: Path, settings: Settings) -> None:
    registry = open_registry(replace(settings, artifact_roots=(linked.parent / "allowed",)))
    with pytest.raises(PayloadChanged, match=r"model of group 'SOLUSDT_mid_chg_1m' is no longer kept.*outside the"):
        _pulled(registry)


def test_a_root_that_is_away_is_named_where_what_was_kept_of_it_is_lost(linked: Path, settings: Settings) -> None:
    linked.unlink()
    with pytest.raises(PayloadChanged, match=rf"no longer kept.*'{linked}' does not exist.*Ask again"):
        _pulled(open_registry(settings))


@pytest.mark.parametrize("damaged", [b"", bytes(64), b"\xff" * 64, b"0" * 63, b"../../etc/passwd", b"G" * 64])
def test_a_note_that_names_no_onnx_is_written_anew(
    registry: Registry, write_group: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch, damaged: bytes
) -> None:
    conversions: list[bytes] = []
    monkeypatch.setattr(OnnxConverter, "convert", lambda self, data: conversions.append(data) or b"converted")
    registry.registrations.register("m", str(write_group()))
    assert registry.payloads.onnx("m", "SOLUSDT").data == b"converted"
    (note,) = (settings.data_dir / "blobs").rglob("*" + ONNX_NOTE)
    whole = note.read_bytes()
    note.write_bytes(damaged)
    registry.housekeeping.execute(registry.housekeeping.plan_cleanup())
    for _ in range(2):
        assert registry.payloads.onnx("m", "SOLUSDT").data == b"converted"
    assert note.read_bytes() == whole
    assert len(conversions) == 2

"""Small artifact directories with a real booster."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import xgboost

from mm_core.registry import Registry
from mm_core.settings import Settings, load_settings
from mm_core.wiring import open_registry

hypothesis.settings.register_profile("no clock", deadline=None)  # a busy machine is no defect
hypothesis.settings.load_profile("no clock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files with slow tests begin first: one that begins last would keep one process busy and the others idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in slow)


FACTORS = ("momentum_5", "volatility_20", "spread_3")


@pytest.fixture(scope="session")
def booster_json() -> bytes:
    """A booster of three features and four trees, as XGBoost saves it."""
    generator = np.random.default_rng(7)
    features = generator.normal(size=(200, 3)).astype("float32")
    label = features[:, 0] - 0.5 * features[:, 1] + generator.normal(scale=0.1, size=200)
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(features, label), num_boost_round=4)
    return bytes(booster.save_raw("json"))


@pytest.fixture(scope="session")
def booster_pickle(booster_json: bytes) -> bytes:
    """The same booster, pickled."""
    booster = xgboost.Booster()
    booster.load_model(bytearray(booster_json))
    return pickle.dumps(booster, protocol=4)


@pytest.fixture
def write_group(tmp_path: Path, booster_json: bytes) -> Callable[..., Path]:
    """Write a whole group below ``tmp_path/root``; keyword arguments replace a file's content, None leaves it out."""

    def write(key: str = "SOLUSDT_mid_chg_1m", folder: str = ".", **files: bytes | None) -> Path:
        return write_group_below(tmp_path / "root", booster_json, key, folder, **files)

    return write


def write_group_below(root: Path, booster_json: bytes, key: str, folder: str = ".", **files: bytes | None) -> Path:
    """Write a whole group below ``root``; keyword arguments replace a file's content, None leaves it out."""
    symbol = key.split("_")[0]
    return_name = key.partition("_")[2]
    rows = "".join(f"{symbol},{name},{return_name},{0.01 * (at + 1):.2f}\n" for at, name in enumerate(FACTORS))
    info = {"symbol": symbol, "return_name": return_name, "train_samples": 1234, "train_end_date": "2024-05-01"}
    whole: dict[str, bytes | None] = {
        "factors_txt": "\n".join(FACTORS).encode() + b"\n",
        "ic_csv": b"symbol,factor_name,return_name,Kendall_tau\n" + rows.encode(),
        "info_pkl": pickle.dumps(info, protocol=4),
        "model_json": booster_json,
        "model_pkl": None,
        **files,
    }
    (root / folder).mkdir(parents=True, exist_ok=True)
    for role, content in whole.items():
        if content is not None:
            stem, _, suffix = role.rpartition("_")
            (root / folder / f"{key}_{stem}.{suffix}").write_bytes(content)
    return root


@pytest.fixture
def model_root(write_group: Callable[..., Path]) -> Path:
    """A root with two whole groups."""
    write_group("BTCUSDT_mid_chg_1m")
    return write_group("SOLUSDT_mid_chg_1m")


def config_of(mean: float) -> dict[str, dict[str, list[float]]]:
    """Return a factor config of ``SOLUSDT``, all of whose means are ``mean``."""
    return {"SOLUSDT": {"mean_values": [mean] * len(FACTORS), "variance_values": [1.0] * len(FACTORS)}}


def save_config(registry: Registry, mean: float, model_name: str = "m") -> int:
    """Save `config_of` a mean; return the revision."""
    return registry.configs.save(model_name, "SOLUSDT", config_of(mean), by="api").record.revision


@pytest.fixture
def num_feature(booster_json: bytes) -> int:
    """What the booster itself says."""
    return int(json.loads(booster_json)["learner"]["learner_model_param"]["num_feature"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data directory of their own."""
    return load_settings({"MODEL_MANAGER_DATA_DIR": str(tmp_path / "data"), "MODEL_MANAGER_WATCH_DEBOUNCE": "0.2"})


@pytest.fixture
def registry(settings: Settings) -> Registry:
    """A registry on an empty data directory."""
    return open_registry(settings)


@pytest.fixture
def registered(registry: Registry, model_root: Path) -> Registry:
    """A registry whose model ``m`` has two whole groups."""
    registry.registrations.register("m", str(model_root))
    return registry


@pytest.fixture
def tree_digest() -> Callable[[Path], str]:
    """Digest names, contents, sizes, modes and times of a whole tree."""

    def digest(root: Path) -> str:
        found = hashlib.sha256()
        for path in sorted(root.rglob("*")):
            status = path.lstat()
            found.update(f"{path.relative_to(root)} {status.st_mode} {status.st_mtime_ns} {status.st_ino}\n".encode())
            if path.is_file() and not path.is_symlink():
                found.update(path.read_bytes())
        return found.hexdigest()

    return digest

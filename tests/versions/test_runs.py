"""Runs are listed, shown and loaded as they are, and `latest` is told by name."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from mm_core import versions
from mm_core.errors import InvalidRoot, RootNotManaged, RunNotFound
from mm_core.versions import Latest
from mm_core.versions.managed import MARKER
from tests.versions.conftest import FILES, WriteRun, metadata, names_below

OLD, NEW, NEWEST = "20250724_150634", "20250724_150837", "20250724_150841"


def test_versions_are_listed_newest_first_with_what_is_in_them(root: Path, write_run: WriteRun) -> None:
    for version in (NEW, f"{NEW}_2", OLD, f"{NEW}_10"):
        write_run(version)
    runs = versions.list_versions(root)
    assert [run.version for run in runs] == [f"{NEW}_10", f"{NEW}_2", NEW, OLD]
    first = runs[0]
    assert (first.path, first.created_at) == (root / f"{NEW}_10", "2025-07-24T15:08:37+00:00")
    assert first.available_models == ("lstm", "xgboost")
    assert [(file.name, file.format, file.size_bytes) for file in first.files] == [
        ("lstm_model.h5", "keras-h5", 1000),
        ("xgboost_model.pkl", "pickle", 500),
    ]
    assert first.metadata is not None
    assert first.metadata.best_sharpe == 1.7
    assert first.findings == ()


def test_the_size_of_a_version_is_that_of_all_files_below_it_and_of_none_behind_links(
    root: Path, write_run: WriteRun, tmp_path: Path
) -> None:
    directory = write_run(NEW)
    (directory / "plots").mkdir()
    (directory / "plots" / "loss.png").write_bytes(bytes(700))
    (tmp_path / "large").write_bytes(bytes(100_000))
    (directory / "linked").symlink_to(tmp_path / "large")
    (directory / "outside").symlink_to(tmp_path)
    (run,) = versions.list_versions(root)
    about = (directory / "training_metadata.json").stat().st_size
    assert run.size_bytes == sum(map(len, FILES.values())) + 700 + about


def test_bug_a_directory_of_fifteen_characters_that_is_no_date_does_not_empty_the_list(
    root: Path, write_run: WriteRun
) -> None:
    write_run(NEW)
    for name in ("experiments-old", "20251399_999999", "2025072_4150837"):
        (root / name).mkdir()
        assert len(name) == 15
    assert [run.version for run in versions.list_versions(root)] == [NEW]


def test_what_lies_beside_versions_is_none_of_them(root: Path, write_run: WriteRun, tmp_path: Path) -> None:
    write_run(NEW)
    for name in ("ensemble", "cnn"):
        (root / name).mkdir()
    (root / "cnn" / "AAPL_model.h5").write_bytes(b"x")
    (root / "random_forest_model.pkl").write_bytes(b"x")
    (root / "20250101_000000").write_text("a file")
    (root / "20250101_000001").symlink_to(tmp_path)
    (root / "20250101_000002").symlink_to(NEW)
    (root / "20250101_000003").symlink_to("nowhere")
    assert [run.version for run in versions.list_versions(root)] == [NEW]


@pytest.mark.parametrize("about", [b"", b'{"timestamp": ', b"\x80\x04.", b"[]", False])
def test_a_version_with_corrupt_metadata_is_listed_and_loaded_without_metrics(
    root: Path, write_run: WriteRun, about: object
) -> None:
    write_run(NEW, about)
    (run,) = versions.list_versions(root)
    assert run.metadata is None
    assert [(finding.code, finding.severity) for finding in run.findings] == [("corrupt-metadata", "warning")]
    assert versions.load_version(root).available_models == ("lstm", "xgboost")


def test_metadata_that_is_a_link_out_of_the_root_is_not_read(root: Path, write_run: WriteRun, tmp_path: Path) -> None:
    directory = write_run(NEW, False)
    (tmp_path / "secret.json").write_text('{"trained_models": ["secret"]}')
    (directory / "training_metadata.json").symlink_to(tmp_path / "secret.json")
    (run,) = versions.list_versions(root)
    assert (run.metadata, run.findings[0].code) == (None, "corrupt-metadata")


def test_loading_tells_which_models_have_no_file(root: Path, write_run: WriteRun) -> None:
    about = metadata(trained_models=["lstm", "cnn", "gru"], ensemble_weights={"lstm": 0.5, "cnn": 0.3, "tcn": 0.2})
    write_run(NEW, about, {"lstm_model.h5": b"x", "gru_model.pt": b""})
    run = versions.load_version(root, NEW)
    assert run.available_models == ("lstm",)
    assert run.missing_models == ("cnn", "gru", "tcn")  # an empty file is no model
    assert [finding.code for finding in run.findings] == ["weights-without-file"] * 2


def test_loading_opens_no_file_of_a_model(root: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(NEW)
    opened = []
    real = os.open

    def recorded(path: object, *arguments: object, **options: object) -> int:
        opened.append(str(path))
        return real(path, *arguments, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(os, "open", recorded)
    versions.load_version(root)
    assert any("training_metadata.json" in path for path in opened)
    assert not any("_model." in path for path in opened)


def test_a_version_without_any_model_cannot_be_loaded_and_can_be_shown(root: Path, write_run: WriteRun) -> None:
    write_run(NEW, files={})
    with pytest.raises(RunNotFound, match="no model to load"):
        versions.load_version(root, NEW)
    assert versions.show_version(root, NEW).files == ()


def test_bug_loading_a_version_that_is_not_there_switches_nothing(root: Path, write_run: WriteRun) -> None:
    write_run(OLD)
    write_run(NEW)
    (root / "latest").symlink_to(OLD)
    with pytest.raises(RunNotFound, match=f"Version {NEWEST} not found."):
        versions.load_version(root, NEWEST)
    assert versions.current_version(root) == Latest(OLD, "link")
    assert versions.load_version(root).version == OLD


def test_bug_the_current_version_is_a_name_and_never_the_word_latest(root: Path, write_run: WriteRun) -> None:
    write_run(OLD)
    write_run(NEW)
    (root / "latest").symlink_to(OLD)
    assert versions.current_version(root).version == OLD
    assert versions.show_version(root, "latest").version == OLD
    assert versions.load_version(root, "latest").version == OLD


def test_latest_is_the_newest_where_there_is_no_link(root: Path, write_run: WriteRun) -> None:
    assert versions.current_version(root) == Latest(None, None)
    write_run(OLD)
    write_run(NEW)
    assert versions.current_version(root) == Latest(NEW, "newest")


def test_latest_passes_over_directories_that_a_training_did_not_finish(root: Path, write_run: WriteRun) -> None:
    (root / "20250724_160000").mkdir()
    assert versions.current_version(root) == Latest("20250724_160000", "newest")
    write_run(NEWEST, False)
    assert versions.current_version(root) == Latest(NEWEST, "newest")
    write_run(NEW, b"{ corrupt")
    assert versions.current_version(root) == Latest(NEW, "newest")


def test_latest_without_links_is_what_the_pointer_file_names(root: Path, write_run: WriteRun) -> None:
    write_run(OLD)
    write_run(NEW)
    (root / "latest.txt").write_text(f"\ufeff{OLD}\r\n")
    assert versions.current_version(root) == Latest(OLD, "file")
    (root / "latest").symlink_to(NEW)
    assert versions.current_version(root) == Latest(NEW, "link")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("20990101_000000", "leads to nothing"),
        ("latest", "leads to no version"),
        ("../elsewhere/20250724_150634", "leads to no version"),
        (".", "leads to no version"),
        ("ensemble", "leads to no version"),
        ("/", "leads to no version"),
    ],
)
def test_a_link_that_leads_to_no_version_of_the_root_is_told_and_the_newest_taken(
    root: Path, write_run: WriteRun, target: str, says: str
) -> None:
    write_run(OLD)
    write_run(NEW)
    (root / "ensemble").mkdir()
    (root.parent / "elsewhere" / OLD).mkdir(parents=True)
    (root / "latest").symlink_to(target)
    found = versions.current_version(root)
    assert (found.version, found.source) == (NEW, "newest")
    assert found.problem is not None
    assert says in found.problem
    (root / "latest.txt").write_text(OLD)
    assert versions.current_version(root) == Latest(OLD, "file", found.problem)


@pytest.mark.parametrize("target", [OLD, f"./{OLD}", f"{OLD}/", "stable", "{root}/" + OLD])
def test_a_link_may_be_written_in_any_way_that_leads_there(root: Path, write_run: WriteRun, target: str) -> None:
    write_run(OLD)
    write_run(NEW)
    (root / "stable").symlink_to(OLD)
    (root / "latest").symlink_to(target.format(root=root))
    assert versions.current_version(root) == Latest(OLD, "link")


def test_a_version_that_is_published_while_a_root_is_listed_is_the_latest_all_the_same(
    root: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(OLD)
    (root / "latest").symlink_to(OLD)
    real = os.scandir

    def then_published(path: object) -> object:
        entries = list(real(path))  # type: ignore[call-overload]
        if not (root / NEW).exists():
            write_run(NEW)
            (root / "latest").unlink()
            (root / "latest").symlink_to(NEW)
        return nullcontext(entries)

    monkeypatch.setattr(os, "scandir", then_published)
    assert versions.show_version(root, "latest").version == NEW
    assert versions.current_version(root) == Latest(NEW, "link")


def test_a_version_that_is_removed_while_a_root_is_listed_is_not_half_there(
    root: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(OLD)
    write_run(NEW)
    real = os.scandir

    def then_removed(path: object) -> object:
        entries = list(real(path))  # type: ignore[call-overload]
        if (root / OLD).exists():
            (root / OLD).rename(root / ".gone")
        return nullcontext(entries)

    monkeypatch.setattr(os, "scandir", then_removed)
    assert [run.version for run in versions.list_versions(root)] == [NEW]


def test_a_root_may_itself_be_a_link(root: Path, write_run: WriteRun, tmp_path: Path) -> None:
    write_run(OLD)
    write_run(NEW)
    (root / "latest").symlink_to(OLD)
    (tmp_path / "shared").symlink_to(root)
    assert versions.current_version(tmp_path / "shared") == Latest(OLD, "link")
    assert [run.version for run in versions.list_versions(tmp_path / "shared")] == [NEW, OLD]


@pytest.mark.parametrize("content", ["", "latest", "../" + OLD, "20990101_000000", "\x00", "x" * 10_000])
def test_a_pointer_file_that_names_no_version_is_told_and_the_newest_taken(
    root: Path, write_run: WriteRun, content: str
) -> None:
    write_run(OLD)
    (root / "latest.txt").write_text(content)
    found = versions.current_version(root)
    assert (found.version, found.source) == (OLD, "newest")
    assert "names" in str(found.problem)


@pytest.mark.parametrize("name", ["", ".", "..", "/", "latest/..", "../models/" + OLD, f"{OLD}/", "{root}/" + OLD])
def test_a_version_is_told_by_its_name_alone(root: Path, write_run: WriteRun, name: str) -> None:
    write_run(OLD)
    with pytest.raises(RunNotFound, match="not found"):
        versions.show_version(root, name.format(root=root))


def test_a_root_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nowhere", tmp_path / "file", "a\0b"):
        with pytest.raises(InvalidRoot, match="Name the directory of the runs"):
            versions.list_versions(path)


def test_reading_writes_nothing(root: Path, write_run: WriteRun) -> None:
    write_run(NEW)
    before = {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))}
    versions.list_versions(root)
    versions.load_version(root)
    versions.current_version(root)
    assert {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))} == before


def test_init_manages_a_directory_once_and_keeps_what_is_in_it(root: Path, write_run: WriteRun, tmp_path: Path) -> None:
    write_run(NEW)
    assert versions.init(root) == root
    marker = (root / ".model-manager-root.json").read_bytes()
    assert versions.init(str(root)) == root
    assert (root / ".model-manager-root.json").read_bytes() == marker
    assert names_below(root) == {NEW}
    assert versions.init(tmp_path / "a" / "new") == tmp_path / "a" / "new"


def test_init_refuses_what_cannot_be_for_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("/", tmp_path):
        with pytest.raises(InvalidRoot, match="for runs alone"):
            versions.init(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("marker", [None, b"", b"{}", b'{"format": 2}', b'{"format": 3}', b"[1]", "link"])
def test_a_root_that_nobody_gave_over_is_never_changed(root: Path, write_run: WriteRun, marker: object) -> None:
    write_run(OLD)
    write_run(NEW)
    if marker == "link":
        (root.parent / "marker").write_text('{"format": 1}')
        (root / ".model-manager-root.json").symlink_to(root.parent / "marker")
    elif isinstance(marker, bytes):
        (root / ".model-manager-root.json").write_bytes(marker)
    before = set(root.rglob("*"))
    for change in (
        lambda: versions.publish(root).__enter__(),
        lambda: versions.plan_delete(root, OLD),
        lambda: versions.plan_cleanup(root, 1),
        lambda: versions.move_latest(root, OLD),
        lambda: versions.pin(root, OLD),
        lambda: versions.unpin(root, OLD),
    ):
        with pytest.raises(RootNotManaged):
            change()
    assert set(root.rglob("*")) == before


def _marker(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / MARKER).read_text())
    return document


@pytest.mark.parametrize("copy", [["cp", "-r"], ["cp", "-a"]], ids=" ".join)
def test_a_copy_of_a_managed_root_is_read_only_until_somebody_gives_it_over(
    managed: Path, write_run: WriteRun, tmp_path: Path, copy: list[str]
) -> None:
    for version in (OLD, NEW):
        write_run(version)
    other = tmp_path / "copy"
    subprocess.run([*copy, str(managed), str(other)], check=True)
    for change in (
        lambda: versions.plan_delete(other, OLD),
        lambda: versions.plan_cleanup(other, 1),
        lambda: versions.pin(other, OLD),
        lambda: versions.move_latest(other, OLD),
        lambda: versions.publish_directory(other, managed / OLD),
    ):
        with pytest.raises(RootNotManaged, match=rf"made for '{managed}'.*mm_core init '{other}'"):
            change()
    assert versions.plan_delete(managed, OLD).removals, "the one that was copied stays managed"
    assert versions.init(other) == other
    versions.execute(versions.plan_delete(other, OLD))
    assert ((other / OLD).exists(), (managed / OLD).exists()) == (False, True)


def test_a_managed_root_may_be_renamed_and_be_another_directory_in_the_same_place(
    managed: Path, write_run: WriteRun, tmp_path: Path
) -> None:
    for version in (OLD, NEW):
        write_run(version)
    renamed = managed.rename(tmp_path / "renamed")
    assert versions.plan_cleanup(renamed, 1).removals, "the same directory by another name"
    subprocess.run(["cp", "-r", str(renamed), str(managed)], check=True)
    assert versions.plan_cleanup(managed, 1).removals, "as after a restore: the place that was given over"


def test_a_root_that_was_given_over_before_markers_named_their_directory_stays_managed_and_init_binds_it(
    managed: Path, tmp_path: Path
) -> None:
    old = {"format": 1, "kind": "runs", "created_at": "2026-01-01T00:00:00+00:00"}
    (managed / MARKER).write_text(json.dumps(old))
    assert versions.plan_cleanup(managed, 1).removals == ()
    versions.init(managed)
    status = managed.stat()
    assert _marker(managed) == {
        **old, "format": 2, "path": str(managed), "device": status.st_dev, "inode": status.st_ino
    }  # fmt: skip


def test_a_root_that_was_given_over_with_its_copies_is_managed_wherever_it_is_copied(
    managed: Path, tmp_path: Path
) -> None:
    for root in (managed, tmp_path / "new"):
        versions.init(root, with_copies=True)
        assert "path" not in _marker(root)
        subprocess.run(["cp", "-r", str(root), f"{root}-copy"], check=True)
        assert versions.plan_cleanup(f"{root}-copy", 1).removals == ()


@pytest.mark.parametrize("change", [{"path": 3}, {"path": None}, {"inode": "x"}, {"device": None}])
def test_a_marker_that_names_no_directory_gives_nothing_over(managed: Path, change: dict[str, Any]) -> None:
    (managed / MARKER).write_text(json.dumps({**_marker(managed), "path": "/else", "inode": 0, **change}))
    with pytest.raises(RootNotManaged):
        versions.plan_cleanup(managed, 1)

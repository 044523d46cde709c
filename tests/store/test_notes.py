"""Notes between processes: replaced whole, parsed once, wherever their names would lead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from mm_core.errors import StoreError
from mm_core.store import NoteDirectory
from mm_core.store.storage import read_file

PROJECT = Path(__file__).parent.parent.parent
ODD_NAMES = [
    "", ".", "..", "../..", "../../escaped", "/", "/etc/passwd", "a/b", "a\\b", "a\0b", "~", "*", "-rf", ".tmp-1",
    "state", "state.json", "x" * 100_000, "ÄÖÜ", "a\u0308", "\u00e4", "比特幣", "🚀", "\udcff", "\ud83d", "\ude80",
    "line\nfeed", "A", "a",
]  # fmt: skip

HOLDER = """
import sys
import tracemalloc
from pathlib import Path
from mm_core.store import NoteDirectory
lock = NoteDirectory(Path(sys.argv[1])).take_lock()
print("held" if lock is not None else "refused", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the notes are; nothing is there yet."""
    return tmp_path / "state" / "notes"


@pytest.fixture
def notes(path: Path) -> NoteDirectory:
    """An empty directory of notes."""
    return NoteDirectory(path)


def _text(data: bytes) -> str:
    return data.decode("utf-8")


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()]


def test_what_is_written_is_read_until_it_is_replaced_or_removed(notes: NoteDirectory) -> None:
    assert notes.read("m", "S", _text) is None
    notes.write("m", "S", b"one")
    assert notes.read("m", "S", _text) == "one"
    notes.write("m", "S", b"two")
    assert notes.read("m", "S", _text) == "two"
    notes.remove("m", "S")
    assert notes.read("m", "S", _text) is None
    notes.write("m", "S", b"three")
    assert notes.read("m", "S", _text) == "three"


def test_a_directory_that_does_not_exist_has_no_notes(notes: NoteDirectory, path: Path) -> None:
    assert (notes.read("m", "S", _text), list(notes.all())) == (None, [])
    notes.remove("m", "S")
    notes.keep_only({"m": {"S"}})
    assert not path.exists()


def test_removing_a_note_twice_is_fine(notes: NoteDirectory) -> None:
    notes.write("m", "S", b"one")
    notes.write("m", "T", b"two")
    notes.remove("m", "S")
    notes.remove("m", "S")
    notes.remove("other", "S")
    assert (notes.read("m", "S", _text), notes.read("m", "T", _text)) == (None, "two")


def test_an_unchanged_note_is_looked_at_once_a_read_and_parsed_once(
    notes: NoteDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.write("m", "S", b"[1]")
    looks: list[Any] = []
    opened: list[Any] = []
    parsed: list[bytes] = []
    stat = os.stat

    def counted_stat(target: Any, **more: Any) -> os.stat_result:
        looks.append(target)
        return stat(target, **more)

    def counted_read(target: Path) -> Any:
        opened.append(target)
        return read_file(target)

    def parse(data: bytes) -> Any:
        parsed.append(data)
        return json.loads(data)

    monkeypatch.setattr(os, "stat", counted_stat)
    monkeypatch.setattr("mm_core.store.notes.read_file", counted_read)
    first = notes.read("m", "S", parse)
    looks.clear()
    assert all(notes.read("m", "S", parse) is first for _ in range(10))
    assert (len(looks), len(opened), parsed) == (10, 1, [b"[1]"])


def test_each_replacement_is_parsed_even_with_content_of_the_same_length(notes: NoteDirectory, path: Path) -> None:
    other = NoteDirectory(path)
    for number in range(200):
        notes.write("m", "S", b"%03d" % number)
        assert notes.read("m", "S", int) == other.read("m", "S", int) == number


def test_a_note_of_another_instance_is_seen_replaced_and_missed(notes: NoteDirectory, path: Path) -> None:
    other = NoteDirectory(path)
    assert other.read("m", "S", _text) is None
    notes.write("m", "S", b"one")
    assert other.read("m", "S", _text) == "one"
    notes.write("m", "S", b"two")
    assert other.read("m", "S", _text) == "two"
    notes.remove("m", "S")
    assert other.read("m", "S", _text) is None


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name)[:20])
def test_no_name_leads_out_of_the_directory(notes: NoteDirectory, path: Path, tmp_path: Path, name: str) -> None:
    notes.write(name, name, b"mine")
    assert notes.read(name, name, _text) == "mine"
    (file,) = _files(tmp_path)
    assert file.parent.parent == path
    assert file.resolve() == file
    assert list(notes.all()) == [b"mine"]
    notes.keep_only({name: {name}})
    assert notes.read(name, name, _text) == "mine"
    notes.remove(name, name)
    assert _files(tmp_path) == []


def test_different_names_are_different_notes(notes: NoteDirectory) -> None:
    for number, name in enumerate(ODD_NAMES):
        notes.write(name, "n", b"%d" % number)
        notes.write("f", name, b"%d" % number)
    for number, name in enumerate(ODD_NAMES):
        assert notes.read(name, "n", int) == notes.read("f", name, int) == number
    notes.write("ab", "c", b"1")
    assert notes.read("a", "bc", int) is None


def test_only_the_named_notes_are_kept(notes: NoteDirectory, path: Path) -> None:
    for folder in ("", "m", "n", "gone"):
        for name in ("a", "b"):
            notes.write(folder, name, f"{folder}/{name}".encode())
    notes.keep_only({"": {"a"}, "m": {"a", "b", "never written"}, "n": set(), "never written": {"a"}})
    assert sorted(notes.all()) == [b"/a", b"m/a", b"m/b"]
    assert [notes.read(folder, "b", _text) for folder in ("", "m", "n", "gone")] == [None, "m/b", None, None]
    assert len(_files(path)) == 3
    notes.write("gone", "a", b"back")
    assert notes.read("gone", "a", _text) == "back"


def test_notes_of_folders_that_are_gone_are_forgotten_and_others_are_not_parsed_again(
    notes: NoteDirectory, path: Path, tmp_path: Path
) -> None:
    parsed: list[bytes] = []

    def parse(data: bytes) -> bytes:
        parsed.append(data)
        return data

    notes.forget_removed()
    for folder in ("gone", "kept"):
        notes.write(folder, "S", folder.encode())
        notes.read(folder, "S", parse)
    (gone,) = [file for file in _files(path) if file.read_bytes() == b"gone"]
    gone.parent.rename(tmp_path / "aside")
    notes.forget_removed()
    (tmp_path / "aside").rename(gone.parent)
    assert notes.read("kept", "S", parse) == b"kept"
    assert parsed == [b"gone", b"kept"]
    assert notes.read("gone", "S", parse) == b"gone"
    assert parsed == [b"gone", b"kept", b"gone"], "the same file, which would not be parsed again if it were known"
    path.rename(tmp_path / "lost")
    notes.forget_removed()
    assert notes.read("kept", "S", parse) is None


def test_names_without_a_note_stay_in_no_memory(notes: NoteDirectory) -> None:
    notes.write("m", "S", b"1")
    assert notes.read("m", "S", int) == 1
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1000):
            assert notes.read("m", f"{number:0200}", int) is notes.read(f"{number:0200}", "S", int) is None
        assert tracemalloc.get_traced_memory()[0] - before < 50_000, "400 kB were asked for"
    finally:
        tracemalloc.stop()


def test_a_write_that_never_ended_is_no_note_and_is_cleared_away(notes: NoteDirectory, path: Path) -> None:
    notes.write("m", "S", b"whole")
    (note,) = _files(path)
    note.with_name(".tmp-0123").write_bytes(b"ha")
    assert list(notes.all()) == [b"whole"]
    notes.keep_only({"m": {"S"}})
    assert _files(path) == [note]


def test_all_notes_of_all_folders_are_listed_once(notes: NoteDirectory) -> None:
    wanted = {f"{folder}-{name}".encode() for folder in ("m", "n", "") for name in range(3)}
    for data in wanted:
        folder, _, name = data.decode().partition("-")
        notes.write(folder, name, data)
    assert sorted(notes.all()) == sorted(wanted)


def test_a_folder_that_is_removed_while_notes_are_listed_holds_none(notes: NoteDirectory, path: Path) -> None:
    for folder in ("m", "n", "o"):
        notes.write(folder, "S", folder.encode())
    listing = notes.all()
    first = next(listing)
    NoteDirectory(path).keep_only({first.decode(): {"S"}})
    assert list(listing) == []


@pytest.mark.parametrize("parse", [json.loads, int, _text])
def test_a_damaged_note_raises_what_parsing_raises_until_it_is_replaced(notes: NoteDirectory, parse: Any) -> None:
    notes.write("m", "S", b"1")
    assert notes.read("m", "S", parse) is not None
    notes.write("m", "S", b"\xff{")
    for _ in range(2):
        with pytest.raises(ValueError):
            notes.read("m", "S", parse)
    notes.write("m", "S", b"2")
    assert str(notes.read("m", "S", parse)) == "2"


def test_a_note_that_says_nothing_is_a_note(notes: NoteDirectory) -> None:
    notes.write("m", "S", b"")
    assert notes.read("m", "S", _text) == ""
    assert list(notes.all()) == [b""]


def test_a_note_that_cannot_be_written_leaves_the_older_one(
    notes: NoteDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.write("m", "S", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(StoreError, match="disk is full"):
            notes.write("m", "S", b"new")
    assert notes.read("m", "S", _text) == "old"
    assert list(notes.all()) == [b"old"]


def test_one_of_two_instances_holds_the_lock_until_it_lets_go(notes: NoteDirectory, path: Path) -> None:
    other = NoteDirectory(path)
    lock = notes.take_lock()
    assert lock is not None
    assert other.take_lock() is None
    notes.keep_only({})
    assert other.take_lock() is None, "the lock went away with the notes"
    lock.release()
    taken = other.take_lock()
    assert taken is not None
    assert notes.take_lock() is None
    taken.release()


def test_a_process_that_is_killed_holds_the_lock_no_longer(notes: NoteDirectory, path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert notes.take_lock() is None
        holder.kill()
        holder.wait()
    lock = notes.take_lock()
    assert lock is not None
    lock.release()

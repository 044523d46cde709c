"""A short endurance run against a real server, and that its checker finds what it is there for."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backports import zstd

from tests.bench.running import BENCH

SYMBOL = "SYM0001USDT"
FACTORS = 6


@pytest.mark.slow
def test_bots_writers_editors_and_refreshes_together_get_no_wrong_answer(tmp_path: Path, work_place: Path) -> None:
    figures = tmp_path / "soak.json"
    sizes = ["--bots", "16", "--groups", "6", "--factors", "12", "--trees", "3", "--depth", "3", "--debounce", "0.8"]
    done = subprocess.run(
        [sys.executable, str(BENCH / "soak.py"), "--minutes", "0.35", "--sample", "1", *sizes, "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(figures.read_text())
    assert written["problems"] == []
    assert written["verdicts"]["errors and wrong answers"] == 0
    counts = written["counts"]
    for coding in ("gzip", "identity", "zstd"):
        assert counts[f"200 {coding}"] > 20
        assert counts[f"304 {coding}"] > 20
    for event in ("client pulls", "synced copies", "changes heard", "edits saved"):
        assert counts[event] > 10, event
    for event in ("generations", "edits refused", "refreshes", "models registered", "models deleted"):
        assert counts[event] > 0, event
    assert "second half" in done.stdout
    assert {line["name"] for line in written["slopes"]} >= {"memory: private to the processes", "open files"}
    assert all(sample["processes"] == 3 and sample["open_files"] > 30 for sample in written["samples"])
    assert written["times"]["pulls, 200"][0] > 0
    assert list(work_place.iterdir()) == []


class Scene:
    """Two generations of one group and three edits of its config: what a server might show of them."""

    def __init__(self, tmp_path: Path) -> None:
        from edits import Edits
        from generations import Generations, Trainer
        from make_artifacts import Shape
        from pairing import Checker

        self.generations, self.edits = Generations(), Edits()
        self.checker = Checker(self.generations, self.edits, longest_seconds=60.0)
        self.root = tmp_path
        self.trainer = Trainer(tmp_path, Shape(FACTORS, 2, 2), self.generations, seed=3)
        self.first = self.trainer.retrain(SYMBOL)
        self.first_model = self.model()

    def model(self) -> str:
        (path,) = self.root.glob("*_model.json")
        return path.read_text()

    def save(self, names: tuple[str, ...]) -> None:
        self.edits.save(self.edits.begin(SYMBOL, names))

    def body(self, generation: Any, model_json: str, numbers: dict[str, int], **changes: Any) -> bytes:
        from edits import DEFAULTS, values_of

        values = [values_of(name, numbers[name]) if numbers.get(name) else DEFAULTS for name in generation.factors]
        metadata = {
            "model_name": "m", "symbol": SYMBOL, "group_key": f"{SYMBOL}_mid_chg_1m",
            "train_samples": generation.samples, "feature_dim": len(generation.factors),
            "model_json_sha256": hashlib.sha256(model_json.encode()).hexdigest(),
        }  # fmt: skip
        config = {
            "factor_names": list(generation.factors), "mean_values": [mean for mean, _ in values],
            "variance_values": [variance for _, variance in values],
        }  # fmt: skip
        rows = zip(generation.factors, generation.taus, strict=True)
        dims = [{"dim": dim, "factor_name": name, "kendall_tau": tau} for dim, (name, tau) in enumerate(rows)]
        payload = {
            "model_json": model_json,
            "metadata": metadata,
            "dim_factors": dims,
            "factor_config": {SYMBOL: config},
        }
        for name, value in changes.items():
            place = metadata if name in metadata else config if name in config else payload
            place[name] = value
        return json.dumps({"payload": payload}).encode()

    def problem(self, body: bytes, started: float | None = None, ended: float | None = None) -> str:
        """Return the kind of what is wrong with an answer, nothing where it is right."""
        from pairing import WrongAnswer

        now = time.monotonic()
        try:
            self.checker.payload("m", SYMBOL, body, started or now, ended or now)
        except WrongAnswer as error:
            return error.kind
        return ""


@pytest.fixture
def scene(tmp_path: Path, benchmark_modules: None) -> Scene:
    """Something to check, and what checks it."""
    return Scene(tmp_path)


def test_what_was_written_together_is_right(scene: Scene) -> None:
    names = scene.first.factors
    assert scene.problem(scene.body(scene.first, scene.first_model, {})) == ""
    scene.save(names)
    assert scene.problem(scene.body(scene.first, scene.first_model, dict.fromkeys(names, 1))) == ""
    second = scene.trainer.retrain(SYMBOL)
    carried = {name: 1 for name in second.factors if name in names}
    assert scene.problem(scene.body(second, scene.model(), carried)) == ""


def test_parts_of_two_generations_are_a_wrong_pairing(scene: Scene) -> None:
    second = scene.trainer.retrain(SYMBOL)
    assert scene.problem(scene.body(second, scene.first_model, {})) == "pairing"
    assert scene.problem(scene.body(scene.first, scene.model(), {})) == "pairing"
    taus = [{"dim": dim, "factor_name": name, "kendall_tau": tau}
            for dim, (name, tau) in enumerate(zip(second.factors, reversed(second.taus), strict=True))]  # fmt: skip
    assert scene.problem(scene.body(second, scene.model(), {}, dim_factors=taus)) == "pairing"
    assert scene.problem(scene.body(second, scene.model(), {}, train_samples=scene.first.samples)) == "pairing"
    assert scene.problem(scene.body(second, scene.model() + " ", {})) == "pairing"


def test_swapped_configs_are_wrong(scene: Scene) -> None:
    names = list(scene.first.factors)
    scene.save(scene.first.factors)
    swapped = scene.body(scene.first, scene.first_model, dict.fromkeys(names, 1), factor_names=names[::-1])
    assert scene.problem(swapped) == "pairing"
    whole = json.loads(scene.body(scene.first, scene.first_model, dict.fromkeys(names, 1)))
    config = whole["payload"]["factor_config"][SYMBOL]
    config["mean_values"] = config["mean_values"][::-1]
    assert scene.problem(json.dumps(whole).encode()) == "config"
    config["mean_values"] = config["mean_values"][1:]
    assert scene.problem(json.dumps(whole).encode()) == "pairing"


def test_an_older_config_after_a_newer_one_was_saved_is_wrong_unless_the_pull_began_before(scene: Scene) -> None:
    names = scene.first.factors
    scene.save(names)
    before = time.monotonic()
    scene.save(names)
    older = scene.body(scene.first, scene.first_model, dict.fromkeys(names, 1))
    assert scene.problem(older, started=before) == ""
    assert scene.problem(older) == "config"


def test_values_of_two_edits_and_of_refused_or_unsent_ones_are_wrong(scene: Scene) -> None:
    names = scene.first.factors
    before = time.monotonic()
    scene.save(names)
    scene.save(names)
    torn = scene.body(scene.first, scene.first_model, {**dict.fromkeys(names, 2), names[0]: 1})
    assert scene.problem(torn, started=before) == "config"
    scene.edits.refuse(scene.edits.begin(SYMBOL, names))
    assert scene.problem(scene.body(scene.first, scene.first_model, dict.fromkeys(names, 3))) == "config"
    assert scene.problem(scene.body(scene.first, scene.first_model, dict.fromkeys(names, 4))) == "config"
    in_flight = scene.edits.begin(SYMBOL, names)
    assert scene.problem(scene.body(scene.first, scene.first_model, dict.fromkeys(names, in_flight.number))) == ""
    assert scene.problem(scene.body(scene.first, scene.first_model, dict.fromkeys(names, 2))) == ""


def test_an_older_generation_after_a_newer_one_was_shown_is_wrong(scene: Scene) -> None:
    older = scene.body(scene.first, scene.first_model, {})
    before = time.monotonic()
    second = scene.trainer.retrain(SYMBOL)
    assert scene.problem(older) == "", "the server may need its debounce"
    assert scene.problem(scene.body(second, scene.model(), {})) == ""
    assert scene.problem(older, started=before) == ""
    assert scene.problem(older, started=time.monotonic() + 0.001) == "backwards"


def test_a_generation_that_is_not_served_in_time_is_wrong(scene: Scene) -> None:
    older = scene.body(scene.first, scene.first_model, {})
    scene.trainer.retrain(SYMBOL)
    assert scene.problem(older, started=time.monotonic() + 59) == ""
    assert scene.problem(older, started=time.monotonic() + 61) == "stale"


@pytest.mark.parametrize(
    ("coding", "compress"), [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstd.compress)]
)
def test_bodies_that_their_entity_tags_do_not_name_are_wrong(
    scene: Scene, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    from pairing import TAGS, WrongAnswer

    plain = b'{"a": 1}' * 200
    tag = f'"{hashlib.sha256(plain).hexdigest()}{TAGS[coding]}"'
    data = compress(plain)
    assert scene.checker.body(tag, coding, data) == plain
    assert scene.checker.body(tag, coding, data) == plain
    for wrong_tag, wrong in ((tag, data[:-5]), (tag.replace('"', '"0', 1), data), (tag, compress(plain + b" "))):
        with pytest.raises(WrongAnswer):
            scene.checker.body(wrong_tag, coding, wrong)


def test_one_entity_tag_for_other_bytes_is_wrong(scene: Scene) -> None:
    from pairing import WrongAnswer

    plain = b"x" * 2000
    tag = f'"{hashlib.sha256(plain).hexdigest()}-gz"'
    scene.checker.body(tag, "gzip", gzip.compress(plain, 9, mtime=0))
    with pytest.raises(WrongAnswer, match="other bytes"):
        scene.checker.body(tag, "gzip", gzip.compress(plain, 1, mtime=0))


def test_a_server_that_grows_is_said_to_grow_and_a_flat_one_is_not(benchmark_modules: None) -> None:
    from endurance import Sample, slopes

    noise = np.random.default_rng(5).normal(scale=0.3, size=361)

    def slope(mb_an_hour: float, files_an_hour: float, seconds: float) -> dict[str, bool | None]:
        samples = [
            Sample(at, 3, 200.0, 100.0, 90 + mb_an_hour * at / 3600 + noise[number],
                   80 + int(files_an_hour * at / 3600), 34, 10.0, 100, (90.0,))
            for number, at in enumerate(np.linspace(0, seconds, 361).tolist())
        ]  # fmt: skip
        return {line.name: line.is_flat for line in slopes(samples, seconds)}

    private = "memory: private to the processes"
    assert slope(0.0, 0.0, 1800.0)[private] is True
    assert slope(40.0, 0.0, 1800.0)[private] is False
    assert slope(0.0, 500.0, 1800.0)["open files"] is False
    assert slope(40.0, 500.0, 240.0)[private] is None, "a few minutes tell nothing of an hour"


def _samples(memory: Callable[[float], tuple[float, ...]], seconds: float) -> list[Any]:
    from endurance import Sample

    return [
        Sample(at, len(memory(at)), 200.0, 100.0, sum(memory(at)), 80, 34, 10.0, 100, memory(at))
        for at in np.linspace(0, seconds, 241).tolist()
    ]


def test_growth_is_told_of_each_part_of_a_run_and_at_its_end_of_each_process(benchmark_modules: None) -> None:
    from endurance import stretches

    def memory(at: float) -> tuple[float, ...]:
        owner = 60 + 36 * min(at, 1200) / 3600
        return (owner, 30.0, 30 + 4 * max(at - 2700, 0) / 3600)

    found = {line.name: (round(line.first), round(line.an_hour, 1)) for line in stretches(_samples(memory, 3600), 3600)}
    assert found.pop("from the fifth minute on")[1] > 5
    assert found == {
        "second half": (132, found["second half"][1]),
        "last quarter of an hour": (132, 4.0),
        "last quarter of an hour: owner": (72, 0.0),
        "last quarter of an hour: worker 1": (30, 0.0),
        "last quarter of an hour: worker 2": (30, 4.0),
    }
    assert 0 < found["second half"][1] < 4
    assert [line.name for line in stretches(_samples(memory, 240), 240)] == ["second half"]
    some_came = _samples(lambda at: (60.0, 30.0)[: 1 + (at > 3000)], 3600)
    assert not any(":" in line.name for line in stretches(some_came, 3600))


def test_the_parts_of_a_run_are_told_again_from_its_file(tmp_path: Path, benchmark_modules: None) -> None:
    from endurance import as_documents, table_of_stretches

    samples = _samples(lambda at: (60 + at / 360, 30.0), 1800)
    file = tmp_path / "soak.json"
    file.write_text(json.dumps({"arguments": {"minutes": "30.0"}, "samples": as_documents(samples)}))
    done = subprocess.run([sys.executable, str(BENCH / "endurance.py"), str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, table_of_stretches(samples, 1800) + "\n")
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| second half")]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == ["92.5 MB", "95.0 MB", "+10.0 ± 0.0 MB"]


def test_what_a_server_complains_of_in_its_log_is_found(tmp_path: Path, benchmark_modules: None) -> None:
    from soak import complaints_of

    log = tmp_path / "ours.log"
    lines = [
        '{"event": "request", "level": "info", "path": "/error"}',
        '{"event": "watch_refreshed", "level": "info"}',
        '{"reason": "disk full", "event": "publishing_waits", "level": "warning"}',
        "Traceback (most recent call last):",
    ]
    log.write_text("\n".join(lines))
    assert complaints_of(log) == lines[2:]

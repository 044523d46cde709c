"""The process that predicts may die, hang or grow: who asks gets a sentence, and the next one an answer."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mm_core.child_processes import ChildLost
from mm_core.errors import InvalidRows, ModelUnusable, PredictionFailed, PredictorBusy
from mm_core.prediction import ModelFormat, PredictingModel, PredictionLimits, pool
from tests.prediction.conftest import MakePredictor
from tests.prediction.obedient_child import CUT, DIE, FAIL, GROW, SLEEP, WAIT
from tests.prediction.training import FEATURES, Files, lightgbm_booster, rows_of, xgboost_booster
from tests.waiting import wait_until

ROWS = rows_of(FEATURES)


@pytest.fixture
def model(files: Files) -> PredictingModel:
    """A booster of two classes."""
    return files.lightgbm(lightgbm_booster("binary"))


@pytest.fixture
def other(files: Files) -> PredictingModel:
    """Another one, of another library."""
    return files.xgboost(xgboost_booster("binary:logistic"))


def test_nothing_starts_before_the_first_question_and_one_child_answers_all(
    make_predictor: MakePredictor, model: PredictingModel, other: PredictingModel
) -> None:
    predictor = make_predictor()
    assert (predictor.starts, predictor.pids()) == (0, ())
    for _ in range(3):
        predictor.predict(model, ROWS[:2])
        predictor.predict(other, ROWS[:2])
    assert predictor.starts == 1
    (pid,) = predictor.pids()
    child = psutil.Process(pid)
    assert resource.prlimit(pid, resource.RLIMIT_AS)[0] == 4 << 30
    assert child.nice() == min(19, psutil.Process().nice() + 5)
    assert child.num_threads() == 1


def test_a_prediction_that_hangs_is_ended_and_the_next_one_is_answered(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor(obedient=True, seconds=2.0)
    assert len(predictor.predict(model, ROWS[:1]).predictions) == 1
    (pid,) = predictor.pids()
    started = time.monotonic()
    with pytest.raises(PredictionFailed, match=r"took longer than 2 s and was ended\. Ask with fewer rows"):
        predictor.predict(model, ROWS[:SLEEP])
    assert time.monotonic() - started < 4
    assert not psutil.pid_exists(pid)
    assert len(predictor.predict(model, ROWS[:1]).predictions) == 1
    assert predictor.starts == 2


def test_a_child_killed_in_the_middle_of_work_is_an_answer_and_its_successor_predicts(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor(obedient=True)
    predictor.predict(model, ROWS[:1])
    (pid,) = predictor.pids()
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(PredictionFailed, match="ended by SIGKILL"):
        predictor.predict(model, ROWS[:SLEEP])
    killer.join()
    assert len(predictor.predict(model, ROWS[:3]).predictions) == 3
    assert predictor.starts == 2


def test_a_child_killed_between_two_questions_costs_nobody_an_answer(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor()
    predictor.predict(model, ROWS[:1])
    os.kill(predictor.pids()[0], signal.SIGKILL)
    wait_until(lambda: predictor.pids() == ())
    assert len(predictor.predict(model, ROWS[:3]).predictions) == 3
    assert predictor.starts == 2


class Clock:
    """The time, which can be moved."""

    def __init__(self) -> None:
        self.moved = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.moved


def test_a_model_that_goes_on_ending_the_child_rests_and_others_go_on(
    make_predictor: MakePredictor, monkeypatch: pytest.MonkeyPatch, model: PredictingModel, other: PredictingModel
) -> None:
    clock = Clock()
    monkeypatch.setattr(pool, "time", clock)
    monkeypatch.setattr(pool, "FIRST_REST", 1000.0)
    monkeypatch.setattr(pool, "LONGEST_REST", 3000.0)
    predictor = make_predictor(obedient=True)
    for crashes, rest in ((2, 1000), (3, 2000), (4, 3000)):
        for _ in range(2 if crashes == 2 else 1):
            with pytest.raises(PredictionFailed, match="ended by SIGKILL"):
                predictor.predict(model, ROWS[:DIE])
        with pytest.raises(PredictorBusy, match=f"{crashes} times in a row and rests"):
            predictor.predict(model, ROWS[:1])
        assert len(predictor.predict(other, ROWS[:1]).predictions) == 1
        clock.moved += rest - 100
        with pytest.raises(PredictorBusy, match=f"{crashes} times in a row and rests"):
            predictor.predict(model, ROWS[:1])
        clock.moved += 101
    assert len(predictor.predict(model, ROWS[:1]).predictions) == 1
    with pytest.raises(PredictionFailed):
        predictor.predict(model, ROWS[:DIE])
    assert len(predictor.predict(model, ROWS[:1]).predictions) == 1  # the first crash in a row has no rest


def test_a_question_that_takes_too_long_rests_its_model_for_questions_as_large_alone(
    make_predictor: MakePredictor, model: PredictingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(pool, "time", clock)
    monkeypatch.setattr(pool, "FIRST_REST", 1000.0)
    monkeypatch.setattr(pool, "LONGEST_REST", 1000.0)
    predictor = make_predictor(obedient=True, seconds=2.0)
    predictor.predict(model, ROWS[:1])
    for _ in range(2):
        with pytest.raises(PredictionFailed, match="took longer"):
            predictor.predict(model, ROWS[:SLEEP])
        assert len(predictor.predict(model, ROWS[: SLEEP - 1]).predictions) == SLEEP - 1, "others are not concerned"
    for rows in (SLEEP, SLEEP + 1):
        with pytest.raises(PredictorBusy, match=f"{SLEEP} rows took longer than 2 s 2 times in a row.*fewer rows"):
            predictor.predict(model, ROWS[:rows])
    clock.moved += 1001
    for rows in (SLEEP + 1, SLEEP + 2):
        assert len(predictor.predict(model, ROWS[:rows]).predictions) == rows


@pytest.mark.parametrize(("rows", "what"), [(1, "1 row took longer"), (0, "Loading the model took longer")])
def test_a_model_that_is_slow_with_one_row_or_to_load_rests_for_all(
    monkeypatch: pytest.MonkeyPatch, rows: int, what: str
) -> None:
    class Late:
        is_alive = True

        def __init__(self, *_: object) -> None:
            pass

        def ask(self, *_: object) -> None:
            raise ChildLost("its time was over", late=True)

        def close(self) -> None:
            pass

    monkeypatch.setattr(pool, "Child", Late)
    children = pool.ChildPool(PredictionLimits())
    for asked in (5000, rows):
        with pytest.raises(PredictionFailed, match="took longer"):
            children.ask("model", b"", b"", asked)
    for asked in (1, 5000):
        with pytest.raises(PredictorBusy, match=what):
            children.ask("model", b"", b"", asked)
    with pytest.raises(PredictionFailed):
        children.ask("another model", b"", b"", 1)
    children.close()


def test_a_child_that_does_not_start_is_a_sentence_and_is_not_tried_at_once(
    make_predictor: MakePredictor, monkeypatch: pytest.MonkeyPatch, model: PredictingModel
) -> None:
    monkeypatch.setattr(pool, "CHILD_MODULE", "tests.no_such_module")
    predictor = make_predictor()
    for _ in range(2):
        with pytest.raises(PredictionFailed, match="does not start: the child process ended with 1"):
            predictor.predict(model, ROWS[:1])
    with pytest.raises(PredictorBusy, match="did not start 2 times in a row"):
        predictor.predict(model, ROWS[:1])


@pytest.mark.parametrize("mebibytes", [140, 180])
def test_a_child_that_finds_no_memory_for_its_library_says_so(
    make_predictor: MakePredictor, model: PredictingModel, mebibytes: int
) -> None:
    with pytest.raises(PredictionFailed, match=f"more than the {mebibytes} MiB of memory"):
        make_predictor(memory_bytes=mebibytes << 20).predict(model, ROWS[:1])


def test_a_prediction_that_grows_too_large_is_refused_and_the_child_goes_on(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor(obedient=True, memory_bytes=1 << 30)
    with pytest.raises(PredictionFailed, match="more than the 1024 MiB of memory"):
        predictor.predict(model, ROWS[:GROW])
    assert len(predictor.predict(model, ROWS[:1]).predictions) == 1
    assert predictor.starts == 1


def test_whatever_else_happens_in_the_child_is_a_sentence(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor(obedient=True)
    with pytest.raises(PredictionFailed, match="ZeroDivisionError: so"):
        predictor.predict(model, ROWS[:FAIL])
    with pytest.raises(PredictionFailed, match="outputs are missing"):
        predictor.predict(model, ROWS[:CUT])
    assert predictor.starts == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_eight_threads_get_the_answers_to_their_own_questions(
    make_predictor: MakePredictor, files: Files, processes: int
) -> None:
    predictor = make_predictor(processes=processes)
    models = [
        *(files.lightgbm(lightgbm_booster(objective)) for objective in ("binary", "regression", "multiclass")),
        *(files.xgboost(xgboost_booster(objective)) for objective in ("binary:logistic", "reg:gamma")),
    ]
    expected = [predictor.predict(model, ROWS).predictions for model in models]

    def ask(number: int) -> None:
        for turn in range(15):
            which, begin = (number + turn) % len(models), (7 * number + turn) % 200
            answer = predictor.predict(models[which], ROWS[begin : begin + 1 + turn])
            assert answer.predictions == expected[which][begin : begin + 1 + turn]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert 1 <= predictor.starts <= processes


def test_callers_beyond_the_queue_are_turned_away_at_once(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor(obedient=True, waiting=1)
    predictor.predict(model, ROWS[:1])
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(predictor.predict, model, ROWS[:WAIT])
        time.sleep(0.2)
        second = threads.submit(predictor.predict, model, ROWS[:2])
        time.sleep(0.2)
        started = time.monotonic()
        with pytest.raises(PredictorBusy, match="1 predictions wait already"):
            predictor.predict(model, ROWS[:3])
        assert time.monotonic() - started < 0.3
        assert (len(first.result().predictions), len(second.result().predictions)) == (WAIT, 2)


def test_waiting_for_one_s_turn_ends_as_well(
    make_predictor: MakePredictor, model: PredictingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = make_predictor(seconds=5.0)
    predictor.predict(model, ROWS[:1])
    turns = predictor._pool
    place = turns._take(model.sha256)
    waited: list[float] = []
    monkeypatch.setattr(turns._turns, "wait", waited.append)  # returns nothing, as when the time is over
    with pytest.raises(PredictorBusy, match="took longer than 5 s"):
        predictor.predict(model, ROWS[:1])
    monkeypatch.undo()
    assert 0 < waited[0] <= 5
    turns._give_back(place, model.sha256)
    assert len(predictor.predict(model, ROWS[:1]).predictions) == 1


def test_an_idle_child_ends_and_leaves_nothing_until_it_is_needed(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor(idle_seconds=0.3)
    predictor.predict(model, ROWS[:1])
    wait_until(lambda: predictor.pids() == ())
    assert psutil.Process().children(recursive=True) == []
    assert len(predictor.predict(model, ROWS[:1]).predictions) == 1
    assert predictor.starts == 2


def test_closing_ends_children_and_waiting_callers_and_may_be_repeated(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor(obedient=True)
    predictor.predict(model, ROWS[:1])
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(predictor.predict, model, ROWS[:SLEEP]) for _ in range(2)]
        time.sleep(0.3)
        predictor.close()
        assert psutil.Process().children(recursive=True) == []
        errors = [future.exception(timeout=10) for future in asked]
    assert {type(error) for error in errors} == {PredictionFailed, PredictorBusy}
    assert all("about to end" in str(error) for error in errors)
    predictor.close()
    with pytest.raises(PredictorBusy, match="closed"):
        predictor.predict(model, ROWS[:1])


def test_bytes_of_another_digest_are_never_predicted_with(
    make_predictor: MakePredictor, files: Files, model: PredictingModel
) -> None:
    predictor = make_predictor()
    whole = model.path.read_bytes()
    model.path.write_bytes(lightgbm_booster("regression").model_to_string().encode())
    with pytest.raises(ModelUnusable, match=f"changed: its bytes are not those.* begins with {model.sha256[:12]}"):
        predictor.predict(model, ROWS[:1])
    model.path.write_bytes(whole)
    answer = predictor.predict(model, ROWS)
    model.path.write_bytes(b"something else")
    assert predictor.predict(model, ROWS).predictions == answer.predictions  # from memory: the version's own bytes
    os.kill(predictor.pids()[0], signal.SIGKILL)
    wait_until(lambda: predictor.pids() == ())
    with pytest.raises(ModelUnusable, match="changed"):
        predictor.predict(model, ROWS)


def test_only_the_last_models_are_kept(make_predictor: MakePredictor, files: Files) -> None:
    predictor = make_predictor(models_kept=2)
    models = [files.lightgbm(lightgbm_booster(name)) for name in ("binary", "regression", "poisson")]
    for model in models:
        predictor.predict(model, ROWS[:1])
        model.path.unlink()
    for model in models[1:]:
        predictor.predict(model, ROWS[:1])
    with pytest.raises(ModelUnusable, match="cannot be read"):
        predictor.predict(models[0], ROWS[:1])


def test_what_is_no_file_of_a_fitting_size_is_a_sentence(
    make_predictor: MakePredictor, model: PredictingModel, tmp_path: Path
) -> None:
    predictor = make_predictor(model_bytes=1000)
    os.mkfifo(tmp_path / "fifo")
    for path, message in (
        (tmp_path / "nowhere", r"cannot be read \(No such file"),
        (tmp_path, r"cannot be (used|read)"),
        (tmp_path / "fifo", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (model.path, "more than the 1,000 that are taken"),
    ):
        with pytest.raises(ModelUnusable, match=message):
            predictor.predict(PredictingModel(path, model.sha256, ModelFormat.LIGHTGBM_TEXT), ROWS[:1])


def test_rows_that_are_wrong_are_refused_without_asking_the_child(
    make_predictor: MakePredictor, model: PredictingModel
) -> None:
    predictor = make_predictor()
    predictor.describe(model)
    os.kill(predictor.pids()[0], signal.SIGKILL)
    wait_until(lambda: predictor.pids() == ())
    with pytest.raises(InvalidRows):
        predictor.predict(model, [{}])
    assert predictor.starts == 1


@pytest.mark.parametrize(
    "limits",
    [{"seconds": 0.0}, {"memory_bytes": 0}, {"rows": 0}, {"waiting": -1}, {"processes": 0}, {"models_kept": 0}],
)
def test_limits_are_positive(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        PredictionLimits(**limits)

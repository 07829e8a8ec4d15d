"""The replay demo's maths and pictures: where the car is, from where it was."""

from __future__ import annotations

import importlib
import importlib.util
import io
import logging
import sys
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from framework import ColumnNotFoundError, ValidationException

PROJECT = Path(__file__).resolve().parents[2] / "examples" / "replay_demo"
PACKAGE = "replay_demo_steps"  # not the name under which a workspace loads it


def part(name: str) -> ModuleType:
    """A module of the demo."""
    if PACKAGE not in sys.modules:
        home = PROJECT / "modules" / "demo"
        spec = importlib.util.spec_from_file_location(
            PACKAGE, home / "__init__.py", submodule_search_locations=[str(home)]
        )
        assert spec is not None
        sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{PACKAGE}.{name}")


motion, kalman, compensation, course, car_log = map(part, ("motion", "kalman", "compensation", "course", "car_log"))

TRUTH = course.truth(20.0)
LOG = logging.getLogger("test_replay_demo")


def measurements(seed: int = 1, *, latency: float = 0.2, position_noise: float = 0.5, **rest: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return course.measured(TRUTH, rng, latency=latency, position_noise=position_noise, **rest)


def off(rows: pd.DataFrame) -> np.ndarray:
    """How far the rows' positions are from the true ones at their times, m."""
    true = course.at(TRUTH, rows["time"].to_numpy())
    return np.hypot(*(rows[["x", "y"]].to_numpy() - true[["x", "y"]].to_numpy()).T)


def rms(distances: np.ndarray) -> float:
    return float(np.sqrt(np.mean(distances**2)))


# ------------------------------------------------------------------------ the model

STATES = [
    (1.0, -2.0, 12.0, 0.7, 0.5),
    (0.0, 0.0, 8.0, 3.1, -0.8),
    (5.0, 5.0, 10.0, -1.2, 0.0),
    (5.0, 5.0, 10.0, -1.2, 1e-9),
    (5.0, 5.0, 10.0, -1.2, 3e-4),
    (0.0, 0.0, 0.0, 2.0, 0.3),
    (0.0, 0.0, -3.0, 0.0, 0.4),
]


@pytest.mark.parametrize("state", STATES)
def test_an_arc_is_the_sum_of_many_short_straight_steps(state):
    """The closed formula gives what integrating speed and yaw rate in small steps gives."""
    x, y, speed, yaw, rate = state
    times = (np.arange(20000) + 0.5) * (0.8 / 20000)
    expected = (
        x + (speed * np.cos(yaw + rate * times)).mean() * 0.8,
        y + (speed * np.sin(yaw + rate * times)).mean() * 0.8,
    )
    assert motion.moved(np.array(state), 0.8)[:2] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("seconds", [0.0, 0.07, 0.5, 3.0])
def test_the_jacobian_is_the_slope_of_the_motion(state, seconds):
    """Each derivative, also at a yaw rate of 0, equals the difference quotient."""
    state = np.array(state)
    step = 1e-6
    for column in range(5):
        change = np.eye(5)[column] * step
        difference = motion.moved(state + change, seconds) - motion.moved(state - change, seconds)
        difference[3] = motion.wrapped(difference[3])
        assert motion.jacobian(state, seconds)[:, column] == pytest.approx(difference / (2 * step), abs=2e-6)


def test_going_back_in_time_undoes_the_motion():
    """A negative time leads back to where the car was."""
    state = np.array(STATES[0])
    assert motion.moved(motion.moved(state, 0.9), -0.9) == pytest.approx(state)


def test_the_noise_of_a_step_is_that_of_its_halves():
    """Uneven steps add, over the same time, the same uncertainty."""
    state = np.array([0.0, 0.0, 10.0, 0.4, 0.0])
    given = {"acceleration": 2.0, "yaw_acceleration": 0.5}
    halfway = motion.process_noise(state, 0.1, **given)
    step = motion.jacobian(state, 0.1)
    twice = step @ halfway @ step.T + motion.process_noise(motion.moved(state, 0.1), 0.1, **given)
    assert motion.process_noise(state, 0.2, **given) == pytest.approx(twice, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("state", STATES)
def test_a_covariance_stays_one(state):
    """After many steps and corrections it is symmetric, and no variance has become negative."""
    belief = kalman.Belief(np.array(state), np.diag([1e4, 1e4, 100.0, 3.0, 1.0]), kalman.Noise(position=1e-3))
    for number in range(300):
        belief = kalman.predicted(belief, 0.01 + 0.3 * (number % 7 == 0))
        belief = kalman.corrected(belief, {0: belief.state[0] + 0.001, 1: belief.state[1]})
        assert belief.covariance == pytest.approx(belief.covariance.T, abs=1e-9)
        assert np.linalg.eigvalsh(belief.covariance)[0] >= -1e-12


def test_a_yaw_is_corrected_the_short_way_round():
    """Believed just under pi and measured just above -pi, it moves by the little between them."""
    belief = kalman.Belief(np.array([0, 0, 5.0, np.pi - 0.02, 0]), np.eye(5), kalman.Noise())
    yaw = kalman.corrected(belief, {3: -np.pi + 0.02}).state[3]
    assert abs(motion.wrapped(yaw - np.pi)) < 0.03


# ------------------------------------------------------------------------ the filter

CASES = list(product((1, 2, 3), (0.1, 0.2, 0.5), (0.2, 0.5, 1.0)))


@pytest.mark.parametrize(("seed", "latency", "noise"), CASES)
def test_compensating_at_least_halves_the_error(seed, latency, noise):
    """For each seed, latency and noise the compensated positions are at least twice as near to the truth."""
    rows = measurements(seed, latency=latency, position_noise=noise)
    states = compensation.compensated(rows, latency=latency, noise=kalman.Noise(position=noise))
    assert len(states) == len(rows)
    assert rms(off(states)) * 2 <= rms(off(rows))


@pytest.mark.parametrize("latency", [0.2, 0.5])
def test_positions_alone_are_enough(latency):
    """Without speed and yaw rate the compensated error is still at most half of the measured one."""
    rows = measurements(4, latency=latency, position_noise=0.2)[["time", "x", "y"]]
    states = compensation.compensated(rows, latency=latency, noise=kalman.Noise(position=0.2))
    assert rms(off(states)) * 2 <= rms(off(rows))


@pytest.mark.parametrize("latency", [0.0, 0.2])
def test_the_filter_knows_how_far_off_it_is(latency):
    """The normalized squared position error of many runs is near its mean of 2, and rarely beyond its 95 % bound."""
    squares = []
    for seed in range(8):
        rows = measurements(seed, latency=latency)
        beliefs = list(compensation.believed(compensation.usable(rows), latency=latency, noise=kalman.Noise()))
        true = course.at(TRUTH, rows["time"].to_numpy())[["x", "y"]].to_numpy()
        for (_, belief), place in zip(beliefs, true, strict=True):
            error = belief.state[:2] - place
            squares.append(error @ np.linalg.solve(belief.covariance[:2, :2], error))
    assert 1.0 < np.mean(squares) < 3.0
    assert np.mean(np.array(squares) < 5.991) > 0.9


def test_without_latency_it_still_smooths():
    """With a latency of 0 the states are nearer to the truth than what was measured."""
    rows = measurements(latency=0.0)
    assert rms(off(compensation.compensated(rows, latency=0.0))) * 2 < rms(off(rows))


def test_it_predicts_by_the_real_time_and_not_by_a_row_count():
    """A car of even speed is met exactly, however uneven the steps and wide the gaps between its measurements."""
    times = np.cumsum(np.random.default_rng(0).choice([0.02, 0.1, 0.33, 2.0], 80))
    rows = pd.DataFrame({"time": times, "x": 10 * (times - 0.3), "y": np.zeros(80), "speed": 10.0, "yaw": 0.0})
    states = compensation.compensated(rows, latency=0.3)
    assert states["x"].to_numpy() == pytest.approx(10 * times, abs=1e-6)


def test_a_gap_does_not_break_it():
    """After four seconds without a measurement the next ones lead it back to the car."""
    rows = measurements()
    rows = rows[(rows["time"] < 6) | (rows["time"] > 10)]
    states = compensation.compensated(rows, latency=0.2)
    assert rms(off(states[states["time"] > 11])) < 1.0
    assert np.isfinite(states).all(axis=None)


def test_a_fix_that_is_only_repeated_is_no_measurement():
    """A receiver with nothing new for half a second does not hold the car back."""
    times = np.arange(0.1, 6, 0.1)
    shown = np.where((times > 3) & (times < 3.5), 2.95, times - 0.05)
    rows = pd.DataFrame({"time": times, "x": 10 * shown, "y": 0.0})
    states = compensation.compensated(rows, latency=0.05, noise=kalman.Noise(position=0.1))
    late = states[(times > 2) & (times < 4)]
    assert (late["x"] - 10 * late["time"]).abs().max() < 0.5


def test_a_car_that_stands_stands():
    """A constant position gives that position and, once it has been believed, no speed; never a NaN."""
    times = np.arange(0, 10, 0.1)
    rows = pd.DataFrame({"time": times, "x": 3.0, "y": -4.0, "speed": 0.0, "yaw_rate": 0.0})
    states = compensation.compensated(rows, latency=0.2)
    assert states[["x", "y"]].to_numpy() == pytest.approx(np.tile([3.0, -4.0], (100, 1)), abs=1e-6)
    assert states["speed"].abs().max() < 1e-6
    assert states["position_std"].iloc[-1] < 1.0


def test_one_row_is_one_state():
    """A single fix is where the car is believed to be, with the doubt that one fix leaves."""
    states = compensation.compensated(pd.DataFrame({"time": [5.0], "x": [1.0], "y": [2.0]}), latency=0.2)
    assert states[["time", "x", "y"]].values.tolist() == [[5.0, 1.0, 2.0]]
    assert states["position_std"].iloc[0] > 0.5


def test_no_row_is_no_state():
    """An empty log gives an empty table of the same columns."""
    empty = pd.DataFrame({"time": [], "x": [], "y": []})
    assert list(compensation.compensated(empty, latency=0.2).columns) == compensation.STATES


def test_a_missing_value_is_left_out_and_the_log_says_so(caplog):
    """NaN and infinity in some measurements cost their rows nothing else, and are counted in the log."""
    rows = measurements()
    whole = rms(off(compensation.compensated(rows, latency=0.2)))
    rows.loc[20:24, "x"] = np.nan
    rows.loc[60, "y"] = np.inf
    rows.loc[80:90, "speed"] = np.nan
    with caplog.at_level(logging.WARNING):
        states = compensation.compensated(rows, latency=0.2, logger=LOG)
    assert len(states) == len(rows)
    assert np.isfinite(states).all(axis=None)
    assert rms(off(states)) < 1.5 * whole
    said = caplog.text
    assert "5 of" in said
    assert "usable x" in said
    assert "11 of" in said


def test_rows_before_the_first_fix_give_no_state():
    """Nobody can say where the car is before any position is known."""
    rows = measurements()
    rows.loc[:9, ["x", "y"]] = np.nan
    assert compensation.compensated(rows, latency=0.2)["time"].iloc[0] == rows["time"].iloc[10]


def test_a_row_without_a_time_is_skipped(caplog):
    """It cannot be placed; the log says how many there were."""
    rows = measurements()
    rows.loc[5, "time"] = np.nan
    assert len(compensation.compensated(rows, latency=0.2, logger=LOG)) == len(rows) - 1
    assert "1 measurements have no time" in caplog.text


def test_unsorted_times_are_refused():
    """An arrival before the one above it is an error that names the row."""
    rows = measurements()
    rows.loc[7, "time"] = 0.0
    with pytest.raises(ValidationException, match=r"Measurement 7.*Sort"):
        compensation.compensated(rows, latency=0.2)


def test_two_measurements_of_one_time_are_both_used():
    """Two receivers, read at once, leave less doubt than one."""
    rows = measurements(stale_share=0.0)
    other = measurements(2, stale_share=0.0)
    other["time"] = rows["time"].reindex(other.index).ffill()
    both = pd.concat([rows, rows.assign(x=rows["x"] + 1e-3)]).sort_values("time", kind="stable", ignore_index=True)
    states = compensation.compensated(both, latency=0.2)
    assert len(states) == 2 * len(rows)
    one = compensation.compensated(rows, latency=0.2)
    assert states["position_std"].median() < one["position_std"].median()


def test_a_missing_column_is_named():
    """Without x the error says which column is missing and what there is."""
    with pytest.raises(ColumnNotFoundError, match=r"no column x; they have time, y"):
        compensation.compensated(pd.DataFrame({"time": [0.0], "y": [0.0]}), latency=0.2)


def test_a_log_without_any_position_is_refused():
    """A table of NaN cannot say where a car is."""
    rows = pd.DataFrame({"time": [0.0, 1.0], "x": np.nan, "y": np.nan})
    with pytest.raises(ValidationException, match="both x and y"):
        compensation.compensated(rows, latency=0.2)


def test_a_log_that_says_when_it_measured_is_believed():
    """With a delay that changes from row to row, the time of each measurement is what counts."""
    rng = np.random.default_rng(3)
    rows = measurements(latency=0.0, stale_share=0.0)
    rows["measured_at"] = rows["time"]
    rows["time"] = np.maximum.accumulate(rows["time"] + 0.4 * (1 - np.cos(rows["time"] / 3)) + rng.uniform(0, 0.02))
    knowing = rms(off(compensation.compensated(rows, latency=0.0)))
    guessing = rms(off(compensation.compensated(rows.drop(columns="measured_at"), latency=0.4)))
    assert 2 * knowing < guessing
    assert 2 * knowing < rms(off(rows))


def test_what_is_older_than_what_is_known_is_left_out(caplog):
    """A measurement that was overtaken by a later one changes nothing but the log."""
    rows = measurements(latency=0.0)
    rows["measured_at"] = rows["time"]
    plain = compensation.compensated(rows, latency=0.0)
    again = pd.concat([rows.iloc[:50], rows.iloc[49:50].assign(measured_at=0.5, x=999.0), rows.iloc[50:]])
    states = compensation.compensated(again, latency=0.0, logger=LOG)
    assert states.drop(index=50).reset_index(drop=True)["x"].to_numpy() == pytest.approx(plain["x"].to_numpy())
    assert "1 measurements are older" in caplog.text


# ------------------------------------------------------------------------ the data


def test_one_seed_gives_one_log():
    """The same seed gives the same values; another seed, others."""
    pd.testing.assert_frame_equal(measurements(7), measurements(7))
    assert not measurements(7)["x"].equals(measurements(8)["x"])


def test_the_course_is_one_that_a_car_can_drive():
    """It stands, brakes and turns both ways, with accelerations of a car and no jump."""
    assert TRUTH["time"].diff().dropna().to_numpy() == pytest.approx(0.01)
    assert TRUTH["speed"].min() >= 0
    assert (TRUTH["speed"] < 0.01).mean() > 0.04
    assert TRUTH["speed"].max() > 12
    assert TRUTH["speed"].diff().abs().max() / 0.01 < 6  # m/s^2
    assert (TRUTH["speed"] * TRUTH["yaw_rate"]).abs().max() < 8  # m/s^2, across
    assert TRUTH["yaw_rate"].min() < -0.2 < 0.2 < TRUTH["yaw_rate"].max()


def test_measurements_come_late_uneven_with_gaps_and_repeats():
    """The log has the faults that the filter is there for."""
    rows = measurements(stale_share=0.05)
    steps = rows["time"].diff().dropna()
    assert steps.between(0.05, 0.1001).mean() > 0.95
    assert steps.std() > 0.01
    assert (steps > 0.3).sum() == 2
    assert (rows["x"].diff() == 0).any()
    clean = measurements(latency=0.3, position_noise=0.0, stale_share=0.0)
    earlier = course.at(TRUTH, clean["time"].to_numpy() - 0.3)
    assert clean["x"].to_numpy() == pytest.approx(earlier["x"].to_numpy(), abs=1e-5)


def test_the_manifest_counts_frames_at_the_videos_rate():
    """From start to end, both shown, at even steps."""
    frames = course.manifest(1.0, 3.0, fps=25)
    assert frames["frame"].tolist() == list(range(51))
    assert frames["time"].iloc[[0, 1, -1]].tolist() == pytest.approx([1.0, 1.04, 3.0])


# ------------------------------------------------------------------------ logs of real cars


@pytest.mark.parametrize(
    ("latitude", "north", "east"),
    [(0.0, 110574.3, 111319.5), (45.0, 111131.8, 78846.8), (60.0, 111412.2, 55800.0)],
)
def test_a_degree_is_as_long_as_tables_say(latitude, north, east):
    """The lengths are those of published tables of the WGS 84 ellipsoid."""
    assert car_log.metres_per_degree(latitude) == pytest.approx((north, east), rel=2e-5)


def test_a_log_across_the_date_line_is_one_piece():
    """From 179.9999 to -179.9999 degrees is a few metres to the east."""
    x, _ = car_log.local_metres(np.array([0.0, 0.0]), np.array([179.9999, -179.9999]))
    assert x == pytest.approx([0.0, 22.26], abs=0.01)


def test_courses_and_units_become_those_of_the_filter():
    """North by east, clockwise degrees and km/h become radians from east to the left and m/s."""
    log = pd.DataFrame(
        {
            "millis": [1000.0, 1100, 1200],
            "latitude": 50.0,
            "longitude": 8.0,
            "speed": [36.0, 36, 0],
            "course": [0.0, 90, 0],
        }
    )
    rows = car_log.as_measurements(log, car_log.Columns(yaw_rate=None))
    assert rows["time"].tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert rows["speed"].tolist() == pytest.approx([10, 10, 0])
    assert rows["yaw"].tolist()[:2] == pytest.approx([np.pi / 2, 0.0])
    assert np.isnan(rows["yaw"][2])  # the course of a car that stands says nothing


def test_a_receivers_clock_is_laid_on_the_computers():
    """The fastest row came at once; the others are as much later as they are; midnight is no jump."""
    seconds = car_log.seconds_of_day(np.array([235959900.0, 235959999.0, 100.0]))
    assert seconds == pytest.approx([86399.9, 86399.999, 86400.1])
    arrived = np.array([0.0, 0.5, 0.3])
    assert car_log.on_the_clock_of(arrived, seconds) == pytest.approx([0.0, 0.099, 0.2])


def test_a_log_is_read_and_compensated_through_all_its_delays():
    """An invented log, late by a changing time, ends near the truth once its receiver's clock is used."""
    log = car_log.invented(20.0, np.random.default_rng(1), latency=0.2)
    rows = car_log.as_measurements(log, car_log.Columns(clock="time"))
    states = compensation.compensated(rows, latency=0.2)
    origin = course.at(TRUTH, np.array([-0.2]))
    first_arrival = (log["millis"].iloc[0] - 1.7e12) / 1000
    true = course.at(TRUTH, states["time"].to_numpy() + first_arrival)
    compensated = np.hypot(states["x"] - (true["x"] - origin["x"][0]), states["y"] - (true["y"] - origin["y"][0]))
    measured = np.hypot(rows["x"] - (true["x"] - origin["x"][0]), rows["y"] - (true["y"] - origin["y"][0]))
    assert 3 * rms(compensated.to_numpy()) < rms(measured.to_numpy())


def test_a_column_that_the_log_lacks_is_named():
    """The error names the column, those that exist, and the parameters that name them."""
    with pytest.raises(ColumnNotFoundError, match=r"no column latitude, longitude.*lat, lon.*latitude_column"):
        car_log.as_measurements(
            pd.DataFrame({"millis": [0], "lat": [0.0], "lon": [0.0]}),
            car_log.Columns(speed=None, course=None, yaw_rate=None),
        )


# ------------------------------------------------------------------------ pictures and video


@pytest.fixture(scope="module")
def short() -> dict[str, pd.DataFrame]:
    rows = measurements()
    return {
        "measurements": rows,
        "states": compensation.compensated(rows, latency=0.2),
        "manifest": course.manifest(6.0, 7.0, fps=10),
    }


def near(picture: Any, colour: tuple[int, int, int], tolerance: int = 30) -> np.ndarray:
    """Rows and columns of the pixels of about that colour."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    return np.argwhere((np.abs(pixels - colour) <= tolerance).all(axis=2))


def test_each_row_of_the_manifest_is_a_picture_of_the_asked_size(short, tmp_path):
    """The pictures are numbered by the manifest's frames and as large as asked."""
    short = {**short, "manifest": short["manifest"].assign(frame=lambda rows: rows["frame"] + 40)}
    assert part("rendering").rendered(tmp_path, **short, truth=TRUTH, width=640, height=360) == 11
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"frame_{n:06d}.png" for n in range(40, 51)]
    with Image.open(tmp_path / "frame_000045.png") as picture:
        assert picture.size == (640, 360)


def test_the_same_story_gives_the_same_bytes(short, tmp_path):
    """Pictures can be compared by their checksums."""
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        part("rendering").rendered(tmp_path / name, **short, truth=TRUTH)
        found.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert found[0] == found[1]


def test_all_three_cars_are_to_be_seen(short, tmp_path):
    """Each has its own colour, near the middle of the picture, and the measured one is behind."""
    paint = part("paint")
    part("rendering").rendered(tmp_path, **short, truth=TRUTH)
    with Image.open(tmp_path / "frame_000005.png") as picture:
        middle = picture.crop((240, 135, 720, 405))
        for colour in (paint.TRUE, paint.MEASURED, paint.COMPENSATED):
            assert len(near(middle, colour)) > 30


@pytest.mark.parametrize(("zoom", "pixels"), [(2.5, 36), (5.0, 72), (10.0, 144)])
def test_zooming_shows_fewer_metres(zoom, pixels, tmp_path):
    """A car of 4.5 m is as long as the zoom factor says."""
    paint = part("paint")
    times = np.arange(0, 2, 0.1)
    truth = pd.DataFrame({"time": times, "x": 0.0, "y": 0.0, "speed": 0.0, "yaw": 0.0, "yaw_rate": 0.0})
    far = pd.DataFrame({"time": times, "x": 1e4, "y": 1e4})
    states = truth.assign(x=1e4, y=1e4)
    manifest = course.manifest(0.0, 1.0, fps=2)
    part("rendering").rendered(tmp_path, manifest=manifest, measurements=far, states=states, truth=truth, zoom=zoom)
    with Image.open(tmp_path / "frame_000001.png") as picture:
        across = near(picture.crop((200, 200, 760, 340)), paint.TRUE)[:, 1]
    assert np.ptp(across) == pytest.approx(pixels, abs=3)


def test_between_two_arrivals_the_compensated_car_drives_on():
    """A frame half a second after the last state shows the car where it has got to; before the first, nowhere."""
    states = pd.DataFrame({"time": [0.0], "x": [1.0], "y": [2.0], "speed": [10.0], "yaw": [0.0], "yaw_rate": [0.0]})
    rows = pd.DataFrame({"time": [0.0], "x": [-1.0], "y": [2.0]})
    told = part("story").story(pd.DataFrame({"frame": [0, 1, 2], "time": [-0.5, 0.0, 0.5]}), rows, states, None)
    assert np.isnan(told.compensated[0]).all()
    assert told.compensated[1:, 0].tolist() == pytest.approx([1.0, 6.0])
    assert told.off(told.measured)[1:].tolist() == pytest.approx([2.0, 7.0])


def test_the_chart_grows_with_the_time(short, tmp_path):
    """Of each frame's picture the chart shows the errors up to that frame, and both of them."""
    paint = part("paint")
    part("rendering").rendered(tmp_path, **short, truth=TRUTH)
    for number in (2, 5, 10):
        with Image.open(tmp_path / f"frame_{number:06d}.png") as picture:
            chart = picture.crop((680, 400, 940, 530))
        for colour in (paint.MEASURED, paint.COMPENSATED):
            columns = near(chart, colour, 60)[:, 1]
            assert np.ptp(columns) == pytest.approx(25 * number, abs=8)
            assert len(np.unique(columns)) > 12 * number


def test_without_a_truth_the_other_two_are_shown(short, tmp_path):
    """The log of a real car has no truth: no white car, and the distance between the other two."""
    paint = part("paint")
    part("rendering").rendered(tmp_path, **short, truth=None)
    with Image.open(tmp_path / "frame_000005.png") as picture:
        middle = picture.crop((240, 135, 720, 405))
        assert len(near(middle, paint.TRUE, 5)) == 0
        assert len(near(middle, paint.COMPENSATED)) > 30


def test_frames_before_the_first_measurement_and_after_the_truth_are_painted_too(short, tmp_path):
    """What is not known yet, or no longer, is not shown; the picture is there."""
    wide = {**short, "manifest": course.manifest(-1.0, 25.0, fps=1)}
    assert part("rendering").rendered(tmp_path, **wide, truth=TRUTH) == 27


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (pd.DataFrame({"frame": [0, 1]}), "no column time"),
        (pd.DataFrame({"frame": [0, 1], "time": [1.0, 0.5]}), "do not increase"),
        (pd.DataFrame({"frame": [0, 0], "time": [0.0, 0.5]}), "twice"),
    ],
    ids=["no time", "back in time", "frame twice"],
)
def test_a_manifest_that_is_none_is_refused(manifest, message, short, tmp_path):
    """What is wrong with it is said before a picture is painted."""
    with pytest.raises((ColumnNotFoundError, ValidationException), match=message):
        part("rendering").rendered(tmp_path, **{**short, "manifest": manifest})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def pictures(short, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    part("rendering").rendered(folder, **short, truth=TRUTH, width=480, height=270)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("fps", [10.0, 12.5, 24.0, 30000 / 1001, 60.0])
def test_the_video_plays_at_the_datas_own_rate(fps, pictures):
    """Decoded, it has each picture once, at its time, as long as all of them, in what every player plays."""
    times = [3.0 + number / fps for number in range(len(pictures))]
    with av.open(io.BytesIO(part("video").encoded(pictures, times))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(fps, rel=1e-4)
        assert container.duration / 1e6 == pytest.approx(len(pictures) / fps, abs=0.002)
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([time - 3.0 for time in times], abs=0.001)
    with Image.open(pictures[-1]) as last:
        difference = np.asarray(frames[-1].to_image()).astype(int) - np.asarray(last.convert("RGB"))
    assert np.abs(difference).mean() < 4


def test_uneven_times_stay_uneven(pictures):
    """Each picture is shown at its own time, not at a mean one."""
    times = [0.0, 0.1, 0.15, 0.4, 1.0]
    with av.open(io.BytesIO(part("video").encoded(pictures[:5], times))) as container:
        assert container.duration / 1e6 == pytest.approx(1.25, abs=0.01)
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times, abs=0.001)


# ------------------------------------------------------------------------ the steps


def test_each_step_takes_its_config_and_gives_its_data(tmp_path):
    """Called as plain functions, from the made-up data to the video, the steps fit together."""
    config = part("config")
    made = part("demo_data").make_demo_data(config.DemoDataConfig(duration_s=2.0), LOG)
    states = part("latency_compensator").compensate_latency(
        config.LatencyCompensatorConfig(measurements=made["latent_measurements"]), LOG
    )
    common = {"video_manifest": made["video_manifest"], "rendered_frames": tmp_path}
    shown = {
        "measurements": made["latent_measurements"],
        "predicted_states": states,
        "true_states": made["true_states"],
    }
    folder = part("frame_renderer").render_frames(
        config.FrameRendererConfig(**shown, **common, width=480, height=270), LOG
    )
    assert folder == tmp_path
    video = part("video_creator").create_video(config.VideoCreatorConfig(**common), LOG)
    assert video[4:8] == b"ftyp"


def test_a_picture_that_is_missing_is_named(tmp_path):
    """The video is not made of what is left."""
    config = part("config").VideoCreatorConfig(rendered_frames=tmp_path, video_manifest=course.manifest(0, 0.2, fps=10))
    with pytest.raises(ValidationException, match=r"3 of 3 .* frame_000000.png.*Frame Renderer"):
        part("video_creator").create_video(config, LOG)


def test_a_car_log_becomes_measurements_and_a_manifest():
    """The invented log, read with its own column names, covers its whole time."""
    config = part("config")
    log = part("car_log_reader").make_demo_car_log(config.DemoCarLogConfig(duration_s=3.0))
    made = part("car_log_reader").read_car_log(config.CarLogReaderConfig(car_log=log, clock_column="time", fps=10), LOG)
    assert list(made["latent_measurements"]) == ["time", "measured_at", "x", "y", "speed", "yaw", "yaw_rate"]
    assert made["video_manifest"]["time"].iloc[-1] == pytest.approx(
        made["latent_measurements"]["time"].iloc[-1], abs=0.1
    )

"""The whole demo through its commands: `pytest tests/e2e_test.py`. It works on a copy; this folder stays as it is."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

PROJECT = Path(__file__).resolve().parents[1]
MADE = ("raw_data", "intermediate", "output", "data", "backup", "logs", "temp", "__pycache__", ".*_cache")
SETTINGS = ("MILLPOND", "FS_", "DB_", "ARCTIC_", "CONFIG_")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh copy of the demo."""
    copy = tmp_path_factory.mktemp("demo") / "replay_demo"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*MADE))
    return copy


@pytest.fixture(scope="module")
def millpond(project: Path) -> Command:
    """A command in that copy, with nothing set but what the copy sets."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}

    def run(*arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "framework", *arguments]
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == exit_code, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="module")
def case(project: Path, millpond: Command) -> Iterator[Path]:
    """The demo's case after the two commands of the README."""
    millpond("generate-data")
    millpond("pipeline", "--case", "demo")
    return project / "cases" / "demo"


def contents(place: Path) -> dict[str, bytes]:
    """The bytes of a file, or of all files of a folder, by name."""
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return {file.name: file.read_bytes() for file in files}


def pictures(video: bytes) -> list[float]:
    """The mean brightness of each picture of a video."""
    with av.open(io.BytesIO(video)) as container:
        return [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]


def removed(place: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink()


def test_data_is_generated(case: Path) -> None:
    """`generate-data` writes a late log, the truth, and what the video is to show."""
    log = pd.read_csv(case / "raw_data" / "latent_measurements.csv")
    truth = pd.read_csv(case / "raw_data" / "true_states.csv")
    manifest = pd.read_csv(case / "raw_data" / "video_manifest.csv")
    assert {"time", "x", "y"} <= set(log)
    assert len(truth) == 2001
    assert manifest["time"].tolist() == pytest.approx(np.arange(401) / 20)


def test_the_latency_is_compensated(case: Path) -> None:
    """The states that the pipeline saved are at least twice as near to the truth as the measurements."""
    truth = pd.read_csv(case / "raw_data" / "true_states.csv")

    def error(rows: pd.DataFrame) -> float:
        squares = [(rows[axis] - np.interp(rows["time"], truth["time"], truth[axis])) ** 2 for axis in ("x", "y")]
        return float(np.sqrt(sum(squares).mean()))

    log = pd.read_csv(case / "raw_data" / "latent_measurements.csv")
    states = pd.read_parquet(case / "intermediate" / "predicted_states.parquet")
    assert len(states) == len(log)
    assert 2 * error(states) < error(log)


def test_each_frame_is_a_picture(case: Path) -> None:
    """One PNG for each row of the manifest, and nothing else in the folder."""
    pictures = contents(case / "intermediate" / "rendered_frames")
    assert list(pictures) == [f"frame_{number:06d}.png" for number in range(401)]
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())


def test_the_video_plays(case: Path) -> None:
    """Decoded, it has all pictures, at 20 per second."""
    with av.open(str(case / "output" / "replay.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 20
        assert container.duration / 1e6 == pytest.approx(401 / 20, abs=0.01)
        assert sum(1 for _ in container.decode(video=0)) == 401


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("Latency Compensator", "intermediate/predicted_states.parquet"),
        ("Frame Renderer", "intermediate/rendered_frames"),
        ("Video Creator", "output/replay.mp4"),
    ],
)
def test_each_plugin_runs_alone(case: Path, millpond: Command, name: str, output: str) -> None:
    """`plugin` makes again what the pipeline made: the same bytes, and of the video the same pictures, nearly."""
    before = contents(case / output)
    removed(case / output)
    millpond("plugin", name, "--case", "demo")
    after = contents(case / output)
    if name == "Video Creator":
        assert pictures(after["replay.mp4"]) == pytest.approx(pictures(before["replay.mp4"]), abs=1.0)
    else:
        assert after == before


def test_a_parameter_that_cannot_be_is_found_before_anything_runs(case: Path, millpond: Command) -> None:
    """A zoom factor of 0 ends with 20 and leaves all outputs as they were."""
    states = case / "intermediate" / "predicted_states.parquet"
    before = (states.stat().st_mtime_ns, states.read_bytes())
    done = millpond("pipeline", "--case", "demo", "--set", "Frame Renderer.zoom_factor=0", exit_code=20)
    assert "zoom_factor" in done.stdout + done.stderr
    assert (states.stat().st_mtime_ns, states.read_bytes()) == before


def test_a_log_of_a_car_runs_through_its_template(project: Path, millpond: Command) -> None:
    """A case made of the template reads a GPS log and ends with a video; there is no truth, and none is asked for."""
    millpond("new-case", "mine", "--template", "car_tracking")
    millpond("generate-data", "--case", "mine")
    millpond("pipeline", "--case", "mine")
    case = project / "cases" / "mine"
    manifest = pd.read_csv(case / "intermediate" / "video_manifest.csv")
    with av.open(str(case / "output" / "replay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(manifest)


def test_the_reference_names_every_plugin_and_is_stable(project: Path, millpond: Command) -> None:
    """`docs` writes REFERENCE.md with all steps of the demo; twice, the same bytes."""
    millpond("docs")
    reference = project / "REFERENCE.md"
    first = reference.read_bytes()
    for name in ("Demo Data", "Latency Compensator", "Frame Renderer", "Video Creator", "Car Log Reader"):
        assert name in first.decode()
    assert "latency_to_compensate_s" in first.decode()
    millpond("docs")
    assert reference.read_bytes() == first

"""Segments made by the workers of a Ray cluster: a real one, of this machine alone."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clips
from tests.resuming import REPOSITORY, content, make_film, make_networks, settings_of
from vidrestore import cli
from vidrestore.cluster import connection, orders
from vidrestore.cluster.nodes import Cluster
from vidrestore.errors import (
    DeviceError,
    FfmpegError,
    InputError,
    OutputError,
    VidrestoreError,
    WeightsError,
)
from vidrestore.runs.journal import load
from vidrestore.runs.pipeline import restore
from vidrestore.runs.recipe import Made
from vidrestore.runs.workfolder import work_folder
from vidrestore.settings import RestoreSettings

HERE = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_enable_metrics_collection": "0",
    "OMP_NUM_THREADS": "1",
}
"""Environment of the cluster: nothing but this machine, nothing written outside its folder."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster with room for two workers, started offline, and gone at the end."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    before = dict(os.environ)
    os.environ.update(HERE, PYTHONPATH=str(REPOSITORY))
    folder = tmp_path_factory.mktemp("r", numbered=False)  # sockets have short names
    handler = signal.getsignal(signal.SIGTERM)
    try:
        context = ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            _temp_dir=str(folder),
            log_to_driver=False,
            configure_logging=False,
        )
        yield context.address_info["address"]
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, handler)
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def film(clips: Clips) -> Path:
    """Four shots, cut into seven segments or so."""
    return make_film(clips, "sent.mp4", (9, 8, 5, 6))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_networks(tmp_path_factory.mktemp("weights"))


def denoising(networks: Path, **values: Any) -> RestoreSettings:
    return settings_of({"tasks": ["denoise"], "sigma": 12.0, "weights": str(networks), **values})


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[1])


def workers() -> list[int]:
    """Processes of our own cluster that are at a task right now."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            name = (entry / "cmdline").read_bytes()
            if name.startswith(b"ray::work") and parent(parent(int(entry.name))) == os.getpid():
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def test_a_film_restored_by_workers_of_whom_one_is_killed_is_the_same(
    address: str, film: Path, networks: Path, tmp_path: Path, clips: Clips
) -> None:
    settings = denoising(networks)
    local = restore(film, tmp_path / "local.mp4", settings)
    killed: list[int] = []
    told: list[int] = []

    def kill_one(progress: Any) -> None:
        told.append(progress.done)
        while not killed and progress.done < 20:
            for pid in workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    with connection.connect() as crew:
        sent = restore(film, tmp_path / "sent.mp4", settings, kill_one, crew)
    assert killed
    assert told == sorted(told)
    assert told[-1] == sent.frames == local.frames
    assert content(tmp_path / "sent.mp4", clips.ffmpeg) == content(
        tmp_path / "local.mp4", clips.ffmpeg
    )
    same = ("cuts", "drift", "made_frames", "warnings", "device", "dtype", "weights")
    assert [getattr(sent, name) for name in same] == [getattr(local, name) for name in same]
    assert len(sent.cuts) == 3
    assert not work_folder(tmp_path / "sent.mp4").exists()


class Enough(BaseException):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize(
    ("first_by", "stop_after", "asked"),
    [("cluster", 12, {}), ("here", 36, {"fps": "36"})],
    ids=["the cluster first", "here first, frames made"],
)
def test_a_run_that_was_stopped_goes_on_with_or_without_the_cluster(
    address: str,
    film: Path,
    networks: Path,
    tmp_path: Path,
    clips: Clips,
    first_by: str,
    stop_after: int,
    asked: dict[str, Any],
) -> None:
    settings = denoising(networks, **asked)
    whole = restore(film, tmp_path / "whole.mp4", settings)
    output = tmp_path / "out.mp4"

    def stop(progress: Any) -> None:
        if progress.done >= stop_after:
            raise Enough

    with connection.connect() as crew:
        by = {"cluster": (crew, None), "here": (None, crew)}[first_by]
        with pytest.raises(Enough):
            restore(film, output, settings, stop, by[0])
        former = load(work_folder(output))
        assert former is not None
        assert 0 < former.frames < whole.frames
        result = restore(film, output, settings, crew=by[1])
    assert result.resumed_frames == former.frames
    assert not result.warnings
    assert content(output, clips.ffmpeg) == content(tmp_path / "whole.mp4", clips.ffmpeg)


def test_a_worker_of_another_version_is_refused_by_name(
    address: str, film: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidrestore.cluster.nodes.__version__", "0.0.1")
    with (
        connection.connect() as crew,
        pytest.raises(DeviceError, match=rf"{socket.gethostname()} has vidrestore .*, not 0\.0\.1"),
    ):
        restore(film, tmp_path / "out.mp4", denoising(networks), crew=crew)
    assert not work_folder(tmp_path / "out.mp4").exists()


def test_a_segment_file_that_is_not_what_the_worker_wrote_is_not_taken(
    address: str, film: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Cluster._answer

    def spoil(self: Cluster, ref: Any, what: str) -> Any:
        got = answer(self, ref, what)
        if isinstance(got, Made) and got.segment == 2 and got.finished is not None:
            path = got.finished.file.path
            path.write_bytes(path.read_bytes()[:-100])
        return got

    monkeypatch.setattr(Cluster, "_answer", spoil)
    output = tmp_path / "out.mp4"
    with connection.connect() as crew, pytest.raises(OutputError, match="segment 2"):
        restore(film, output, denoising(networks), crew=crew)
    assert not output.exists()


def on_the_command_line(
    folder: Path, networks: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run in a folder, as users do, whose cluster's workers are elsewhere."""
    options = ["--sigma", "12", "--preset", "ultrafast", "--task", "denoise", "--json"]
    command = [sys.executable, "-m", "vidrestore", *words, *options, "--weights", str(networks)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_command_line_joins_a_cluster(
    address: str, film: Path, networks: Path, tmp_path: Path, clips: Clips
) -> None:
    shutil.copy(film, tmp_path / "film.mp4")
    words = ("restore", "film.mp4", "-o", "out.mp4", "--ray", address)
    run = on_the_command_line(tmp_path, networks, *words)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["output"]["frames"] == 28
    restore(film, tmp_path / "local.mp4", denoising(networks, plan={}))
    sent, local = (content(tmp_path / name, clips.ffmpeg) for name in ("out.mp4", "local.mp4"))
    assert sent == local


def test_a_batch_feeds_a_cluster(
    address: str, film: Path, networks: Path, tmp_path: Path, clips: Clips
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    shutil.copy(film, films / "good.mp4")
    (films / "bad.mp4").write_bytes(b"no video")
    words = ("batch", "films", "-o", "restored", "--ray", address)
    run = on_the_command_line(tmp_path, networks, *words)
    assert run.returncode == 8, run.stderr
    restore(film, tmp_path / "local.mp4", denoising(networks, plan={}))
    sent = content(tmp_path / "restored" / "good.restored.mp4", clips.ffmpeg)
    assert sent == content(tmp_path / "local.mp4", clips.ffmpeg)


class Spied(BaseException):
    """Carries an order out of a run."""


class Spy:
    """A crew that never begins."""

    def conditions(self, recipe: Any, networks: Any, folder: Path) -> dict[str, Any]:
        raise Spied(orders.Order.of(recipe, networks, folder, "cpu"))

    make = None


@contextmanager
def order_of(film: Path, networks: Path, folder: Path) -> Iterator[orders.Order]:
    """What a worker would be sent, and the folder that it would find."""
    with pytest.raises(Spied) as spied:
        restore(film, folder / "out.mp4", denoising(networks), crew=Spy())  # type: ignore[arg-type]
    order: orders.Order = spied.value.args[0]
    order.folder.mkdir()
    order.place_token()
    yield order


def test_a_worker_says_what_it_lacks(film: Path, networks: Path, tmp_path: Path) -> None:
    with order_of(film, networks, tmp_path) as order:
        assert orders.look(pickle.dumps(order))["device"] == ["cpu"]  # type: ignore[index]
        recipe = order.recipe
        elsewhere = replace(recipe, info=replace(recipe.info, path=tmp_path / "not-here.mp4"))
        bare = replace(recipe, settings=replace(recipe.settings, weights=tmp_path))
        mute = replace(recipe, settings=replace(recipe.settings, ffmpeg=str(tmp_path / "no")))
        lacking: list[tuple[orders.Order, type[VidrestoreError], str]] = [
            (replace(order, folder=tmp_path / "no"), OutputError, "does not see the work folder"),
            (replace(order, token="token-of-another-folder"), OutputError, "does not see the work"),
            (replace(order, recipe=elsewhere), InputError, "does not see the input"),
            (replace(order, recipe=bare), WeightsError, "no weights for denoise"),
            (replace(order, weights=("0" * 64,)), WeightsError, "has other weights"),
            (replace(order, recipe=mute), FfmpegError, "no ffmpeg executable"),
            (replace(order, ffmpeg=(4, 4)), FfmpegError, "has ffmpeg .* has 4.4"),
        ]
        for wrong, kind, words in lacking:
            said = orders.look(pickle.dumps(wrong))
            assert type(said) is kind
            assert said.hint
            with pytest.raises(kind, match=f"^worker on {socket.gethostname()}.*{words}"):
                raise pickle.loads(pickle.dumps(said))


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("127.0.0.1:1", 6, "no Ray cluster answers at 127.0.0.1:1"),
        ("no-such-host.invalid:6379", 6, "no Ray cluster answers at no-such-host.invalid"),
        ("nonsense", 2, "--ray nonsense is no address"),
        ("ray://head:10001", 2, "is no address"),
    ],
)
def test_an_address_without_a_cluster_is_one_line_in_seconds(
    film: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    address: str,
    code: int,
    words: str,
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    assert exit_code("restore", str(film), "-o", str(tmp_path / "o.mp4"), "--ray", address) == code
    said = capsys.readouterr().err
    assert words in " ".join(said.split())
    assert not list(tmp_path.iterdir())


def test_ray_that_is_not_installed_is_named(
    film: Path,
    networks: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert exit_code("restore", str(film), "-o", str(tmp_path / "o.mp4"), "--ray", "auto") == 2
    assert "vidrestore[ray]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("refused", "option"), [(("-o", "-"), "--ray"), (("--dry-run",), "--ray")], ids=["pipe", "plan"]
)
def test_what_a_cluster_is_not_for_is_refused(
    film: Path, capsys: pytest.CaptureFixture[str], refused: tuple[str, ...], option: str
) -> None:
    assert exit_code("restore", str(film), *refused, "--ray", "auto") == 2
    assert f"leave out {option}" in " ".join(capsys.readouterr().err.split())


def test_something_that_listens_and_is_no_cluster_does_not_hold_us_up(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    program = (
        "import sys; from vidrestore.cluster import connection as c; c.JOIN_S = 1.0\n"
        "try:\n    c.connect(sys.argv[1]).__enter__()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        run = subprocess.run(
            [sys.executable, "-c", program, address],
            cwd=REPOSITORY,
            env={**os.environ, **HERE},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.stdout.startswith("DeviceError the Ray cluster at"), run.stderr

import errno
import json
import logging
import subprocess
import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from atrous.cli.commands import COMMANDS, Command
from atrous.cli.main import main
from atrous.errors import InputError

HEAVY = ("torch", "lightning", "timm", "torchvision", "cv2", "numpy", "matplotlib")


@dataclass(frozen=True, kw_only=True)
class GreetConfig:
    """A greeting."""

    name: str = "you"
    """Whom to greet."""


@pytest.fixture
def greet(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A command `greet` whose behaviour a test sets with `greet.does = ...`."""
    behaviour = types.SimpleNamespace(does=lambda config: 0)
    module = types.ModuleType("greet_command")
    module.run = lambda config: behaviour.does(config)  # type: ignore[attr-defined]
    module.GreetConfig = GreetConfig  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "greet_command", module)
    row = Command(
        module="greet_command",
        config="greet_command:GreetConfig",
        purpose="say hello",
        examples=(("greet", "hello"), ("greet", "hello"), ("greet", "hello")),
        out_of_memory="lower --voice",
        go_on="say it again",
    )
    monkeypatch.setitem(COMMANDS, "greet", row)
    return behaviour


def raises(error: BaseException) -> object:
    def run(config: GreetConfig) -> int:
        raise error

    return run


@pytest.mark.parametrize("words", [["--help"], [], ["train", "--help"], ["help", "predict"]])
def test_help_imports_no_heavy_library(words: list[str]) -> None:
    program = (
        "import sys; from atrous.cli.main import main; "
        f"code = main({words!r}); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); "
        "sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert ran.returncode == 0
    assert ran.stderr.strip() == "[]"
    assert "atrous" in ran.stdout


def test_import_atrous_imports_no_heavy_library() -> None:
    program = f"import sys, atrous; print([n for n in {HEAVY!r} if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", "nowhere"],
        ["evaluate", "street-scenes", "--data", "nowhere"],
        ["predict", "street-scenes", "nowhere.jpg"],
    ],
)
def test_a_misspelt_folder_is_told_before_torch_is_loaded(words: list[str]) -> None:
    program = (
        "import sys; from atrous.cli.main import main; "
        f"code = main({words!r}); print('torch' in sys.modules); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert ran.returncode == 1
    assert ran.stdout == "False\n"
    assert "nowhere" in ran.stderr


def test_the_module_runs_like_the_script() -> None:
    ran = subprocess.run([sys.executable, "-m", "atrous", "--version"], capture_output=True)

    assert ran.returncode == 0
    assert ran.stdout.startswith(b"atrous ")


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_a_command_gets_its_configuration(
    greet: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    greet.does = lambda config: print(f"hello {config.name}") or 0

    assert main(["greet", "--name", "Ada"]) == 0
    assert capsys.readouterr().out == "hello Ada\n"


def test_the_exit_code_is_that_of_the_command(greet: types.SimpleNamespace) -> None:
    greet.does = lambda config: 1

    assert main(["greet"]) == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no such folder:\n x"), 1, "error: no such folder: x"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("interrupted.   Go on: x"), 130, "interrupted.   Go on: x"),
        (MemoryError(), 1, "error: out of memory; lower --voice"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"),
            1,
            "error: out of memory; lower --voice",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a"),
            1,
            "error: the disk is full at runs/a; free some space, then say it again "
            "(nothing is half written)",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs/a"),
            1,
            "error: Permission denied at runs/a; give yourself the right or choose another folder",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
            1,
            "error: a loader process was killed, most often for lack of memory: lower --workers, "
            "or set --workers 0; if it was a time limit or somebody's kill, say it again",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. "),
            1,
            "error: a loader process was ended from outside (SIGTERM: a time limit or somebody's "
            "kill); say it again",
        ),
    ],
)
def test_a_failure_is_one_line_and_an_exit_code(
    greet: types.SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    line: str,
) -> None:
    greet.does = raises(error)

    assert main(["greet"]) == code
    assert capsys.readouterr() == ("", line + "\n")


def test_running_out_of_gpu_memory_says_what_to_lower(
    greet: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    greet.does = raises(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))

    assert main(["greet"]) == 1
    assert capsys.readouterr().err == "error: out of memory; lower --voice\n"


def test_a_defect_is_called_a_defect_in_one_line(
    greet: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    greet.does = lambda config: 1 // 0

    assert main(["greet"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: a defect of atrous, not of yours: ZeroDivisionError: ")
    assert error.count("\n") == 1
    assert "--debug" in error
    assert "Traceback" not in error


def test_debug_shows_the_trace_above_the_line(
    greet: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    greet.does = raises(InputError("no such folder"))

    assert main(["greet", "--debug"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("\nerror: no such folder\n")


def test_json_turns_a_failure_into_one_object(
    greet: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    greet.does = raises(InputError("no such folder"))

    assert main(["greet", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "no such folder", "exit_code": 1}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian"], "unknown command 'trian'; did you mean train? (all: atrous -h)"),
        (["val", "--help"], "unknown command 'val'; did you mean evaluate? (all: atrous -h)"),
        (["fit"], "unknown command 'fit'; did you mean train? (all: atrous -h)"),
        (
            ["--imgsz", "3"],
            "--imgsz comes after a command: demo, train, compare, evaluate, predict, crf, "
            "crf-search, calibrate, bench, explain, models (how: atrous -h)",
        ),
    ],
)
def test_a_wrong_command_is_answered_with_the_right_one(
    capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert main(words) == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


def test_warnings_of_dependencies_do_not_reach_the_user(
    greet: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(config: GreetConfig) -> int:
        warnings.simplefilter("always")  # as lightning does when it is imported
        warnings.warn("a dependency is deprecated", UserWarning, stacklevel=1)
        theirs = logging.getLogger("test_main.dependency")
        theirs.setLevel(logging.INFO)  # as lightning does when it is imported
        theirs.addHandler(logging.StreamHandler(sys.stderr))
        theirs.error("GPU available: False")
        logging.getLogger("atrous.test_main").warning("weights not reachable")
        return 0

    greet.does = run

    assert main(["greet"]) == 0
    assert capsys.readouterr() == ("", "warning: weights not reachable\n")


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_libraries_in_c_do_not_reach_the_user(debug: list[str]) -> None:
    program = f"""
import os, sys, types
from atrous.cli import main as door
def run(name, words, **flags):
    os.write(2, b"libpng warning: iCCP\\n")
    print("1 failed", file=sys.stderr)
    raise door.UsageError("no such option")
door._run = run
sys.exit(door.main(["train", *{debug!r}]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert ran.returncode == 2
    assert ("libpng" in ran.stderr) == bool(debug)
    assert "1 failed\n" in ran.stderr
    assert ran.stderr.endswith("error: no such option\n")


def test_debug_lets_warnings_through(greet: types.SimpleNamespace) -> None:
    greet.does = lambda config: warnings.warn("deprecated", UserWarning, stacklevel=1) or 0

    with pytest.warns(UserWarning, match="deprecated"):
        assert main(["greet", "--debug"]) == 0


def test_a_closed_pipe_is_not_an_error(
    greet: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    greet.does = raises(BrokenPipeError())

    main(["greet"])

    assert capsys.readouterr() == ("", "")


def test_print_config_prints_what_config_reads(
    greet: types.SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    greet.does = lambda config: print(config.name) or 0

    assert main(["greet", "--name", "Grace", "--print-config"]) == 0
    file = tmp_path / "greet.yaml"
    file.write_text(capsys.readouterr().out)
    assert main(["greet", "--config", str(file)]) == 0
    assert capsys.readouterr().out == "Grace\n"

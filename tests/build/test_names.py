"""Names that a user gives: each character works or is refused in one sentence, and nothing in a name is run."""

import os
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, make_project

PYTHON = Path(__file__).with_name("recording_python.py")
CHARACTERS = [*string.punctuation, " ", "\t", "\n", "\r", "\x01", "\x7f", "é", "\udcff"]
# For each variable a goal that hands its name to a worker, and the worker and option that get it.
USES = {
    "MODEL": ("checkpoint", "py/checkpoint/unpack.py", "--model"),
    "OUT": ("checkpoint", "py/checkpoint/unpack.py", "--output"),
    "VALIDATION": ("out/demo-tdt/checks/checkpoint.check.json", "py/speech/evaluate_checkpoint.py", "--manifest"),
    "LEXICON": ("trie", "py/swipe/write_trie.py", "--lexicon"),
    "BUNDLE_ASSETS": ("out/demo-tdt/package/bundled/server/SHA256SUMS", "py/package/bundle.py", "--assets"),
    "PACKAGE_DIR": ("package-onnx-asr", "py/package/for_onnx_asr.py", "--output"),
}
# What each must take: NeMo's names, and those of other tools.
WORKING = {
    "MODEL": '=&;#%:()[]{}<>|*?!`"@+,^~_-./é',
    "OUT": "@+^~_-./é",
    "VALIDATION": "@+,^~_-./é\udcff",
    "LEXICON": "@+,^~_-./é\udcff",
    "BUNDLE_ASSETS": "@+,^~_-./é\udcff",
    "PACKAGE_DIR": "@+^~_-./é\udcff",
}
HARMFUL = [
    "$(shell touch canary)",
    "$(touch canary)",
    "`ls>canary`",
    "a;ls>canary",
    "a&ls>canary",
    "a|tee<Makefile>canary",
    "a'`ls>canary`'",
    '"`ls>canary`"',
    "a\ntouch canary",
    "a\n\ttouch canary",
    "$(file >canary)",
    "x:=y",
    "${eval x}",
    "-f",
    "--help",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("project"))
    shutil.copytree(ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("audio"))
    return folder


def run(project: Path, *arguments: str) -> tuple["subprocess.CompletedProcess[bytes]", list[list[str]]]:
    """Run make and return what it printed, and the arguments of every worker that it started."""
    notes = project / "arguments"
    notes.unlink(missing_ok=True)
    command = [b"make", b"PYTHON=" + os.fsencode(PYTHON), *map(os.fsencode, arguments)]
    environment = os.environ | {"ARGUMENTS": str(notes), "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, check=False)
    calls = notes.read_bytes().split(b"\0\n\0")[:-1] if notes.exists() else []
    return done, [[os.fsdecode(argument) for argument in call.split(b"\0")] for call in calls]


def value_of(option: str, call: list[str]) -> str:
    for argument, following in zip(call, [*call[1:], ""], strict=True):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    raise AssertionError(f"{option} is not among {call}")


def entries(project: Path) -> set[str]:
    return {path.name for path in project.iterdir()} - {"arguments"}


def check(project: Path, variable: str, name: str) -> bool:
    """Assert that make hands a name to the worker as it is, or refuses it before anything runs; return the former."""
    goal, worker, option = USES[variable]
    shutil.rmtree(project / "out", ignore_errors=True)
    before = entries(project)
    place = project / name
    # A name that no file can have, or that leads elsewhere, is only refused or not there.
    if variable in ("VALIDATION", "LEXICON", "BUNDLE_ASSETS") and "\0" not in name:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    made = entries(project) - before
    done, calls = run(project, "CONFIG=demo-tdt" if variable != "MODEL" else "CONFIG=", goal, f"{variable}={name}")
    try:
        assert not (project / "canary").exists(), "something in the name was run"
        if done.returncode:
            [line] = done.stderr.splitlines()
            names = (variable, "OUT") if variable == "MODEL" else (variable,)
            assert done.returncode == 2 and any(f"{name} is '".encode() in line for name in names), done.stderr
            assert not calls and not (project / "out").exists() and not done.stdout
            assert entries(project) == before | made
            return False
        [call] = [call for call in calls if call[0] == worker]
        found = value_of(option, call)
        assert found == name or (option == "--output" and found.startswith(f"{name}/")), found
        return True
    finally:
        for extra in entries(project) - before:
            path = project / extra
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("variable", USES)
def test_each_character_works_or_is_refused(project: Path, variable: str) -> None:
    works = {character for character in CHARACTERS if check(project, variable, f"a{character}b")}
    assert works >= set(WORKING[variable])
    assert not works & set("$'\\ \t\n")


@pytest.mark.parametrize("variable", USES)
def test_nothing_in_a_name_is_run(project: Path, variable: str) -> None:
    for name in HARMFUL:
        check(project, variable, name)


def test_names_that_nemo_gives(project: Path) -> None:
    for name in ("run--val_wer=0.12-epoch=3.ckpt", "run--val_wer=0.1234-epoch=3-last.ckpt", "a&b.nemo"):
        assert check(project, "MODEL", name)


def test_recordings_of_any_name_reach_the_transcriber(project: Path) -> None:
    names = [f"a{character}b.wav" for character in CHARACTERS if character not in "\t\n\r\\"]
    names += [f"{character}b.wav" for character in CHARACTERS if character not in "\t\n\r\\ "]
    names += [name for name in HARMFUL if "\n" not in name]
    listed = " ".join(name.replace(" ", "\\ ") for name in names)
    done, calls = run(project, "CONFIG=demo-tdt", "transcribe", f"WAV={listed}")
    assert done.returncode == 0, done.stderr
    assert not (project / "canary").exists()
    [call] = [call for call in calls if call[0] == "py/speech/transcribe.py"]
    assert call[call.index("--") + 1 :] == names


def test_a_checkpoint_whose_name_is_not_utf8_needs_an_out_that_is(project: Path) -> None:
    done, _ = run(project, "CONFIG=", "checkpoint", "MODEL=a\udcff.nemo")
    assert done.returncode == 2 and b"its name is not UTF-8" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (project / "out/a\udcff").exists()
    done, [call] = run(project, "CONFIG=", "checkpoint", "MODEL=a\udcff.nemo", "OUT=out/a")
    assert done.returncode == 0 and value_of("--model", call) == "a\udcff.nemo"


def test_names_from_the_environment_are_names_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MODEL", "OUT", "WAV"):
        with monkeypatch.context() as context:
            context.setenv(variable, "$(shell touch canary)")
            run(project, "help")
            done, _ = run(project, "CONFIG=demo-tdt", "transcribe")
            assert not (project / "canary").exists()
            assert done.returncode == (0 if variable == "WAV" else 2)

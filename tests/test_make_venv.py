"""What a fresh machine may lack is said in one sentence before anything is downloaded."""

import os
import subprocess

import pytest
from program import ROOT

STUB = """#!/bin/sh
case "$*" in
*version_info*) echo {version} ;;
*ensurepip*) exit {no_venv} ;;
*) echo "it would go on: $*"; exit 99 ;;
esac
"""


def run(tmp_path, pythons, *arguments, tools=()):
    """Run the script with these Pythons, and tools that answer what is given, as the only ones in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, version, no_venv in pythons:
        (folder / name).write_text(STUB.format(version=version, no_venv=no_venv))
    for name, output in tools:
        (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    for path in folder.iterdir():
        path.chmod(0o755)
    for tool in ("sh", "df", "awk", "uname", "dirname", "mkdir", "cat", "ls"):
        if not (folder / tool).exists():
            (folder / tool).symlink_to(
                next(p for p in (f"/bin/{tool}", f"/usr/bin/{tool}") if os.path.exists(p))
            )
    return subprocess.run(
        ["sh", str(ROOT / "tools/make_venv.sh"), *(arguments or ("python3", str(tmp_path / "venv")))],
        env={"PATH": str(folder), "HOME": str(tmp_path / "home")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("version", ["3.10", "3.14", "2.7"])
def test_another_python_is_named_when_there_is_one(tmp_path, version):
    done = run(tmp_path, [("python3", version, 0), ("python3.12", "3.12", 0)])
    found = tmp_path / "bin" / "python3.12"
    assert (done.returncode, done.stderr) == (
        1,
        f"bert_squad: Python 3.11, 3.12 or 3.13 is needed, and python3 is {version}; there is {found}: make "
        f"PYTHON={found}\n",
    )
    assert not (tmp_path / "venv").exists()


def test_pyenv_is_looked_at_too(tmp_path):
    place = tmp_path / "home/.pyenv/versions/3.13.0/bin"
    place.mkdir(parents=True)
    (place / "python").write_text(STUB.format(version="3.13", no_venv=0))
    (place / "python").chmod(0o755)
    done = run(tmp_path, [("python3", "3.10", 0)])
    assert done.stderr.endswith(f"make PYTHON={place}/python\n")


@pytest.mark.parametrize(
    ("pythons", "tools", "sentence"),
    [
        ([], (), "there is no python3 here; install Python 3.11, 3.12 or 3.13"),
        ([("python3", "3.10", 0)], (), "python3 is 3.10; install one, and name it: make PYTHON=/path/to/python3.12"),
        ([("python3", "3.13", 1)], (), "cannot make virtual environments; on Debian and Ubuntu: apt-get install "),
        (
            [("python3", "3.12", 0)],
            [("df", "Filesystem 1024-blocks Used Available Capacity Mounted\n/dev/x 9 9 1200000 99% /")],
            "has 1200 MB free, and the environment takes some 4500; make room",
        ),
        ([("python3", "3.12", 0)], [("uname", "MINGW64_NT")], "none for MINGW64_NT on MINGW64_NT"),
    ],
)  # fmt: skip
def test_what_is_missing_is_one_sentence(tmp_path, pythons, tools, sentence):
    done = run(tmp_path, pythons, tools=tools)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("bert_squad: ")
    assert sentence in done.stderr


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_it_goes_on_with_what_is_right(tmp_path, version):
    done = run(tmp_path, [("python3", version, 0)])
    assert (done.returncode, done.stdout) == (99, f"it would go on: -m venv {tmp_path}/venv\n")

"""What the pages for developers name exists: files, tests, and every module in its room."""

import ast
import re

import pytest
from program import ROOT

PAGES = (
    "BUILD_NOTES.md",
    "README.md",
    "docs/ARCHITECTURE.md",
    "docs/TAKE_OVER.md",
    "docs/bulk.md",
    "docs/serving.md",
)
HYPOTHETICAL = {"checkpoints/npz.py"}  # the worked example of a new format


def named_in(text):
    """Yield (file, test) of what stands between backticks; `…` is the file named before, and a test may be None."""
    last = ""
    for file, test in re.findall(r"`([\w/.…]*?)(?:::(\w+…?))?`", text):
        if file == "…" or file.endswith(".py"):
            last = last if file == "…" else beside(file, last)
            yield last, test or None


def beside(file, last):
    """Return a path of the repository: a bare name lies in a package or beside the file named before."""
    folders = ["", "bert_squad/", "tests/", f"{last.rpartition('/')[0]}/", "tests/faults/"]
    return next((folder + file for folder in folders if (ROOT / (folder + file)).is_file()), file)


def functions_in(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def mistakes(text):
    """Yield what is named and does not exist."""
    for file, test in named_in(text):
        if not (ROOT / file).is_file():
            if file not in HYPOTHETICAL:
                yield file
        elif test and not any(
            name.startswith(test[:-1]) if test.endswith("…") else name == test for name in functions_in(file)
        ):
            yield f"{file}::{test}"


@pytest.mark.parametrize("page", PAGES)
def test_files_and_tests_that_a_page_names_exist(page):
    assert list(mistakes((ROOT / page).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`tests/test_docs.py::test_none`", "tests/test_docs.py::test_none"),
        ("`tests/test_docs.py` and `…::test_none…`", "tests/test_docs.py::test_none…"),
        ("`tests/test_nothing.py`", "tests/test_nothing.py"),
        ("`text/nothing.py`", "text/nothing.py"),
    ],
)
def test_what_does_not_exist_is_seen(text, missing):
    assert list(mistakes(text)) == [missing]


def test_the_map_has_every_module():
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = page[page.index("    run_squad.py") : page.index("    tests/")]
    words = set(re.findall(r"\w+", rooms))
    modules = {path.stem for path in (ROOT / "bert_squad").rglob("*.py")}
    assert modules - words == {"__main__"}

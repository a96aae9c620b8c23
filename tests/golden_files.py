"""Find the goldens: output of the legacy program, copied into tests/goldens or beside the checkout in ../shared.

`../shared/goldens` holds every case, those on real data included; the small ones that were written for this
project are copied to `tests/goldens`, so that the suite also means something without `../shared`.
"""

import gzip
import json
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parent
SHARED = _TESTS.parent.parent / "shared"
_ROOTS = [SHARED / "goldens", _TESTS / "goldens"]


def golden(relative: str) -> Path:
    """Return the path of one golden file or folder; skip the test where it is absent."""
    for root in _ROOTS:
        if (root / relative).exists():
            return root / relative
    pytest.skip(f"golden {relative} lies only in ../shared/goldens, which is absent here")


def golden_cases(folder: str) -> list[str]:
    """List the case names below a golden folder, e.g. `golden_cases("nbest")`, of both places, sorted."""
    return sorted({case.name for root in _ROOTS for case in (root / folder).glob("*") if case.is_dir()})


def data_file(name: str) -> Path:
    """Return a file of ../shared/data (never committed: see its licences); skip the test where it is absent."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{name} lies only in ../shared/data, which is absent here")
    return path


def golden_input(name: str) -> Path:
    """Resolve a file named in a golden's flags.json: `tiny/...` among the goldens, `data/...` in ../shared."""
    return data_file(name.removeprefix("data/")) if name.startswith("data/") else golden(name)


def read_json(path: Path):
    """Read a JSON file, gzipped when its name ends in .gz."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as reader:
        return json.load(reader)


def read_json_lines(path: Path) -> list:
    """Read a JSON-lines file, gzipped when its name ends in .gz; lines end at LF only."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as reader:
        return [json.loads(line) for line in reader.read().split("\n") if line]

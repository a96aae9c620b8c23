import json
import subprocess
import sys
from pathlib import Path

import pytest
from program import environment

SCRIPT = Path(__file__).resolve().parent / "long_passage.py"


def answered(model_dir, kind, signature, size):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), model_dir, kind, signature, str(size)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sentences", "one_word", "one_word_of_many_tokens", "spaces"])
def test_five_megabytes(exported_v2, kind):
    """Some hundred bytes of memory for each byte of text, whatever the text; not the windows' share of it.

    In one piece, the windows alone would be 300 MB of WordPiece ids and 2 GB of attention scores in each head.
    """
    told = answered(exported_v2.path, kind, "answer", 5_000_000)
    assert told["count"] >= 1
    assert abs(told["probability"] - 1.0) < 1e-4
    assert told["megabytes"] < 1500

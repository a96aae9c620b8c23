"""Ask an export in a process that knows nothing of this checkout."""

import os
import subprocess
import sys

import numpy as np


def run(arguments, tmp_path, python=sys.executable, **options):
    """Run Python where nothing of this checkout can be found: isolated, elsewhere, without PYTHONPATH.

    Returns:
      What it printed.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), "-I", *map(str, arguments)],
        cwd=tmp_path,
        env={**variables, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def assert_expected(outputs, expected):
    assert set(outputs) == set(expected)
    for name, value in expected.items():
        if value.dtype == object:
            assert outputs[name] == np.char.decode(value.astype(bytes)).tolist(), name
        else:
            np.testing.assert_allclose(np.array(outputs[name], value.dtype), value, atol=1e-5, err_msg=name)

import importlib.util
import re

import pytest
from golden_files import golden
from program import run_program


@pytest.mark.slow
def test_the_benchmark_starts_and_finishes():
    """A smoke test: each contender that there is answers, and a line is printed for it. No time is asserted."""
    folder = golden("model/legacy_run/v1")
    done = run_program(
        f"--data_file={folder / 'dev.json'}",
        f"--init_checkpoint={folder / 'output/model.ckpt-24'}",
        f"--bert_config_file={folder / 'bert_config.json'}",
        f"--vocab_file={folder / 'vocab.txt'}",
        "--max_seq_length=64",
        "--doc_stride=24",
        "--max_query_length=16",
        "--questions=5",
        "--rounds=1",
        "--export_dtypes=float32",
        "--peer_batch_sizes=1",
        program="benchmarks/serving.py",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("answer float32", "answer_fast float32"):
        assert re.search(rf"^{name} +\d+\.\d +\d+\.\d +\d+\.\d\d +-?\d+%$", done.stdout, re.MULTILINE), (
            done.stdout
        )
    if not importlib.util.find_spec("transformers"):
        assert "there is nobody to compare with" in done.stdout

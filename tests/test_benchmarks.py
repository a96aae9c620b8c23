import importlib.util
import json
import re

from golden_files import golden
from program import run_program


def test_stages_start_and_finish_on_tiny_sizes(tmp_path):
    """A smoke test: every stage of every contender runs and a ratio is printed. No time is asserted."""
    sizes = {"vocab_size": 560, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    (tmp_path / "sizes.json").write_text(json.dumps({**sizes, "intermediate_size": 16, "type_vocab_size": 2}))
    done = run_program(
        f"--data_file={golden('tiny/train-v1.1.json')}",
        f"--vocab_file={golden('tiny/vocab_uncased.txt')}",
        f"--bert_config_file={tmp_path / 'sizes.json'}",
        "--max_seq_length=64",
        "--doc_stride=48",
        "--max_query_length=16",
        "--train_batch_size=2",
        "--predict_batch_size=2",
        "--batches=1",
        "--rounds=1",
        program="benchmarks/stages.py",
    )
    assert done.returncode == 0, done.stderr
    for stage in ("conversion", "training", "prediction"):
        assert re.search(
            rf"^{stage} +bert_squad \(exact, float32\) .* examples/s .* 1\.00x", done.stdout, re.MULTILINE
        )
        if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
            assert re.search(
                rf"^{stage} +transformers .* ours is +\d+\.\d\dx of it", done.stdout, re.MULTILINE
            )

"""README's command lines run as they stand, with small files under the names that they use."""

import json
import re
import shutil
import socket
import subprocess
import sys

import pytest
from golden_files import golden
from program import ROOT, environment

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.model.squad_model import BertForSquad

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL_BLOCKS = re.findall(r"```shell\n(.*?)```", README, re.DOTALL)
COMMANDS = [block for block in SHELL_BLOCKS if block.startswith("python run_squad.py")]

SIZES = {
    "vocab_size": 560,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "type_vocab_size": 2,
}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """Make the directories that the command lines name by variables."""
    bert, squad = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("squad")
    shutil.copy(golden("tiny/vocab_uncased.txt"), bert / "vocab.txt")
    (bert / "bert_config.json").write_text(json.dumps(SIZES))
    save_tf1_checkpoint(str(bert / "bert_model.ckpt"), BertForSquad(BertConfig.from_dict(SIZES)))
    for name in ("train-v1.1.json", "dev-v1.1.json", "train-v2.0.json", "dev-v2.0.json"):
        shutil.copy(golden(f"tiny/{name}"), squad / name)
    return {
        **environment(),
        "BERT_BASE_DIR": str(bert),
        "SQUAD_DIR": str(squad),
        "OUTPUT_DIR": str(tmp_path_factory.mktemp("output")),
    }


def test_the_old_command_lines(directories):
    """One after the other, as the last one predicts with what the one before has trained."""
    assert len(COMMANDS) == 3
    for command in COMMANDS:
        command = command.replace("python run_squad.py", f"{sys.executable} {ROOT / 'run_squad.py'}")
        done = subprocess.run(
            command, shell=True, env=directories, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    output = directories["OUTPUT_DIR"]
    listing = subprocess.run(
        ["ls", f"{output}/squad_base", f"{output}/squad_v2"], capture_output=True, text=True, check=True
    )
    assert listing.stdout.count("predictions.json") == 4
    assert "null_odds.json" in listing.stdout


def run_two_workers(folder, more: str = "") -> list[subprocess.CompletedProcess]:
    """Run the blocks of two terminals side by side, in a directory that has the example; on ports that are free."""
    blocks = [block for block in SHELL_BLOCKS if block.startswith("TF_CONFIG=")]
    assert len(blocks) == 2
    with socket.create_server(("localhost", 0)) as first, socket.create_server(("localhost", 0)) as second:
        ports = {"2222": str(first.getsockname()[1]), "2223": str(second.getsockname()[1])}
    shutil.copytree(ROOT / "examples/quickstart", folder / "examples/quickstart")
    processes = []
    for block in blocks:
        for port, free in ports.items():
            block = block.replace(f"localhost:{port}", f"localhost:{free}")
        command = block.replace(".venv/bin/python run_squad.py", f"{sys.executable} {ROOT / 'run_squad.py'}")
        processes.append(
            subprocess.Popen(
                f"{command.rstrip()} {more}",
                shell=True,
                cwd=folder,
                env=environment(),
                stdout=-1,
                stderr=-1,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=550) for process in processes]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(processes, outputs, strict=True)
    ]


@pytest.mark.parametrize(
    "more", ["--num_train_epochs=0.1", pytest.param("", marks=pytest.mark.slow)], ids=["short", "as written"]
)
def test_two_terminals_train_one_model(tmp_path, more):
    chief, other = run_two_workers(tmp_path, more)
    assert (chief.returncode, other.returncode) == (0, 0), chief.stderr + other.stderr
    assert re.search(r"^exact_match +\d", chief.stdout, re.MULTILINE)
    assert other.stdout == ""
    metrics = json.loads((tmp_path / "two_workers/eval_results.json").read_text())
    assert metrics["exact_match"] > (90 if not more else 0)


def test_every_new_flag_is_in_the_table():
    from bert_squad.cli.flag_table import NEW_FLAGS

    table = re.findall(r"^\| `--(\w+)` \|", README, re.MULTILINE)
    assert sorted(table) == sorted(name for name, _ in NEW_FLAGS)


def test_pictures_and_pages_that_it_links_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

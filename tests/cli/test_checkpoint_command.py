import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from golden_files import golden
from program import environment, run_console, run_program
from tiny_config import TINY
from tiny_models import VOCABULARY, random_inputs, tiny_model, write_huggingface

from bert_squad.checkpoints.convert import KINDS, convert
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.checkpoints.tf1_writing import save_tf1_checkpoint
from bert_squad.cli import checkpoint
from bert_squad.cli import flags as cli_flags
from bert_squad.errors import ConfigError, OutputError


@pytest.fixture
def folder(tmp_path):
    save_tf1_checkpoint(str(tmp_path / "model.ckpt"), tiny_model(), step=7)
    (tmp_path / "bert_config.json").write_text(json.dumps(TINY.to_dict()))
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY))
    return tmp_path


def test_inspect_and_convert(folder):
    """The whole way in processes of their own: look, convert, look again, and start from the result."""
    done = run_console("checkpoint", "inspect", "model.ckpt", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("model.ckpt\nkind: TF1 checkpoint\nstep: 7\n")

    done = run_console("checkpoint", "convert", "model.ckpt", "hf", "--to=huggingface", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Converted model.ckpt (TF1 checkpoint) to hf: 42 variables written, 0 dropped.\n"
    assert sorted(os.listdir(folder / "hf")) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    model = tiny_model(seed=1)
    load_checkpoint(model, str(folder / "hf"))
    for ours, back in zip(tiny_model()(random_inputs()), model(random_inputs()), strict=True):
        np.testing.assert_array_equal(ours, back)


def test_an_error_is_one_line(folder):
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(b"")
    done = run_console("checkpoint", "inspect", "model.ckpt", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "bert-squad checkpoint: error: The checkpoint model.ckpt is not complete: its data"
    )
    assert done.stderr.count("\n") == 1


def test_help_and_wrong_words_do_not_load_tensorflow(tmp_path):
    for words, code in (
        (["--help"], 0),
        ([], 0),
        (["convert", "a", "b"], 1),
        (["inspect", "--to=tf1", "a"], 1),
    ):
        done = run_program("checkpoint", *words, cwd=tmp_path, program="tests/cli/print_modules.py")
        assert done.returncode == code, done.stderr
        modules = done.stdout.splitlines()[-1].split()
        assert "bert_squad.cli.checkpoint" in modules
        assert "tensorflow" not in modules


def test_the_help_of_the_program_names_the_subcommand():
    done = run_console("--help")
    assert "bert-squad checkpoint: look into a checkpoint of any kind, or convert it" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["look", "a"], "Unknown action 'look'; it is inspect or convert"),
        (["--to=tf1"], "Unknown action ''"),
        (["inspect"], "inspect takes PATH, not 0 paths"),
        (["inspect", "a", "b"], "inspect takes PATH, not 2 paths"),
        (["inspect", "a", "--vocab_file=v"], "inspect takes no --vocab_file"),
        (["convert", "a", "--to=tf1"], "convert takes SOURCE and TARGET, not 1 paths"),
        (["convert", "a", "b"], "convert needs --to=tf1 or --to=huggingface"),
        (["convert", "a", "b", "--to=onnx"], "flag --to=onnx: value should be one of <tf1|huggingface>"),
        (["convert", "a", "b", "--to=tf1", "--base_model=c"], "--base_model is for the model card"),
        (["convert", "a", "b", "--too=tf1"], "Unknown flag --too; the nearest known one is --to"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(ConfigError) as caught:
        checkpoint.main("bert-squad checkpoint", words)
    assert str(caught.value).startswith(message)


def test_the_flag_offers_what_convert_can_do():
    assert tuple(checkpoint._define_flags()["to"].parser.enum_values) == KINDS


def test_flags_reach_convert_wherever_they_stand(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        "bert_squad.checkpoints.convert.convert", lambda *a, **k: calls.append((a, k)) or "done"
    )
    words = [
        "convert",
        "--to",
        "huggingface",
        "a",
        "--nodo_lower_case",
        "b",
        "--vocab_file=v",
        "--bert_config_file=c",
        "--base_model=owner/bert",
    ]
    assert checkpoint.main("bert-squad checkpoint", words) == 0
    expected = {
        "bert_config_file": "c",
        "vocab_file": "v",
        "do_lower_case": False,
        "base_model": "owner/bert",
    }
    assert calls == [(("a", "b", "huggingface"), expected)]
    assert capsys.readouterr().out == "done\n"


# What a Hugging Face directory brings to a run.


@pytest.fixture
def huggingface(folder):
    convert(str(folder / "model.ckpt"), str(folder / "hf"), "huggingface")
    return folder / "hf"


def parse(*arguments):
    values = cli_flags.define_flags(flags.FlagValues())
    return cli_flags.parse(["run_squad.py", "--output_dir=out", *arguments], values)


@pytest.mark.parametrize("name", ["", "/model.safetensors"])
def test_its_configuration_and_vocabulary_are_used(huggingface, infos, name):
    config = parse(f"--init_checkpoint={huggingface}{name}")
    assert config.bert_config_file == str(huggingface / "config.json")
    assert config.vocab_file == str(huggingface / "vocab.txt")
    assert config.do_lower_case is True
    assert infos == [
        f"--bert_config_file is not given: using {huggingface}/config.json.",
        f"--vocab_file is not given: using {huggingface}/vocab.txt.",
        "--do_lower_case is not given: using True, as tokenizer_config.json says.",
    ]


def test_flags_that_are_given_win(huggingface):
    config = parse(f"--init_checkpoint={huggingface}", "--bert_config_file=c.json", "--vocab_file=v.txt")
    assert (config.bert_config_file, config.vocab_file) == ("c.json", "v.txt")


def test_a_cased_model_says_so(huggingface):
    settings = huggingface / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_lower_case": False}))
    assert parse(f"--init_checkpoint={huggingface}").do_lower_case is False
    assert parse(f"--init_checkpoint={huggingface}", "--do_lower_case").do_lower_case is True
    # The setting belongs to its own vocabulary: with another one, the legacy default holds.
    assert parse(f"--init_checkpoint={huggingface}", "--vocab_file=v.txt").do_lower_case is True


def test_other_checkpoints_bring_nothing_and_the_message_is_the_legacy_one(folder):
    """As the legacy script, although a bert_config.json and a vocab.txt lie beside the checkpoint."""
    with pytest.raises(ConfigError) as caught:
        parse(f"--init_checkpoint={folder / 'model.ckpt'}")
    assert str(caught.value) == (
        "flag --vocab_file=None: Flag --vocab_file must have a value other than None.\n"
        "flag --bert_config_file=None: Flag --bert_config_file must have a value other than None."
    )


def test_a_directory_without_vocab_txt_says_how_to_get_one(huggingface):
    (huggingface / "vocab.txt").unlink()
    (huggingface / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError) as caught:
        parse(f"--init_checkpoint={huggingface}")
    assert str(caught.value) == (
        "flag --vocab_file=None: Flag --vocab_file must have a value other than None. "
        f"({huggingface} has its vocabulary in tokenizer.json only: `bert-squad checkpoint convert {huggingface} "
        "NEW_DIRECTORY --to=huggingface` writes it as vocab.txt.)"
    )


def test_a_prediction_from_a_huggingface_directory_is_that_of_the_tf1_checkpoint(tmp_path):
    """The legacy run's own checkpoint, converted: the same answers without --bert_config_file and --vocab_file."""
    source = golden("model/legacy_run/v1")
    for name in ("bert_config.json", "vocab.txt", "dev.json"):
        shutil.copy(source / name, tmp_path / name)
    convert(
        str(source / "output"),
        str(tmp_path / "hf"),
        "huggingface",
        bert_config_file=str(source / "bert_config.json"),
        vocab_file=str(source / "vocab.txt"),
    )
    lengths = ["--max_seq_length=64", "--doc_stride=24", "--max_query_length=16"]
    do = ["--init_checkpoint=hf", "--output_dir=out", "--do_predict", "--predict_file=dev.json", *lengths]
    done = run_program(*do, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "Loaded hf (Hugging Face safetensors): 41 variables matched, 0 missing, 0 left over." in done.stderr
    )
    assert (tmp_path / "out" / "predictions.json").read_bytes() == (
        source / "predict_only" / "predictions.json"
    ).read_bytes()


def test_a_run_from_another_kind_of_model_ends_at_once(tmp_path):
    write_huggingface(tmp_path / "roberta", {}, {"model_type": "roberta"})
    (tmp_path / "roberta" / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY))
    do = ["--init_checkpoint=roberta", "--output_dir=out", "--do_predict", "--predict_file=dev.json"]
    done = run_program(*do, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "run_squad.py: error: roberta/config.json describes a model of the type 'roberta'; only models of the type "
        "'bert' can be used."
    )
    assert not (tmp_path / "out").exists()


def test_an_odd_place_for_a_huggingface_directory(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "there").mkdir()
    os.symlink("there", folder / "link")
    assert convert("model.ckpt", "link", "huggingface").target == "link"
    assert "config.json" in os.listdir(folder / "there")
    assert os.path.islink(folder / "link")
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    for target, sentence in ((".", ". is the current directory"), ("", "one of them is empty")):
        with pytest.raises((ConfigError, OutputError), match=sentence):
            checkpoint.main("bert-squad", ["convert", "../model.ckpt", target, "--to=huggingface"])
    assert os.listdir(folder / "empty") == []


@pytest.mark.parametrize("to", KINDS)
def test_what_a_killed_conversion_left_goes_with_the_next(folder, to):
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from bert_squad import whole_files as w\n"
         "w.create_temporary(sys.argv[1], is_directory=True); import os; os._exit(9)", str(folder / "new")],
        env=environment(),
    )  # fmt: skip
    assert process.wait(timeout=60) == 9
    assert any(".tmp-" in name for name in os.listdir(folder))
    convert(str(folder / "model.ckpt"), str(folder / "new"), to)
    assert not any(".tmp-" in name for name in os.listdir(folder))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_output_costs_the_words_not_the_work(folder):
    with open("/dev/full", "w") as full:
        done = run_console("checkpoint", "convert", "model.ckpt", "n", "--to=tf1", cwd=folder, stdout=full)
        assert (done.returncode, "checkpoint: error" in done.stderr) == (0, False)
        assert (folder / "n.index").exists()
        done = run_console("checkpoint", "inspect", "model.ckpt", cwd=folder, stdout=full)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "bert-squad checkpoint: error: Cannot write to standard output (No space left on device).\n"
    )

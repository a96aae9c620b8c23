import pytest
from absl import flags
from golden_files import golden, read_json
from program import run_program

from bert_squad.cli import flags as cli_flags
from bert_squad.cli.flag_table import NEW_GROUP
from bert_squad.errors import ConfigError

LEGACY_FLAGS = read_json(golden("model/flags.json"))
REQUIRED = ["--bert_config_file=c.json", "--vocab_file=v.txt", "--output_dir=out"]


def parse(*arguments):
    values = cli_flags.define_flags(flags.FlagValues())
    return cli_flags.parse(["run_squad.py", *REQUIRED, *arguments], values)


@pytest.mark.parametrize("legacy", LEGACY_FLAGS, ids=lambda legacy: legacy["name"])
def test_every_legacy_flag_has_its_type_and_default(legacy):
    values = cli_flags.define_flags(flags.FlagValues())
    flag = values[legacy["name"]]
    kinds = {"string": "string", "integer": "int", "float": "float", "boolean": "bool"}
    assert flag.flag_type() == kinds[legacy["type"]]
    assert flag.default == legacy["default"]
    assert (legacy["name"] in cli_flags.REQUIRED) == legacy["required"]


def test_the_help_shows_legacy_flags_in_their_order_and_new_ones_apart():
    values = cli_flags.define_flags(flags.FlagValues())
    text = cli_flags.help_text(values, "run_squad.py")
    legacy, new = text.split(f"\n{NEW_GROUP}:\n")
    places = [
        legacy.index(f"  --{'[no]' if f['type'] == 'boolean' else ''}{f['name']}:") for f in LEGACY_FLAGS
    ]
    assert places == sorted(places)
    assert "--seed" in new
    assert "--[no]do_eval" in new
    assert "--seed" not in legacy


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("--do_train", True),
        ("-do_train", True),
        ("--nodo_train", False),
        ("--do_train=true", True),
        ("--do_train=True", True),
        ("--do_train=1", True),
        ("--do_train=t", True),
        ("--do_train=T", True),
        ("--do_train=false", False),
        ("--do_train=False", False),
        ("--do_train=0", False),
        ("--do_train=f", False),
    ],
)
def test_boolean_spellings(spelling, value):
    assert parse(spelling).do_train is value


def test_values_may_follow_as_words_of_their_own():
    config = parse("--max_seq_length", "128", "--learning_rate", "3e-5", "--train_file", "t.json")
    assert (config.max_seq_length, config.learning_rate, config.train_file) == (128, 3e-5, "t.json")


def test_flags_from_a_file(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("--max_seq_length=128\n--do_predict\n")
    config = parse(f"--flagfile={path}")
    assert config.max_seq_length == 128
    assert config.do_predict


def test_flags_of_a_tpu_without_one_are_accepted_and_named_in_one_line(infos):
    parse("--use_tpu=False", "--tpu_name=node", "--num_tpu_cores=8", "--iterations_per_loop=500")
    assert infos == [
        "Without --use_tpu these flags have no effect: --iterations_per_loop --tpu_name --num_tpu_cores."
    ]


@pytest.mark.parametrize("flag", ["--use_tpu", "--distribution_strategy=tpu"])
def test_flags_of_a_tpu_reach_the_run(flag, infos):
    config = parse(
        flag, "--tpu_name=node", "--tpu_zone=z", "--gcp_project=p", "--master=m", "--num_tpu_cores=4"
    )
    assert config.strategy == "tpu"
    assert (config.tpu_name, config.tpu_zone, config.gcp_project, config.master) == ("node", "z", "p", "m")
    assert (config.num_tpu_cores, config.iterations_per_loop) == (4, 1000)
    assert infos == []


def test_positional_words_are_ignored_with_a_warning(warnings):
    assert parse("--do_lower_case", "False").do_lower_case is True
    assert warnings == [
        "Ignored on the command line: False. A boolean flag is written --flag=False or --noflag."
    ]


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("--max_seq_lenght=1", "max_seq_length"),
        ("--nodo_trian", "do_train"),
        ("--learningrate=1", "learning_rate"),
    ],
)
def test_an_unknown_flag_is_an_error_with_the_nearest_name(wrong, nearest):
    with pytest.raises(ConfigError, match=rf"^Unknown flag .* the nearest known one is --{nearest}\."):
        parse(wrong)


def test_a_value_of_the_wrong_type():
    with pytest.raises(ConfigError, match=r"flag --max_seq_length=abc: invalid literal for int\(\)"):
        parse("--max_seq_length=abc")


def test_help_and_flag_errors_do_not_load_tensorflow(tmp_path):
    """Read from the program itself: what a process imports cannot depend on how busy the machine is."""
    for arguments, code in ((["--help"], 0), (["--helpfull"], 0), ([], 1), (["--no_such_flag"], 1)):
        done = run_program(*arguments, cwd=tmp_path, program="tests/cli/print_modules.py")
        assert done.returncode == code, done.stderr
        assert "tensorflow" not in done.stdout.splitlines()[-1].split()
        assert "bert_squad.cli.flags" in done.stdout.splitlines()[-1].split()


def test_help_exits_with_success():
    done = run_program("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: run_squad.py --bert_config_file=...")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--logger_levels=a:b", "Unknown level: 'b'"),
        ("--stderrthreshold=bad", "--stderrthreshold must be one of"),
        ("--flagfile={path}", r"--output_dir: 'o\\x00ut' holds a NUL character"),
        ("--seed=" + "9" * 5000, r"flag --seed=9+\.\.\..*(digits|4300)"),
    ],
)
def test_a_wrong_value_is_not_blamed_on_a_flagfile(tmp_path, argument, sentence):
    path = tmp_path / "flags.txt"
    path.write_text("--output_dir=o\0ut\n")
    values = cli_flags.define_flags(cli_flags.with_absl_flags())
    with pytest.raises(ConfigError, match=f"^{sentence}") as caught:
        cli_flags.parse(["run_squad.py", *REQUIRED, argument.format(path=path)], values)
    assert "--flagfile" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_what_tensorflow_defines_is_no_flag_of_ours():
    """A second run in one process takes what the first took, and refuses the same."""
    import absl.app

    absl.app.define_help_flags()
    values = cli_flags.define_flags(cli_flags.with_absl_flags())
    with pytest.raises(ConfigError, match="Unknown flag --only_check_args"):
        cli_flags.parse(["run_squad.py", *REQUIRED, "--only_check_args"], values)

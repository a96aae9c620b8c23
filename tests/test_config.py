import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from golden_files import golden, read_json
from tiny_config import TINY

from bert_squad.bert_config import BertConfig
from bert_squad.config import SquadConfig
from bert_squad.errors import ConfigError, DataError

MODEL = dataclasses.replace(TINY, max_position_embeddings=512)  # as many as the default max_seq_length needs


def squad_config(**changes) -> SquadConfig:
    required = {"bert_config_file": "bert_config.json", "vocab_file": "vocab.txt", "output_dir": "output"}
    return SquadConfig(**{**required, "do_predict": True, "predict_file": "dev.json", **changes})


def test_defaults_are_the_legacy_ones():
    defaults = {field.name: field.default for field in dataclasses.fields(SquadConfig)}
    for flag in read_json(golden("model/flags.json")):
        if flag["name"] in defaults and not flag["required"]:
            assert defaults[flag["name"]] == flag["default"], flag["name"]


def test_reads_a_legacy_file():
    config = BertConfig.from_json_file(str(golden("model/tiny_gelu/bert_config.json")))
    assert (config.vocab_size, config.hidden_size, config.num_attention_heads) == (600, 32, 2)
    assert config.head_size == 16


def test_unknown_keys_load_with_a_note(tmp_path, infos):
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps({"vocab_size": 10, "directionality": "bidi", "pooler_fc_size": 768}))
    assert BertConfig.from_json_file(str(path)).hidden_size == 768
    assert infos == [f"{path}: keys without a meaning here are ignored: directionality, pooler_fc_size"]


def test_what_the_legacy_script_took_is_taken():
    # It dropped nothing without a rate, and made whole numbers of sizes such as 3072.0.
    values = {
        "vocab_size": 30522.0,
        "intermediate_size": 3072.0,
        "hidden_dropout_prob": None,
        "attention_probs_dropout_prob": None,
        "initializer_range": 1.0,
    }
    config = BertConfig.from_dict(values)
    assert config == BertConfig(
        30522, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=1.0
    )
    assert isinstance(config.vocab_size, int)
    assert isinstance(config.intermediate_size, int)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "lacks `vocab_size`"),
        ({"vocab_size": 0}, "`vocab_size` must be a positive whole number, not 0"),
        ({"vocab_size": 9, "num_hidden_layers": 1000}, "`num_hidden_layers` must be at most 999, not 1000"),
        ({"vocab_size": 9.5}, "`vocab_size` must be a positive whole number, not 9.5"),
        ({"vocab_size": "many"}, "`vocab_size` must be a positive whole number, not 'many'"),
        (
            {"vocab_size": 9, "hidden_size": 10, "num_attention_heads": 4},
            r"hidden size \(10\) is not a multiple",
        ),
        ({"vocab_size": 9, "hidden_act": "swish"}, "Unsupported activation: swish"),
        ({"vocab_size": 9, "hidden_dropout_prob": 1.0}, "`hidden_dropout_prob` must be below 1"),
        ({"vocab_size": 9, "initializer_range": -1}, "`initializer_range` must be a number of 0 or more"),
        ([], "must hold a JSON object, not list"),
    ],
)
def test_impossible_models_are_refused_by_key(tmp_path, values, message):
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=message) as caught:
        BertConfig.from_json_file(str(path))
    assert str(path) in str(caught.value)


def test_missing_and_malformed_files_are_named(tmp_path):
    missing = tmp_path / "nowhere.json"
    with pytest.raises(
        ConfigError, match=r"Cannot read the BERT configuration .*nowhere\.json .*--bert_config_file"
    ):
        BertConfig.from_json_file(str(missing))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ConfigError, match=r"broken\.json is not valid JSON"):
        BertConfig.from_json_file(str(broken))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_batch_size": 0}, "--train_batch_size must be at least 1, not 0"),
        ({"doc_stride": 0}, "--doc_stride must be at least 1, not 0"),
        ({"n_best_size": 0}, "--n_best_size must be at least 1, not 0"),
        ({"seed": -1}, "--seed must be at least 0, not -1"),
        (
            {"do_predict": False, "do_train": True, "train_file": "t", "do_eval": True},
            "--do_eval scores predictions",
        ),
        ({"max_seq_length": 513}, "Cannot use sequence length 513 because"),
        ({"gradient_accumulation_steps": 0}, "--gradient_accumulation_steps must be at least 1, not 0"),
        (
            {"do_train": True, "train_file": "t", "gradient_accumulation_steps": 5},
            "--gradient_accumulation_steps=5 cuts .* must divide --train_batch_size=32",
        ),
        (
            {"do_train": True, "train_file": "t", "train_batch_size": 2, "gradient_accumulation_steps": 4},
            "--gradient_accumulation_steps=4 cuts .* must divide --train_batch_size=2",
        ),
        ({"engine": "onnx"}, "--engine must be one of tensorflow, openvino, not 'onnx'"),
        ({"engine_model": "x"}, "--engine_model is what --engine=openvino predicts with; add that"),
        ({"engine": "openvino", "dtype": "float16"}, "--engine=openvino computes in float32 or bfloat16"),
        ({"engine": "openvino", "dtype": "tensorfloat32"}, "not in tensorfloat32"),
        ({"engine": "openvino", "pad_to": "max"}, "--engine=openvino pads no window to --max_seq_length"),
        (
            {"engine": "openvino", "distribution_strategy": "mirrored"},
            "--engine=openvino predicts on this machine's CPU alone",
        ),
        (
            {"engine": "openvino", "engine_model": "x", "do_train": True, "train_file": "t"},
            "--engine_model predicts with other weights than --do_train makes",
        ),
        (
            {"engine": "openvino", "engine_model": "x", "do_predict": False, "do_export": True},
            "--engine_model is for prediction: add --do_predict",
        ),
    ],
)
def test_impossible_runs_are_refused_by_flag(changes, message):
    with pytest.raises(ConfigError, match=message):
        squad_config(**changes).validate(MODEL)


def test_a_possible_run_passes():
    squad_config().validate(MODEL)


@pytest.mark.parametrize(
    ("do_lower_case", "init_checkpoint", "right"),
    [
        (True, "models/multi_cased_L-12_H-768_A-12/bert_model.ckpt", "False"),
        (False, "uncased_L-24_H-1024_A-16/bert_model.ckpt-12", "True"),
        (True, "uncased_L-12_H-768_A-12/bert_model.ckpt", None),
        (True, "cased_L-12_H-768_A-12/other.ckpt", None),
        (False, None, None),
    ],
)
def test_case_of_published_checkpoints(do_lower_case, init_checkpoint, right):
    config = squad_config(do_lower_case=do_lower_case, init_checkpoint=init_checkpoint)
    if right is None:
        config.validate(MODEL)
    else:
        with pytest.raises(ConfigError, match=f"you should pass in `--do_lower_case={right}`"):
            config.validate(MODEL)


def test_a_vocabulary_larger_than_the_embedding_table_is_refused():
    squad_config().validate_vocabulary(MODEL, 40)
    with pytest.raises(
        DataError, match=r"vocab\.txt has 41 pieces, but bert_config\.json says vocab_size 40"
    ):
        squad_config().validate_vocabulary(MODEL, 41)


def test_missing_input_files_are_named_by_flag(tmp_path):
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("[UNK]\n")
    with pytest.raises(ConfigError, match=r"--predict_file: dev\.json does not exist"):
        squad_config(vocab_file=str(vocab)).check_input_files()


def test_what_notebooks_give_is_taken_as_what_it_means():
    config = squad_config(
        max_seq_length=np.int64(64),
        learning_rate=np.float32(0.5),
        do_train=np.bool_(False),
        output_dir=Path("out"),
    )
    values = (config.max_seq_length, config.learning_rate, config.do_train, config.output_dir)
    assert values == (64, 0.5, False, "out")
    assert [type(value) for value in values] == [int, float, bool, str]
    model = BertConfig(vocab_size=np.int64(100), hidden_dropout_prob=np.float32(0.5))
    json.dumps(model.to_dict())
    assert (model.vocab_size, model.hidden_dropout_prob) == (100, 0.5)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("max_seq_length", "64", "must be a whole number, not '64'"),
        ("n_best_size", 2.5, "must be a whole number, not 2.5"),
        ("n_best_size", True, "must be a whole number, not True"),
        ("seed", None, "must be a whole number, not None"),
        ("learning_rate", "1e-3", "must be a number, not '1e-3'"),
        ("do_lower_case", "False", "must be True or False, not 'False'"),
        ("vocab_file", None, "must be a text or a path, not None"),
        ("output_dir", b"out", "must be a text or a path, not b'out'"),
        ("output_dir", "o\0ut", "holds a NUL character"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_flag(name, value, sentence):
    with pytest.raises(ConfigError, match=f"--{name}:? .*{sentence}"):
        squad_config(**{name: value})


@pytest.mark.parametrize("epochs", [1e9, 1e300, 1e308])
def test_steps_beyond_counting_are_refused(epochs):
    config = squad_config(do_train=True, train_file="t.json", num_train_epochs=epochs, train_batch_size=4)
    with pytest.raises(
        ConfigError, match=r"--num_train_epochs=.* of 40 questions are .* steps; there can be at most"
    ):
        config.num_train_steps(40)


def test_a_batch_beyond_the_memory_is_refused():
    """It would be filled with the same windows again and again until the system ends the program."""
    config = squad_config(do_train=True, train_file="t.json", train_batch_size=2_000_000_000)
    with pytest.raises(ConfigError, match="--train_batch_size=2000000000 is too large"):
        config.validate(MODEL)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("flag", ["learning_rate", "num_train_epochs", "warmup_proportion"])
def test_numbers_are_finite(flag, value):
    with pytest.raises(ConfigError, match=rf"--{flag} must be a finite number, not {value}\."):
        squad_config(**{flag: value}).validate(MODEL)


def test_a_threshold_may_be_infinite_as_in_the_legacy_script():
    squad_config(null_score_diff_threshold=float("inf")).validate(MODEL)
    with pytest.raises(ConfigError, match=r"--null_score_diff_threshold must be a number, not nan\."):
        squad_config(null_score_diff_threshold=float("nan")).validate(MODEL)


def test_seeds_are_those_that_numpy_takes():
    squad_config(seed=2**32 - 1).validate(MODEL)
    with pytest.raises(ConfigError, match=r"--seed must be at most 4294967295, not 4294967296\."):
        squad_config(seed=2**32).validate(MODEL)


@pytest.mark.parametrize("flag", ["max_answer_length", "doc_stride", "n_best_size", "predict_batch_size"])
def test_numbers_that_only_mean_all_may_be_of_any_size(flag):
    squad_config(**{flag: 2**63}).validate(MODEL)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"vocab_size": 10**400},
            r"`vocab_size` must be at most 2147483647, not a number of some 401 digits",
        ),
        ({"vocab_size": 2**31}, r"`vocab_size` must be at most 2147483647, not 2147483648"),
        ({"initializer_range": float("inf")}, r"`initializer_range` must be a number of 0 or more, not inf"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(ConfigError, match=message):
        BertConfig(**{**MODEL.to_dict(), **sizes})


def test_a_model_beyond_the_memory_is_refused():
    huge = BertConfig(**{**MODEL.to_dict(), "vocab_size": 2**31 - 1, "hidden_size": 3 * 2**20})
    with pytest.raises(
        ConfigError, match=r"bert_config\.json describes a model of [\d,]+ weights, which take [\d,.]+ GiB"
    ):
        squad_config().validate(huge)


def test_the_number_of_weights():
    """Of BERT-base, uncased, with its pooler: 109,482,240; and the span head."""
    base = BertConfig(vocab_size=30522, type_vocab_size=2)
    assert base.num_parameters == 109_482_240 + 2 * 768 + 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"distribution_strategy": "horovod"}, "--distribution_strategy must be one of one_device, mirrored"),
        ({"use_tpu": True, "distribution_strategy": "mirrored", "tpu_name": "t"}, "--use_tpu means"),
        ({"num_logical_devices": 2}, "--num_logical_devices=2 cuts the CPU into devices for"),
        ({"num_logical_devices": 2, "distribution_strategy": "multi_worker"}, "--num_logical_devices=2 cuts"),
        ({"use_tpu": True}, "A TPU needs a name: add --tpu_name"),
        ({"distribution_strategy": "tpu"}, "A TPU needs a name: add --tpu_name"),
        ({"use_tpu": True, "tpu_name": "local", "dtype": "float16"}, "A TPU has no float16"),
        ({"use_tpu": True, "tpu_name": "local", "dtype": "tensorfloat32"}, "A TPU has no tensorfloat32"),
        ({"use_tpu": True, "tpu_name": "local", "pad_to": "batch"}, "--pad_to=batch makes batches of many"),
        ({"use_tpu": True, "tpu_name": "node-1"}, "does not reach output; name a directory of Cloud Storage"),
        ({"use_tpu": True, "master": "grpc://10.0.0.2:8470"}, "does not reach output"),
        ({"cluster_timeout": 0}, "--cluster_timeout must be at least 1, not 0"),
    ],
)
def test_flags_of_several_devices_that_do_not_go_together(changes, sentence):
    with pytest.raises(ConfigError) as caught:
        squad_config(**changes).validate(MODEL)
    assert sentence in str(caught.value)


def test_a_tpu_with_a_name_is_taken():
    squad_config(use_tpu=True, tpu_name="local").validate(MODEL)
    squad_config(use_tpu=True, tpu_name="node-1", output_dir="gs://bucket/output").validate(MODEL)
    assert squad_config(use_tpu=True).strategy == squad_config(distribution_strategy="tpu").strategy == "tpu"

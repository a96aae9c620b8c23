"""What a run's flags say reaches the training step and the shuffle."""

import pytest
from golden_files import golden

from bert_squad.bert_config import BertConfig
from bert_squad.compute_options import ComputeOptions
from bert_squad.config import SquadConfig
from bert_squad.model.squad_model import BertForSquad
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training import session

FOLDER = golden("model/legacy_run/v1/vocab.txt").parent  # with 24 questions to train on


@pytest.fixture
def given(monkeypatch):
    """The named arguments of what trains, by function; nothing is trained."""
    arguments = {}
    for name in ("make_train_step", "train_batches", "train"):

        def remember(*_, name=name, **named):
            arguments[name] = named
            return []

        monkeypatch.setattr(session, name, remember)
    return arguments


@pytest.mark.parametrize("begins_from", [None, str(FOLDER / "output/model.ckpt-0")])
def test_flags_reach_the_step_and_the_shuffle(given, begins_from, infos, tmp_path):
    config = SquadConfig(
        bert_config_file=str(FOLDER / "bert_config.json"),
        vocab_file=str(FOLDER / "vocab.txt"),
        output_dir=str(tmp_path),
        do_train=True,
        train_file=str(FOLDER / "train.json"),
        init_checkpoint=begins_from,
        max_seq_length=64,
        doc_stride=24,
        max_query_length=16,
        train_batch_size=4,
        num_train_epochs=0.5,
        warmup_proportion=0.9,
        seed=77,
        gradient_accumulation_steps=2,
        recompute=True,
    )
    bert_config = BertConfig.from_json_file(config.bert_config_file)
    tokenizer = FullTokenizer(config.vocab_file, do_lower_case=True)
    session.train_model(config, bert_config, tokenizer, ComputeOptions(), BertForSquad(bert_config))
    step = given["make_train_step"]
    assert step["seed"] == given["train_batches"]["seed"] == 77
    assert (step["num_train_steps"], step["num_warmup_steps"]) == (3, 2), "2.7 steps of warm-up are two"
    assert step["num_parts"] == 2
    assert step["recompute"] is True
    assert "  Layers are computed once more in the backward pass, to keep less (--recompute)." in infos
    assert given["train_batches"]["batch_size"] == 4, "of the whole batch"

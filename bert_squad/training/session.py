"""Training as a run asks for it: the questions, where it begins or goes on, the records, and the loop over them."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

from absl import logging

from bert_squad import files
from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints import directory, state_file
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.compute_options import ComputeOptions
from bert_squad.config import SquadConfig
from bert_squad.data.batches import train_batches, with_named_errors
from bert_squad.data.examples import SquadExample, shuffle_examples, squad_examples
from bert_squad.data.reading_notes import ReadingNotes
from bert_squad.data.records import log_counts, write_features
from bert_squad.data.sources import read_data_set
from bert_squad.data.windows import WindowLengths
from bert_squad.devices.replicas import ONE_DEVICE, Devices
from bert_squad.errors import BertSquadError, ConfigError, LostWorkerError
from bert_squad.model.squad_model import BertForSquad
from bert_squad.run_record import SessionRecord, check_same_run, describe_run, write_record
from bert_squad.text.tokenization import FullTokenizer
from bert_squad.training.evaluations import Evaluations, Scorer, check_no_other_best
from bert_squad.training.loop import Action, make_train_step, train
from bert_squad.training.optimizer import AdamWeightDecay
from bert_squad.training.progress import TrainingProgress
from bert_squad.training.summaries import TrainingSummaries

TRAIN_RECORDS = "train.tf_record"


def train_model(
    config: SquadConfig,
    bert_config: BertConfig,
    tokenizer: FullTokenizer,
    compute: ComputeOptions,
    model: BertForSquad,
    devices: Devices = ONE_DEVICE,
    records: str | None = None,
    scorer: Scorer | None = None,
) -> None:
    """Train, or go on training, until the number of steps is reached that the flags give.

    Args:
      config: the run; `config.output_dir` exists, and its training lock is held, by the chief of several processes.
      bert_config: the model's.
      tokenizer: the run's.
      compute: its choices of computation.
      model: is trained; made in the scope of `devices`.
      devices: compute; the chief alone reads and writes `config.output_dir`.
      records: path of the record file, which is written now; None: train.tf_record in `config.output_dir`.
      scorer: scores the model every `config.eval_steps` steps; None: nobody does.

    Raises:
      BertSquadError: of the kind that says what is wrong; what was saved stays.

    Source: the training part of `main` of the legacy run_squad.py.
    """
    examples, num_train_steps, sha256 = _questions(config)
    this_run = describe_run(config, bert_config, tokenizer.vocab, dataclasses.asdict(compute), sha256)
    with devices.scope():
        optimizer = AdamWeightDecay.for_model(
            model, trainable=config.trainable, layerwise_lr_decay=config.layerwise_lr_decay
        )
    latest, first_step = _begin(config, model, optimizer, this_run, devices)
    evaluations = None
    if scorer is not None:
        evaluations = Evaluations(config, scorer, model, optimizer, devices, this_run)
    if devices.is_chief:
        _check_kept(config, evaluations, is_fresh=latest is None)
    if _is_done(first_step, num_train_steps, latest, evaluations):
        return
    records = records or files.join(config.output_dir, TRAIN_RECORDS)
    _write_records(config, tokenizer, examples, records)
    if devices.is_chief:
        write_record(config.output_dir, this_run, first_step)
        session = SessionRecord(config.output_dir, config, devices.description, first_step)
    logging.info("  Num steps = %d", num_train_steps)
    num_warmup_steps = int(num_train_steps * config.warmup_proportion)
    logging.info(
        "  Learning rate = %g after %d steps of warm-up, then down to 0; a checkpoint every %d steps",
        config.learning_rate,
        num_warmup_steps,
        config.save_checkpoints_steps,
    )
    _log_how_computed(config, devices)
    train_step = make_train_step(
        model,
        optimizer,
        learning_rate=config.learning_rate,
        num_train_steps=num_train_steps,
        num_warmup_steps=num_warmup_steps,
        seed=config.seed,
        scales_loss=compute.dtype == "float16",
        jit_compile=compute.jit_compile,
        num_parts=config.gradient_accumulation_steps,
        recompute=config.recompute,
        devices=devices,
    )

    def save(step: int) -> str:
        if devices.is_chief:
            directory.save(config.output_dir, model, optimizer, step, config.keep_checkpoint_max)
            session.save(step)
        return directory.prefix_of(config.output_dir, step)

    _take_steps(
        config, train_step, save, devices, records, latest, (first_step, num_train_steps), evaluations
    )


def _saved_if_it_fails(evaluate: Action, save: Callable[[int], str]) -> Action:
    """Have the step saved whose evaluation fails, for want of room say: it is made again when training goes on."""

    def act(step: int) -> object:
        try:
            return evaluate(step)
        except LostWorkerError:
            raise
        except Exception:
            try:
                save(step)
            except BertSquadError as error:  # the other error is the one to be told in the end
                logging.error("%s", error)
            raise

    return act


def _check_kept(config: SquadConfig, evaluations: Evaluations | None, *, is_fresh: bool) -> None:
    """Refuse to mix this training's best checkpoint and scores with those of another one."""
    if is_fresh:
        check_no_other_best(config.output_dir, is_to_be_kept=evaluations is not None)
    if evaluations is not None:
        evaluations.check_begin(is_fresh)


def _is_done(
    first_step: int, num_train_steps: int, latest: str | None, evaluations: Evaluations | None
) -> bool:
    """Say, and log, that there is no step left to do; the last one's evaluation may be."""
    is_last = first_step >= num_train_steps
    if is_last and evaluations is not None and evaluations.is_missing(first_step, num_train_steps):
        evaluations(first_step)
    if is_last:
        logging.info(
            "Skipping training since max_steps has already saved. %s is at step %d of %d; to train on, raise "
            "--num_train_epochs; to train afresh, choose another --output_dir.",
            latest,
            first_step,
            num_train_steps,
        )
    elif evaluations is not None and evaluations.are_over(first_step):
        logging.info(
            "Skipping training, which --early_stopping_evals has ended. %s is at step %d of %d; to train on, raise or "
            "leave out --early_stopping_evals.",
            latest,
            first_step,
            num_train_steps,
        )
        return True
    return is_last


def _take_steps(
    config: SquadConfig,
    train_step: Callable,
    save: Callable[[int], str],
    devices: Devices,
    records: str,
    latest: str | None,
    steps: tuple[int, int],
    evaluations: Evaluations | None,
) -> None:
    """Train on records, between two numbers of steps; `latest` is the checkpoint that is gone on from."""
    first_step, num_train_steps = steps
    batches = devices.share_batches(
        config.train_batch_size,
        lambda share: train_batches(
            records,
            max_seq_length=config.max_seq_length,
            batch_size=config.train_batch_size,
            seed=config.seed,
            first_step=first_step,
            share=share,
        ),
    )
    summaries: TrainingSummaries | None = None

    def save_for_all(step: int) -> str:
        prefix = save(step)
        if summaries is not None:
            summaries.flush()
        devices.wait_for_all()  # nobody goes on, or ends, before it is saved
        return prefix

    with contextlib.ExitStack() as stack:
        report = []
        if devices.is_chief:
            progress = stack.enter_context(
                TrainingProgress(first_step, num_train_steps, config.train_batch_size)
            )
            report.append(progress.update)
            if evaluations is not None:
                evaluations.listeners.append(progress.show_scores)
        if devices.is_chief and config.summary_steps:
            summaries = stack.enter_context(
                TrainingSummaries(
                    config.output_dir, first_step, config.train_batch_size, config.summary_steps
                )
            )
            report.append(summaries.update)
            if evaluations is not None:
                evaluations.listeners.append(summaries.add_scores)
        is_missing = evaluations is not None and evaluations.is_missing(first_step, num_train_steps)
        train(
            train_step,
            # Several steps in a call need TensorFlow's own iterator, whose errors name no file.
            batches if devices.steps_per_call > 1 else with_named_errors(batches, records),
            first_step=first_step,
            num_train_steps=num_train_steps,
            save=save_for_all,
            save_steps=config.save_checkpoints_steps,
            resumed_from=latest,
            every=[(config.eval_steps, _saved_if_it_fails(evaluations, save))]
            if evaluations is not None
            else [],
            first=evaluations if is_missing else None,
            report=report,
            steps_per_call=devices.steps_per_call,
            agree_to_stop=devices.agree_to_stop,
        )


def _log_how_computed(config: SquadConfig, devices: Devices) -> None:
    if devices.num_replicas > 1:
        logging.info(
            "  Each batch of %d is shared by %d devices.", config.train_batch_size, devices.num_replicas
        )
    if config.gradient_accumulation_steps > 1:
        logging.info(
            "  Each batch of %d is computed in %d parts (--gradient_accumulation_steps).",
            config.train_batch_size // devices.num_replicas,
            config.gradient_accumulation_steps,
        )
    if config.recompute:
        logging.info("  Layers are computed once more in the backward pass, to keep less (--recompute).")


def _questions(config: SquadConfig) -> tuple[list[SquadExample], int, str]:
    """Return the questions to train on, the number of steps that they make, and a hash of their data set."""
    data = read_data_set(str(config.train_file), "--train_file")
    notes = ReadingNotes()
    examples = squad_examples(
        data.squad,
        data.name,
        is_training=True,
        version_2_with_negative=config.version_2_with_negative,
        on_bad_question=config.on_bad_question,
        several_answers=config.several_answers,
        members=data.members,
        notes=notes,
    )[: config.max_train_questions or None]
    num_train_steps = config.num_train_steps(len(examples))
    if num_train_steps < 1:
        raise ConfigError(
            f"{config.train_file} has {len(examples)} questions to train on{notes.loss_note()}: with "
            f"--train_batch_size={config.train_batch_size} and --num_train_epochs={config.num_train_epochs} that is "
            "not one step."
        )
    return examples, num_train_steps, data.sha256


def _begin(
    config: SquadConfig,
    model: BertForSquad,
    optimizer: AdamWeightDecay,
    this_run: dict[str, Any],
    devices: Devices,
) -> tuple[str | None, int]:
    """Fill the model with what training begins from; return the checkpoint that it goes on from, and its step."""
    latest, step = _restore_or_load(config, model, optimizer, this_run) if devices.is_chief else (None, 0)
    devices.copy_from_chief([*model.weights, *optimizer.all_slots()])
    return tuple(devices.from_chief([latest, step]))


def _restore_or_load(
    config: SquadConfig, model: BertForSquad, optimizer: AdamWeightDecay, this_run: dict[str, Any]
) -> tuple[str | None, int]:
    """Do what `_begin` does, in the process that reads the checkpoints."""
    directory.finish_dropping(config.output_dir)
    state_file.check_all_named(config.output_dir)
    if files.is_file(files.join(config.output_dir, state_file.STATE_FILE)):
        allowed = config.allow_changed_run
        check_same_run(config.output_dir, this_run, allow_changed_run=allowed, trains=True)
    restored = directory.restore_latest(config.output_dir, model, optimizer)
    if restored:
        logging.info("Continuing from %s, step %d.", *restored)
        state_file.warn_of_later(config.output_dir, restored[1])
        if config.init_checkpoint:
            logging.info(
                "--init_checkpoint=%s is not used, since %s is there.", config.init_checkpoint, restored[0]
            )
        return restored
    if config.init_checkpoint:
        load_checkpoint(model, config.init_checkpoint)
    else:
        logging.info("Training starts from random weights, since there is no --init_checkpoint.")
    return None, 0


def _write_records(
    config: SquadConfig, tokenizer: FullTokenizer, examples: list[SquadExample], path: str
) -> None:
    # LEGACY: pre-shuffled with a fixed seed, whatever --seed says.
    shuffle_examples(examples)
    num_features = write_features(
        path,
        examples,
        tokenizer,
        WindowLengths(config.max_seq_length, config.doc_stride, config.max_query_length),
        is_training=True,
    )
    if num_features == 0:
        raise ConfigError(
            f"The passages of {config.train_file} hold no text, so there is nothing to train on."
        )
    log_counts("training", len(examples), num_features, config.train_batch_size)

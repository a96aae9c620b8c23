"""The training loop: one compiled step, repeated, with checkpoints and whatever else is to be done on the way.

The loop knows nothing of what is done every so many steps, nor of who wants to hear of a step: both are arguments.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

from bert_squad.devices.replicas import ONE_DEVICE, Devices
from bert_squad.errors import ConfigError, OutOfMemoryError, RunInterruptedError, TrainingError, first_line
from bert_squad.interruption import noticed_signals
from bert_squad.model.span_head import span_loss
from bert_squad.training.optimizer import AdamWeightDecay, learning_rate_at
from bert_squad.training.parts import first_row_here, sum_over_parts, sum_over_replicas

LOSS_SCALES = (2.0**15, 2.0**10, 2.0**5, 1.0)
"""Factors of the loss in float16, so that small gradients do not vanish; the first that does not overflow is taken."""


def make_train_step(
    model,
    optimizer: AdamWeightDecay,
    *,
    learning_rate: float,
    num_train_steps: int,
    num_warmup_steps: int,
    seed: int,
    scales_loss: bool = False,
    jit_compile: bool = False,
    num_parts: int = 1,
    recompute: bool = False,
    devices: Devices = ONE_DEVICE,
) -> Callable:
    """Compile one training step.

    Args:
      model: a `BertForSquad`.
      optimizer: over the model's trained variables.
      learning_rate: the peak learning rate.
      num_train_steps: step at which the learning rate reaches 0.
      num_warmup_steps: steps of linear warm-up.
      seed: of dropout; the masks are a function of (seed, step).
      scales_loss: try `LOSS_SCALES` in turn until no gradient overflows, for a model that computes in float16. A step
        stays a function of weights, seed and step; when all overflow, nothing is updated.
      jit_compile: compile the whole step with XLA.
      num_parts: compute what a device has of a batch in so many parts, one after the other; the numbers are the same
        but for rounding.
      recompute: compute layers once more in the backward pass, in place of keeping what they computed; the numbers are
        the same.
      devices: share each batch; the numbers are the same but for rounding.

    Returns:
      A function of (step: int32 scalar, number of steps done before; batch: dict of tensors, as `devices` shares it)
      that updates the model and returns (loss, learning rate, global norm), float32 scalars.
    """
    variables = list(optimizer.variables_by_name.values())
    num_parts_of_batch = num_parts * devices.num_replicas
    # Sums over devices are left to TensorFlow, so that a step on several is compiled up to these.
    compiles_gradients = jit_compile and devices.num_replicas > 1
    jit_compile = jit_compile and not compiles_gradients

    def loss_and_gradients(step: tf.Tensor, batch: dict[str, tf.Tensor], scale: tf.Tensor | float):
        # A part's share in the mean of the whole batch is taken before its gradient, so that float16 overflows, or not,
        # as in the whole.
        scale_of_part = scale if num_parts_of_batch == 1 else scale / num_parts_of_batch

        def of_part(rows: dict[str, tf.Tensor], first_row: tf.Tensor | None):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                start_logits, end_logits = model(
                    rows,
                    training=True,
                    dropout_seed=tf.stack([seed, step]),
                    first_sequence=first_row,
                    recompute=recompute,
                )
                loss = span_loss(start_logits, end_logits, rows["start_positions"], rows["end_positions"])
                scaled = loss * scale_of_part
            return loss, tape.gradient(scaled, variables)

        word_embeddings = model.bert.embeddings.word_embeddings
        return sum_over_parts(
            of_part, batch, num_parts, variables, sliced=word_embeddings, first_row=first_row_here(batch)
        )

    if compiles_gradients:
        loss_and_gradients = tf.function(loss_and_gradients, jit_compile=True, autograph=False)

    def rate_of(step: tf.Tensor) -> tf.Tensor:
        return learning_rate_at(step, learning_rate, num_train_steps, num_warmup_steps)

    def update(step: tf.Tensor, rows: dict[str, tf.Tensor]):
        loss, gradients = sum_over_replicas(*loss_and_gradients(step, rows, 1.0))
        rate = rate_of(step)
        return loss, rate, optimizer.apply_gradients(gradients, rate)

    def update_if_finite(step: tf.Tensor, rows: dict[str, tf.Tensor], scale: tf.Tensor):
        loss, gradients = sum_over_replicas(*loss_and_gradients(step, rows, scale))
        gradients = [_divided(gradient, scale) for gradient in gradients]
        rate, global_norm = rate_of(step), tf.linalg.global_norm(gradients)

        def apply() -> tf.Tensor:
            optimizer.apply_gradients(gradients, rate)
            return tf.constant(True)

        # Written out: AutoGraph, which would make it of an `if`, does not read every version of Python.
        tf.cond(tf.math.is_finite(global_norm), apply, lambda: tf.constant(False))
        return loss, rate, global_norm

    @tf.function(jit_compile=jit_compile)
    def train_step(step: tf.Tensor, batch: dict[str, tf.Tensor]):
        return devices.run(update, step, batch)

    @tf.function(jit_compile=jit_compile)
    def scaled_train_step(step: tf.Tensor, batch: dict[str, tf.Tensor], scale: tf.Tensor):
        return devices.run(update_if_finite, step, batch, scale)

    def first_finite_step(step: tf.Tensor, batch: dict[str, tf.Tensor]):
        for scale in LOSS_SCALES:
            results = scaled_train_step(step, batch, tf.constant(scale))
            if math.isfinite(results[-1]):
                break
        return results

    return first_finite_step if scales_loss else train_step


def _divided(gradient: tf.Tensor | tf.IndexedSlices, divisor: tf.Tensor) -> tf.Tensor | tf.IndexedSlices:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(gradient.values / divisor, gradient.indices, gradient.dense_shape)
    return gradient / divisor


def several_steps(train_step: Callable) -> Callable:
    """Compile several training steps in one call, for devices that are slow to hand back to the program.

    Args:
      train_step: from `make_train_step`, without `scales_loss`.

    Returns:
      A function of (step: int32 scalar, number of steps done before; batches: iterator of what `train_step` takes;
      count: int32 scalar) that returns what the `count` steps return, stacked: three float32 [count].
    """

    @tf.function(autograph=False)
    def train_steps(step: tf.Tensor, batches: Iterator[dict[str, tf.Tensor]], count: tf.Tensor):
        def one_more(done: tf.Tensor, results: tuple[tf.TensorArray, ...]):
            values = train_step(step + done, next(batches))
            pairs = zip(results, values, strict=True)
            return done + 1, tuple(result.write(done, value) for result, value in pairs)

        nothing = tuple(tf.TensorArray(tf.float32, count, element_shape=[]) for _ in range(3))
        _, results = tf.while_loop(
            lambda done, _: done < count, one_more, (tf.constant(0), nothing), parallel_iterations=1
        )
        return tuple(result.stack() for result in results)

    return train_steps


class StepValues(NamedTuple):
    """What one step computed. The tensors stay on their device; reading one waits for its step.

    Attributes:
      step: number of steps done, this one included.
      loss: of this step's batch before its update, float32 scalar.
      learning_rate: that this step used, float32 scalar.
      global_norm: of the gradients before clipping, float32 scalar.
      seconds: spent on steps since training began or went on; saves and other actions do not count.
    """

    step: int
    loss: tf.Tensor
    learning_rate: tf.Tensor
    global_norm: tf.Tensor
    seconds: float


Action = Callable[[int], object]
"""Does something after a step; is given the number of steps done. What is true ends the training after that step."""

Listener = Callable[[StepValues], object]
"""Hears of a step; a value that it reads is waited for."""


def train(
    train_step: Callable,
    batches: Iterable[dict[str, tf.Tensor]],
    *,
    first_step: int,
    num_train_steps: int,
    save: Callable[[int], str],
    save_steps: int,
    resumed_from: str | None = None,
    every: Sequence[tuple[int, Action]] = (),
    first: Action | None = None,
    report: Sequence[Listener] = (),
    steps_per_call: int = 1,
    agree_to_stop: Callable[[int | None], int | None] = lambda signal_number: signal_number,
) -> None:
    """Train from `first_step` to `num_train_steps`, saving at the start, on the way and at the end.

    Args:
      train_step: from `make_train_step`.
      batches: at least `num_train_steps - first_step` of them.
      first_step: number of steps done before, below `num_train_steps`.
      num_train_steps: number of steps in all.
      save: saves a checkpoint of the number of steps done and returns its prefix.
      save_steps: a checkpoint is saved whenever this many steps more are done.
      resumed_from: the checkpoint that this run continues, or None: then one is saved before the first step.
      every: pairs of a number and an action, which is done whenever that many steps more are done and after the last
        step, in this order and before the save of that step; so a run that is killed meanwhile does it again. One
        that returns what is true ends the training, after the others and the save.
      first: is done before the first step; likewise.
      report: each is told of every step, in this order.
      steps_per_call: do at most so many steps before anything else is seen to, as a TPU does; saves and actions come
        after the same steps as ever.
      agree_to_stop: is asked after each call, and twice after the last one, with the signal that this process has had,
        or None; returns the one that stops the training now, or None. Several processes have to stop after the same
        step.

    What an action or a listener raises ends the training and comes out as it is; what was saved before stays.

    Raises:
      ConfigError: when a number of steps is below 1; nothing was done then.
      TrainingError: when the loss or the gradient is not finite; names the step and the last good checkpoint. That is
        looked at before every save and action, and every second.
      RunInterruptedError: after SIGTERM, SIGINT or SIGHUP; the step in hand was finished and saved.
    """
    intervals = [save_steps, *(steps for steps, _ in every)]
    for steps in intervals:
        if steps < 1:
            raise ConfigError(f"Nothing can be done every {steps} steps; give 1 or more.")
    take_steps = _in_one_call(train_step, iter(batches), steps_per_call)
    with noticed_signals() as stop:
        last_saved = resumed_from or save(first_step)
        is_over = first is not None and bool(first(first_step))
        signal_number = agree_to_stop(stop.signal_number)
        if signal_number:
            raise _interrupted(signal_number, first_step, num_train_steps, last_saved)
        if is_over:
            return
        unread: list[StepValues] = []
        seconds, last_read = 0.0, -math.inf
        for before, step in _calls(first_step, num_train_steps, steps_per_call, intervals):
            started = time.monotonic()
            is_last = step == num_train_steps
            actions = [action for steps, action in every if is_last or step % steps == 0]
            with _named_lack_of_memory(step, last_saved), _nothing_hidden(unread, last_saved):
                done = [
                    StepValues(number, loss, learning_rate, global_norm, seconds)
                    for number, (loss, learning_rate, global_norm) in enumerate(
                        take_steps(before, step), before + 1
                    )
                ]
                unread.extend(done)
                if actions or started - last_read >= _SECONDS_BETWEEN_READINGS:
                    _check_finite(unread, last_saved)
                    unread, last_read = [], started
            seconds += time.monotonic() - started
            for values in done:
                for listener in report:
                    listener(values._replace(seconds=seconds))
            for action in actions:
                is_last = bool(action(step)) or is_last
            signal_number = agree_to_stop(stop.signal_number)  # read once: it may come at any moment
            if is_last and not signal_number:
                signal_number = agree_to_stop(stop.signal_number)  # what was told only just now
            if is_last or step % save_steps == 0 or signal_number:
                with _named_lack_of_memory(step, last_saved):
                    _check_finite(unread, last_saved)
                unread = []
                last_saved = save(step)
            if signal_number:
                raise _interrupted(signal_number, step, num_train_steps, last_saved)
            if is_last:
                return


def _calls(
    first_step: int, num_train_steps: int, steps_per_call: int, intervals: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yield the numbers of steps done before and after each call, which ends where something else is to be done."""
    step = first_step
    while step < num_train_steps:
        before = step
        step = min(
            step + steps_per_call, num_train_steps, *((step // steps + 1) * steps for steps in intervals)
        )
        yield before, step


def _in_one_call(train_step: Callable, batches: Iterator, steps_per_call: int) -> Callable:
    """Return a function of the numbers of steps done before and after that trains, and returns what each step did."""
    compiled = several_steps(train_step) if steps_per_call > 1 else None

    def take_steps(before: int, after: int) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        if compiled is not None:
            results = compiled(tf.constant(before), batches, tf.constant(after - before))
            return list(zip(*map(tf.unstack, results), strict=True))
        batch = next(batches, None)
        if batch is None:
            raise TrainingError(
                f"The training data ends before step {after}; was its file changed meanwhile?"
            )
        return [train_step(tf.constant(before, tf.int32), batch)]

    return take_steps


@contextlib.contextmanager
def _nothing_hidden(unread: Sequence[StepValues], last_saved: str) -> Iterator[None]:
    """When TensorFlow fails, because another worker has ended say, find a loss that was not finite before."""
    try:
        yield
    except tf.errors.OpError:
        _check_finite(unread, last_saved)
        raise


_SECONDS_BETWEEN_READINGS = 1.0


def _check_finite(steps: Sequence[StepValues], last_saved: str) -> None:
    for values in steps:
        loss, global_norm = float(values.loss), float(values.global_norm)
        if not (math.isfinite(loss) and math.isfinite(global_norm)):
            raise TrainingError(
                f"The loss of step {values.step} is {loss} and its gradient norm {global_norm}, so training stops; "
                f"the last good checkpoint is {last_saved}. A smaller --learning_rate or a longer "
                "--warmup_proportion usually helps."
            )


@contextlib.contextmanager
def _named_lack_of_memory(step: int, last_saved: str) -> Iterator[None]:
    """Turn what TensorFlow raises when memory is used up into an error that names the flags."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise OutOfMemoryError(
            f"Out of memory in step {step} ({first_line(error)}): raise --gradient_accumulation_steps or add "
            "--recompute, which change no number but for rounding, or lower --train_batch_size or --max_seq_length. "
            f"The last saved checkpoint is {last_saved}."
        ) from error


def _interrupted(signal_number: int, step: int, num_train_steps: int, last_saved: str) -> RunInterruptedError:
    return RunInterruptedError(
        f"Stopped by signal {signal_number} after step {step} of {num_train_steps}; saved as {last_saved}. Run the "
        "same command again to continue.",
        signal_number,
    )

import os
import signal
import types

import pytest
import tensorflow as tf

from bert_squad.errors import ConfigError, OutOfMemoryError, RunInterruptedError, TrainingError
from bert_squad.interruption import noticed_signals
from bert_squad.training import loop
from bert_squad.training.loop import train

BATCH = {"input_ids": tf.zeros([2, 4], tf.int32)}


class Recorder:
    """A training step that computes nothing, and a save that remembers its steps."""

    def __init__(self, losses=(), norms=(), on_step=None):
        self.losses, self.norms, self.on_step = dict(losses), dict(norms), on_step
        self.steps, self.saved = [], []

    def train_step(self, step, batch):
        self.steps.append(int(step))
        if self.on_step:
            self.on_step(int(step))
        return self.losses.get(int(step), 1.0), 0.1, self.norms.get(int(step), 1.0)

    def save(self, step):
        self.saved.append(step)
        return f"model.ckpt-{step}"

    def run(self, first_step=0, **arguments):
        train(
            self.train_step,
            iter(lambda: BATCH, None),
            first_step=first_step,
            num_train_steps=10,
            save=self.save,
            save_steps=4,
            **arguments,
        )


def test_saves_at_the_start_on_the_way_and_at_the_end():
    recorder = Recorder()
    recorder.run()
    assert recorder.steps == list(range(10))
    assert recorder.saved == [0, 4, 8, 10]


def test_a_continued_run_starts_where_it_was():
    recorder = Recorder()
    recorder.run(first_step=7, resumed_from="model.ckpt-7")
    assert recorder.steps == [7, 8, 9]
    assert recorder.saved == [8, 10]


@pytest.mark.parametrize("bad", [{"losses": {5: float("nan")}}, {"norms": {5: float("inf")}}])
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run(bad):
    recorder = Recorder(**bad)
    message = r"The loss of step 6 is .* so training stops; the last good checkpoint is model\.ckpt-4\."
    with pytest.raises(TrainingError, match=message):
        recorder.run()
    assert recorder.saved == [0, 4]


def test_after_a_restart_the_restored_checkpoint_is_the_good_one():
    with pytest.raises(TrainingError, match=r"the last good checkpoint is model\.ckpt-7"):
        Recorder(losses={7: float("nan")}).run(first_step=7, resumed_from="model.ckpt-7")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_step_finish_and_saves(number):
    recorder = Recorder(on_step=lambda step: os.kill(os.getpid(), number) if step == 5 else None)
    with pytest.raises(RunInterruptedError, match=r"after step 6 of 10; saved as model\.ckpt-6") as caught:
        recorder.run()
    assert caught.value.signal_number == number
    assert recorder.steps[-1] == 5
    assert recorder.saved == [0, 4, 6]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_during_the_first_save_waits_for_it():
    """Its files are being renamed one by one."""
    recorder = Recorder()
    save = recorder.save

    def interrupted_save(step):
        os.kill(os.getpid(), signal.SIGHUP)
        return save(step)

    recorder.save = interrupted_save
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it
    try:
        with pytest.raises(RunInterruptedError, match=r"after step 0 of 10; saved as model\.ckpt-0"):
            recorder.run()
    finally:
        signal.signal(signal.SIGHUP, inherited)
    assert (recorder.saved, recorder.steps) == ([0], [])


def test_a_signal_during_the_last_step_is_not_swallowed():
    recorder = Recorder(on_step=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 9 else None)
    with pytest.raises(RunInterruptedError, match=r"after step 10 of 10; saved as model\.ckpt-10"):
        recorder.run()
    assert recorder.saved == [0, 4, 8, 10]


def send_twice(request):
    os.kill(os.getpid(), signal.SIGINT)
    assert request.signal_number == signal.SIGINT
    os.kill(os.getpid(), signal.SIGINT)


def test_the_second_signal_acts_as_always():
    inherited = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job ignores it
    try:
        with noticed_signals() as request, pytest.raises(KeyboardInterrupt):
            send_twice(request)
    finally:
        signal.signal(signal.SIGINT, inherited)


@pytest.mark.parametrize(
    "error", [tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), MemoryError()]
)
def test_a_lack_of_memory_names_the_flags_and_the_last_checkpoint(error):
    def fail(step):
        if step == 5:
            raise error

    message = (
        r"Out of memory in step 6 .*--gradient_accumulation_steps or add --recompute, .*--train_batch_size or "
        r"--max_seq_length\. The last .* is model\.ckpt-4\."
    )
    with pytest.raises(OutOfMemoryError, match=message):
        Recorder(on_step=fail).run()


def test_data_that_ends_early_is_an_error():
    with pytest.raises(TrainingError, match=r"The training data ends before step 3"):
        train(
            Recorder().train_step,
            iter([BATCH, BATCH]),
            first_step=0,
            num_train_steps=10,
            save=str,
            save_steps=4,
        )


def test_actions_come_every_so_many_steps_and_at_the_end_before_the_save():
    recorder, done = Recorder(), []
    recorder.save = lambda step: done.append(("save", step))
    every = [
        (4, lambda step: done.append(("evaluate", step))),
        (3, lambda step: done.append(("count", step))),
    ]
    recorder.run(every=every)
    assert done == [
        ("save", 0),
        ("count", 3),
        *[("evaluate", 4), ("save", 4)],
        ("count", 6),
        *[("evaluate", 8), ("save", 8)],
        ("count", 9),
        *[("evaluate", 10), ("count", 10), ("save", 10)],
    ]


def test_an_action_sees_no_step_whose_loss_is_not_finite():
    recorder, done = Recorder(losses={5: float("nan")}), []
    with pytest.raises(TrainingError, match=r"The loss of step 6 is nan"):
        recorder.run(every=[(2, done.append)])
    assert done == [2, 4]


def test_a_signal_during_an_action_saves_the_step():
    recorder = Recorder()
    with pytest.raises(RunInterruptedError, match=r"after step 6 of 10; saved as model\.ckpt-6"):
        recorder.run(every=[(6, lambda step: os.kill(os.getpid(), signal.SIGTERM))])
    assert recorder.saved == [0, 4, 6]


@pytest.mark.parametrize("steps", [0, -3])
def test_a_number_of_steps_below_one_is_refused_before_anything_is_done(steps):
    recorder, done = Recorder(), []
    with pytest.raises(ConfigError, match=rf"every {steps} steps; give 1 or more"):
        recorder.run(every=[(2, done.append), (steps, done.append)])
    assert (recorder.saved, recorder.steps, done) == ([], [], [])


@pytest.mark.parametrize("where", ["every", "report"])
def test_what_an_action_or_a_listener_raises_comes_out_and_its_step_is_not_saved(where):
    def fail(step):
        if where == "every" or step.step == 8:
            raise LookupError("of the user's own")

    recorder = Recorder()
    with pytest.raises(LookupError, match="of the user's own"):
        recorder.run(**{where: [(8, fail)] if where == "every" else [fail]})
    assert recorder.saved == [0, 4]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_continued_run_acts_at_the_same_steps():
    done = []
    Recorder().run(first_step=7, resumed_from="model.ckpt-7", every=[(3, done.append)])
    assert done == [9, 10]


class Value:
    """A number on a device that notes when somebody reads it."""

    def __init__(self, number, reads):
        self.number, self.reads = number, reads

    def __float__(self):
        self.reads.append(self.number)
        return float(self.number)


def test_values_stay_on_the_device_until_somebody_wants_them(monkeypatch):
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: 100.0))
    recorder, reads, read_at_saves = Recorder(), [], []
    recorder.train_step = lambda step, batch: (Value(int(step) + 1, reads), 0.1, Value(0, reads))
    recorder.save = lambda step: read_at_saves.append([number for number in reads if number])
    told = []
    recorder.run(report=[told.append])
    # The first is looked at because no look was before it; then all, in order, before the next save.
    assert read_at_saves == [[], list(range(1, 5)), list(range(1, 9)), list(range(1, 11))]
    assert [values.step for values in told] == list(range(1, 11))
    assert all(isinstance(values.loss, Value) for values in told)


def test_values_are_looked_at_every_second(monkeypatch):
    """A run of slow steps does not go on for a long time with a loss that is no number."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    recorder = Recorder(losses={4: float("nan")}, on_step=lambda step: setattr(clock, "now", clock.now + 0.4))
    with pytest.raises(TrainingError, match=r"The loss of step 5 is nan"):
        recorder.run(resumed_from="model.ckpt-0")
    assert len(recorder.steps) == 7


def test_the_clock_of_training_stands_still_during_actions_and_saves(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: clock.now))

    def passing(seconds):
        def act(step):
            clock.now += seconds

        return act

    recorder, told = Recorder(on_step=passing(2.0)), []
    recorder.save = passing(1000.0)
    recorder.run(every=[(3, passing(500.0))], report=[told.append])
    assert [values.seconds for values in told] == [2.0 * step for step in range(1, 11)]


def counting_step(step, batch):
    """A training step whose loss is its number, and whose norm says which batch it was given."""
    return tf.cast(step, tf.float32), tf.constant(0.1), tf.cast(batch["input_ids"][0], tf.float32)


@pytest.mark.parametrize("steps_per_call", [2, 3, 1000])
def test_several_steps_in_a_call_are_reported_one_by_one_and_saved_when_ever(steps_per_call):
    batches = tf.data.Dataset.range(100).map(lambda number: {"input_ids": number[tf.newaxis]})
    happened = []
    train(
        counting_step,
        batches,
        first_step=1,
        num_train_steps=10,
        save=lambda step: happened.append(f"save {step}") or str(step),
        save_steps=4,
        every=[(3, lambda step: happened.append(f"act {step}"))],
        report=[lambda values: happened.append((values.step, float(values.loss), float(values.global_norm)))],
        steps_per_call=steps_per_call,
    )
    steps = {number: (number, number - 1.0, number - 2.0) for number in range(2, 11)}
    assert happened == [
        *["save 1", steps[2], steps[3], "act 3", steps[4], "save 4", steps[5], steps[6], "act 6"],
        *[steps[7], steps[8], "save 8", steps[9], "act 9", steps[10], "act 10", "save 10"],
    ]


def test_several_steps_in_a_call_find_the_step_whose_loss_is_not_finite():
    def step(number, batch):
        return tf.where(number == 5, float("nan"), 1.0), tf.constant(0.1), tf.constant(1.0)

    batches = tf.data.Dataset.from_tensors({"input_ids": [[1]]}).repeat()
    with pytest.raises(TrainingError, match=r"The loss of step 6 is nan .* checkpoint is model\.ckpt-4"):
        train(
            step,
            batches,
            first_step=0,
            num_train_steps=10,
            save=lambda number: f"model.ckpt-{number}",
            save_steps=4,
            steps_per_call=100,
        )


@pytest.mark.parametrize(
    ("at", "stops_at", "wanted"), [(2, 4, [None, None, None, 15, 15]), (9, 10, [*[None] * 10, 15, 15])]
)
def test_several_processes_stop_when_they_have_agreed(at, stops_at, wanted):
    """The one that has had a signal goes on until the others know of it, or no step is left."""
    recorder, told = Recorder(on_step=lambda step: os.kill(os.getpid(), 15) if step == at else None), []

    def agree(signal_number):
        told.append(signal_number)
        return told[-2] if len(told) > 1 else None

    message = rf"after step {stops_at} of 10; saved as model\.ckpt-{stops_at}"
    with pytest.raises(RunInterruptedError, match=message) as caught:
        recorder.run(agree_to_stop=agree)
    assert told == wanted
    assert caught.value.signal_number == 15


def test_what_fails_after_a_loss_that_was_not_finite_does_not_hide_it():
    """Another worker ends for it first, say, and a sum over all fails here."""
    gone = tf.errors.UnavailableError(None, None, "connection reset")

    def fail(step):
        if step == 6:
            raise gone

    with pytest.raises(TrainingError, match=r"The loss of step 6 is nan"):
        Recorder(losses={5: float("nan")}, on_step=fail).run()
    with pytest.raises(tf.errors.UnavailableError):
        Recorder(on_step=fail).run()


def test_an_action_can_end_the_training_which_is_saved():
    recorder, seen = Recorder(), []
    ends = [(3, lambda step: step == 6), (2, seen.append)]
    recorder.run(every=ends)
    assert recorder.steps == list(range(6))
    assert recorder.saved == [0, 4, 6]
    assert seen == [2, 4, 6], "the others are done all the same"


@pytest.mark.parametrize("ends", [True, False])
def test_what_is_first_is_done_before_any_step(ends):
    recorder = Recorder()
    recorder.run(
        first_step=7,
        resumed_from="model.ckpt-7",
        first=lambda step: (step, recorder.steps) == (7, []) and ends,
    )
    assert recorder.steps == ([] if ends else [7, 8, 9])

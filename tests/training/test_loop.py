import os
import signal

import pytest
import tensorflow as tf

from bert_squad.errors import OutOfMemoryError, RunInterruptedError, TrainingError
from bert_squad.interruption import noticed_signals
from bert_squad.training.loop import train


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

    def run(self, first_step=0, num_train_steps=10, save_steps=4, resumed_from=None):
        train(
            self.train_step,
            iter(lambda: {}, None),
            first_step=first_step,
            num_train_steps=num_train_steps,
            batch_size=2,
            save_steps=save_steps,
            save=self.save,
            resumed_from=resumed_from,
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

    message = r"Out of memory in step 6 .*--train_batch_size \(2\) or --max_seq_length; the last .* is model\.ckpt-4\."
    with pytest.raises(OutOfMemoryError, match=message):
        Recorder(on_step=fail).run()


def test_data_that_ends_early_is_an_error():
    with pytest.raises(TrainingError, match=r"The training data ends before step 3"):
        train(
            Recorder().train_step,
            iter([{}, {}]),
            first_step=0,
            num_train_steps=10,
            batch_size=2,
            save_steps=4,
            save=str,
            resumed_from=None,
        )

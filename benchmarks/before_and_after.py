"""Compare this program's stages with those of another checkout: processor time here over that there, in one run.

    git worktree add --detach ../before COMMIT
    python benchmarks/before_and_after.py --before=../before \
      --data_file=../shared/data/xquad.en.json --vocab_file=../shared/data/vocab-uncased.txt

Each checkout has a process of its own, and they take turns; so what else the machine does falls on both.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("before", None, "Directory of the other checkout; required.")
flags.DEFINE_integer("rounds_of_both", 7, "Rounds; in each both do the same work once.")

Turns = tuple[float, float]  # processor time and time of the clock, in seconds


class Checkout:
    """The program of a checkout, in a process of its own.

    Args:
      directory: the checkout.
      words: flags of `stages.py`.

    Attributes:
      names: of what it can do, "stage contender".
    """

    def __init__(self, directory: Path, words: list[str]):
        self._process = subprocess.Popen(
            [sys.executable, __file__, "serve", str(directory), *words],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.names: list[str] = self._receive()

    def turn(self, name: str) -> Turns:
        """Do one of them once."""
        assert self._process.stdin is not None
        print(name, file=self._process.stdin, flush=True)
        return tuple(self._receive())

    def _receive(self):
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def serve(directory: str, words: list[str]) -> None:
    """Be the process of a checkout: tell the names, then do what each line names and tell its times."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is printed is no answer
    sys.path[:0] = [directory, f"{directory}/benchmarks"]
    import stages
    from ours import OurProgram

    stages.FLAGS(["stages.py", *words])
    with tempfile.TemporaryDirectory() as folder:
        program = OurProgram(stages.FLAGS, stages.model_sizes(), folder)
        work = {
            f"{stage} {name}": contender
            for stage in stages.FLAGS.stages
            for name, contender in program.contenders(stage).items()
        }
        print(json.dumps(list(work)), file=answers, flush=True)
        for line in sys.stdin:
            started = time.process_time(), time.perf_counter()
            work[line.rstrip("\n")]()
            times = time.process_time() - started[0], time.perf_counter() - started[1]
            print(json.dumps(times), file=answers, flush=True)


def main(arguments: list[str]) -> None:
    """Measure each stage and print a line for it; the first turn of each counts for nothing."""
    if FLAGS.before is None:
        sys.exit("--before is missing: name the directory of the other checkout.")
    before = Checkout(Path(FLAGS.before).resolve(), arguments[1:])
    after = Checkout(Path(__file__).resolve().parent.parent, arguments[1:])
    for name in after.names:
        before.turn(name)
        after.turn(name)
        ratios: list[list[float]] = [[], []]
        for number in range(FLAGS.rounds_of_both):
            times = {}
            for checkout in (before, after) if number % 2 else (after, before):
                times[checkout] = checkout.turn(name)
            for of_kind, new, old in zip(ratios, times[after], times[before], strict=True):
                of_kind.append(new / old)
        processor, clock = (
            f"{statistics.median(found):.3f} ({min(found):.3f} to {max(found):.3f})" for found in ratios
        )
        print(f"{name:32} processor time {processor}, clock {clock}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], sys.argv[3:])
    else:
        app.run(main, flags_parser=lambda words: FLAGS(words, known_only=True))

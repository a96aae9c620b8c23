"""The contenders of `serving.py`: each is a process of its own, which does what lines on its standard input say.

    python serving_contenders.py ours|transformers REQUEST_JSON

The request names the model, the questions and options. On the lines "latency" and "batch" the process answers all
questions and prints one JSON line: the seconds of each single question, or of all in batches. On "clients N" it does so
with N threads that ask one question after the other, and prints the seconds of all and of each. Ours also follows
"encoder". A process waits in between without using a processor, so that contenders do not disturb each other.
"""

import itertools
import json
import os
import sys
import threading
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

now = time.perf_counter


class Ours:
    """The exported model, through one of its text signatures."""

    def __init__(self, request: dict):
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  registers its operations

        from bert_squad.serving.asking import ExportedModel

        self._tf = tf
        self._loaded = tf.saved_model.load(request["model_dir"])
        self._signature = self._loaded.signatures[request["signature"]]
        self._features = self._loaded.signatures["serving_default"]
        self._model = ExportedModel(request["model_dir"], request["signature"])
        self._request = request

    def answer(self, questions: list[str], contexts: list[str], batch_size: int) -> list[str]:
        """Return the answers."""
        answers: list[str] = []
        for begin in range(0, len(questions), batch_size):
            batch = slice(begin, begin + batch_size)
            outputs = self._signature(
                question=self._tf.constant(questions[batch]), context=self._tf.constant(contexts[batch])
            )
            answers += [text.decode() for text in outputs["answer"].numpy()]
        return answers

    def answer_client(self, question: str, context: str) -> None:
        """Answer one of several clients, as a program does that serves them from Python."""
        self._model.answer([question], [context])

    def encode(self) -> list[float]:
        """Return the seconds that the encoder alone takes for each question, its windows being given."""
        seconds = []
        for windows in self._request["windows"]:
            features = {name: self._tf.constant(value, self._tf.int32) for name, value in windows.items()}
            started = now()
            self._features(**features)["start_logits"].numpy()
            seconds.append(now() - started)
        return seconds


class Transformers:
    """The question answering pipeline of Hugging Face transformers, which releases before 5 have."""

    def __init__(self, request: dict):
        os.environ |= {"USE_TF": "0", "TRANSFORMERS_VERBOSITY": "error"}
        from transformers import pipeline

        self._pipeline = pipeline("question-answering", model=request["model_dir"], device="cpu")
        self._options = request["options"]

    def answer(self, questions: list[str], contexts: list[str], batch_size: int) -> list[str]:
        """Return the answers."""
        found = self._pipeline(question=questions, context=contexts, batch_size=batch_size, **self._options)
        return [answer["answer"] for answer in (found if len(questions) > 1 else [found])]

    def answer_client(self, question: str, context: str) -> None:
        """Answer one of several clients."""
        self.answer([question], [context], 1)


def ask_from_threads(contender, questions: list[str], contexts: list[str], num_clients: int) -> list:
    """Let so many clients share the questions; return the seconds of all, and of each question."""
    seconds = [0.0] * len(questions)
    numbers = itertools.count()  # whose next value only one thread gets

    def ask() -> None:
        for number in numbers:
            if number >= len(questions):
                return
            asked = now()
            contender.answer_client(questions[number], contexts[number])
            seconds[number] = now() - asked

    threads = [threading.Thread(target=ask) for _ in range(num_clients)]
    started = now()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [now() - started, seconds]


def main() -> None:
    """Load the model, say so, and follow the lines."""
    kind, path = sys.argv[1:]
    with open(path, encoding="utf-8") as reader:
        request = json.load(reader)
    if request["processor_time"]:
        global now
        now = time.process_time
    kinds: dict[str, Any] = {"ours": Ours, "transformers": Transformers}
    contender = kinds[kind](request)
    questions, contexts = request["questions"], request["contexts"]

    def reply(value: object) -> None:
        print(json.dumps(value), flush=True)

    contender.answer(questions[:4], contexts[:4], 1)
    contender.answer(questions[:16], contexts[:16], request["batch_size"])
    reply("ready")
    for line in sys.stdin:
        if line.strip() == "latency":
            seconds = []
            for question, context in zip(questions, contexts, strict=True):
                started = now()
                contender.answer([question], [context], 1)
                seconds.append(now() - started)
            reply(seconds)
        elif line.strip() == "encoder":
            reply(contender.encode())
        elif line.startswith("clients "):
            reply(ask_from_threads(contender, questions, contexts, int(line.split()[1])))
        elif line.strip() == "batch":
            started = now()
            answers = contender.answer(questions, contexts, request["batch_size"])
            reply([now() - started, answers])


if __name__ == "__main__":
    main()

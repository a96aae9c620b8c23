"""Measure the exported model against the question answering pipeline of transformers, in one run.

    python benchmarks/serving.py --data_file=dev.json --init_checkpoint=CHECKPOINT --bert_config_file=bert_config.json \
        --vocab_file=vocab.txt [--peer_path=DIR]

Both have the same weights and the same questions. One after the other they answer single questions, then those of
several clients at a time, then all in batches, for some rounds; the tables show medians over the rounds and ratios with
their spread. A contender is a process of its own (serving_contenders.py), idle while it is not its turn.
With --passages_joined each question is asked of several passages in a row, as one: long texts.

Releases of transformers since 5 have no such pipeline. An older one, in a directory of its own, does:

    pip install --no-deps --target=DIR 'transformers<5' 'tokenizers<0.23' 'huggingface_hub<1'
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from absl import app, flags
from machine import describe_machine

HERE = Path(__file__).resolve().parent
FLAGS = flags.FLAGS
flags.DEFINE_string("data_file", None, "SQuAD file whose questions are asked.", required=True)
flags.DEFINE_string("init_checkpoint", None, "Checkpoint of any kind.", required=True)
flags.DEFINE_string("bert_config_file", None, "Configuration of the model.", required=True)
flags.DEFINE_string("vocab_file", None, "Vocabulary of the model.", required=True)
flags.DEFINE_boolean("do_lower_case", True, "Whether the model is uncased.")
flags.DEFINE_integer("max_seq_length", 384, "In WordPieces.")
flags.DEFINE_integer("doc_stride", 128, "In WordPieces.")
flags.DEFINE_integer("max_query_length", 64, "In WordPieces.")
flags.DEFINE_integer("questions", 100, "Questions to ask, spread over the file.")
flags.DEFINE_list("export_dtypes", ["float32", "bfloat16"], "How our weights are stored.")
flags.DEFINE_list("signatures", ["answer", "answer_fast"], "Our signatures.")
flags.DEFINE_integer("batch_size", 32, "Questions in a batch of ours.")
flags.DEFINE_list("peer_batch_sizes", ["1", "8", "32"], "Batch sizes of the pipeline; the best one counts.")
flags.DEFINE_integer(
    "peer_doc_stride",
    None,
    "Overlap of the pipeline's windows, which it calls stride; default: such that it has as many windows as ours.",
)
flags.DEFINE_string("peer_path", None, "Directory with a release of transformers before 5.")
flags.DEFINE_list("clients", ["4", "16"], "Numbers of clients that ask at the same time.")
flags.DEFINE_integer("passages_joined", 1, "Passages of the file in a row that make one.", lower_bound=1)
flags.DEFINE_integer("rounds", 3, "Rounds; contenders take turns within each.")
flags.DEFINE_integer("threads", None, "Threads of each contender; default: as many as it likes.")
flags.DEFINE_boolean(
    "processor_time",
    False,
    "Count the processor's time, not the clock's: for busy machines, with --threads=1.",
)

_PEER_OPTIONS = {"max_answer_len": 30}


class Contender:
    """A process that answers questions when it is told to."""

    def __init__(self, kind: str, request: dict, directory: Path, python_path: str | None = None):
        path = directory / f"request-{len(list(directory.glob('request-*')))}.json"
        path.write_text(json.dumps(request))
        paths = [*([python_path] if python_path else []), str(HERE.parent)]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "serving_contenders.py"), kind, str(path)],
            env={**os.environ, **_threads(), "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def do(self, task: str):
        """Have a task done and return what the process says."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{task}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self):
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("A contender has ended; its last words are above.")
        return json.loads(line)

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()


def _threads() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, str(FLAGS.threads)) if FLAGS.threads else {}


def read_questions() -> tuple[list[str], list[str]]:
    """Return questions spread over the data file, and the context of each."""
    rows = []
    for article in json.loads(Path(FLAGS.data_file).read_text(encoding="utf-8"))["data"]:
        passages = [paragraph["context"] for paragraph in article["paragraphs"]]
        for number, paragraph in enumerate(article["paragraphs"]):
            # The last passages of an article have fewer after them, so those before them come along.
            begin = max(0, min(number, len(passages) - FLAGS.passages_joined))
            context = "\n".join(passages[begin : begin + FLAGS.passages_joined])
            rows += [(qa["question"], context) for qa in paragraph["qas"]]
    chosen = [
        rows[number] for number in np.linspace(0, len(rows) - 1, min(FLAGS.questions, len(rows))).astype(int)
    ]
    questions, contexts = map(list, zip(*chosen, strict=True))
    return questions, contexts


def export(directory: Path, questions: list[str], contexts: list[str]) -> tuple[dict[str, str], list[dict]]:
    """Write the model in every form.

    Returns:
      The directories, by dtype, and of the Hugging Face model as "peer"; and the windows of each question.
    """
    from bert_squad.bert_config import BertConfig
    from bert_squad.checkpoints.convert import convert
    from bert_squad.checkpoints.loading import load_checkpoint
    from bert_squad.config import SquadConfig
    from bert_squad.data.examples import read_squad_examples
    from bert_squad.data.features import convert_examples_to_features
    from bert_squad.model.squad_model import BertForSquad
    from bert_squad.serving.export import export_model
    from bert_squad.text.tokenization import FullTokenizer

    names = (
        "bert_config_file",
        "vocab_file",
        "do_lower_case",
        "max_seq_length",
        "doc_stride",
        "max_query_length",
    )
    config = SquadConfig(output_dir=str(directory), **{name: FLAGS[name].value for name in names})
    bert_config = BertConfig.from_json_file(config.bert_config_file)
    tokenizer = FullTokenizer(config.vocab_file, config.do_lower_case)
    model = BertForSquad(bert_config)
    load_checkpoint(model, FLAGS.init_checkpoint)
    paths = {
        dtype: export_model(model, config, bert_config, tokenizer, None, str(directory / dtype), dtype=dtype)
        for dtype in FLAGS.export_dtypes
    }
    paths["peer"] = str(directory / "peer")
    convert(
        FLAGS.init_checkpoint, paths["peer"], "huggingface", **{name: FLAGS[name].value for name in names[:3]}
    )

    data = directory / "questions.json"
    paragraphs = [
        {"context": context, "qas": [{"id": str(number), "question": question}]}
        for number, (question, context) in enumerate(zip(questions, contexts, strict=True))
    ]
    data.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    keys = ("input_ids", "input_mask", "segment_ids")
    windows: list[dict] = [{key: [] for key in keys} for _ in questions]
    lengths = (config.max_seq_length, config.doc_stride, config.max_query_length)
    examples = read_squad_examples(str(data), is_training=False)
    for feature in convert_examples_to_features(examples, tokenizer, *lengths, is_training=False):
        for key in keys:
            windows[feature.example_index][key].append(getattr(feature, key))
    return paths, windows


def trimmed(windows: dict[str, list]) -> dict[str, list]:
    """Return windows without the padding that all of them have."""
    longest = max(sum(mask) for mask in windows["input_mask"])
    return {key: [row[:longest] for row in rows] for key, rows in windows.items()}


def _overlap(windows: list[dict]) -> int:
    """Return by how much the windows of a typical question overlap; told that, the pipeline takes the same steps."""
    # A window is [CLS] question [SEP] span [SEP], and its segment ids are 1 from the span on.
    prefix = statistics.median(
        sum(mask) - sum(segments)
        for window in windows
        for mask, segments in zip(window["input_mask"], window["segment_ids"], strict=True)
    )
    return FLAGS.max_seq_length - int(prefix) - 1 - FLAGS.doc_stride


def start_contenders(directory: Path, questions: list[str], contexts: list[str]) -> dict[str, Contender]:
    """Start all contenders, ours first."""
    paths, windows = export(directory, questions, contexts)
    common: dict = {"questions": questions, "contexts": contexts, "batch_size": FLAGS.batch_size}
    common["processor_time"] = FLAGS.processor_time
    contenders = {}
    for dtype in FLAGS.export_dtypes:
        for signature in FLAGS.signatures:
            own = windows if signature == "answer" else [trimmed(window) for window in windows]
            request = {**common, "model_dir": paths[dtype], "signature": signature, "windows": own}
            contenders[f"{signature} {dtype}"] = Contender("ours", request, directory)
    if FLAGS.peer_path or _has_old_transformers():
        options = {
            **_PEER_OPTIONS,
            "max_seq_len": FLAGS.max_seq_length,
            "doc_stride": _overlap(windows) if FLAGS.peer_doc_stride is None else FLAGS.peer_doc_stride,
            "max_question_len": FLAGS.max_query_length,
        }
        for size in FLAGS.peer_batch_sizes:
            request = {**common, "batch_size": int(size), "model_dir": paths["peer"], "options": options}
            contenders[f"transformers, batch {size}"] = Contender(
                "transformers", request, directory, FLAGS.peer_path
            )
    return contenders


def _has_old_transformers() -> bool:
    import importlib.metadata

    try:
        return int(importlib.metadata.version("transformers").split(".")[0]) < 5
    except importlib.metadata.PackageNotFoundError:
        return False


def measure(contenders: dict[str, Contender]) -> dict[str, dict[str, list]]:
    """Let contenders take turns; return all times in seconds, by contender and task."""
    times: dict[str, dict[str, list]] = {
        name: {"latency": [], "batch": [], "encoder": [], "answers": []}
        | {f"clients {clients}": [] for clients in FLAGS.clients}
        for name in contenders
    }
    for _ in range(FLAGS.rounds):
        for name, contender in contenders.items():
            if name.startswith("transformers") and name != f"transformers, batch {FLAGS.peer_batch_sizes[0]}":
                continue  # batches aside, these are all the same
            times[name]["latency"].append(contender.do("latency"))
            if not name.startswith("transformers"):
                times[name]["encoder"].append(contender.do("encoder"))
            for clients in FLAGS.clients:
                times[name][f"clients {clients}"].append(contender.do(f"clients {clients}"))
        for name, contender in contenders.items():
            seconds, answers = contender.do("batch")
            times[name]["batch"].append(seconds)
            times[name]["answers"] = answers
    return times


def show(times: dict[str, dict[str, list]], num_questions: int) -> None:
    """Print a line for each contender, and how ours compare with the best of the peer."""
    print(f"\n{'contender':28} {'p50 ms':>8} {'p99 ms':>8} {'questions/s':>12} {'outside the encoder':>20}")
    for name, of in times.items():
        single = [1000 * second for turn in of["latency"] for second in turn]
        rate = num_questions / statistics.median(of["batch"])
        cells = [f"{np.percentile(single, q):8.1f}" if single else f"{'':8}" for q in (50, 99)]
        outside = ""
        if of["encoder"]:
            # Of several turns the fastest of each question, so that a disturbance in one of them does no harm.
            encoder, whole = (np.min(of[task], axis=0).sum() for task in ("encoder", "latency"))
            outside = f"{1 - encoder / whole:20.0%}"
        print(f"{name:28} {' '.join(cells)} {rate:12.2f} {outside}")
    show_clients(times, num_questions)
    peers = [name for name in times if name.startswith("transformers")]
    if not peers:
        print("There is no transformers before release 5, so there is nobody to compare with.")
        return
    best = min(peers, key=lambda name: statistics.median(times[name]["batch"]))
    peer_p50 = [np.median(turn) for turn in times[peers[0]]["latency"]]
    print(f"\nAgainst transformers (single questions; batches: its best, {best}), by round:")
    for name, of in times.items():
        if name in peers:
            continue
        speed = [peer / np.median(turn) for peer, turn in zip(peer_p50, of["latency"], strict=True)]
        throughput = [peer / own for peer, own in zip(times[best]["batch"], of["batch"], strict=True)]
        same = np.mean([a == b for a, b in zip(of["answers"], times[best]["answers"], strict=True)])
        print(
            f"{name:28} p50 {statistics.median(speed):5.2f}x as fast ({min(speed):.2f} to {max(speed):.2f}), "
            f"throughput {statistics.median(throughput):5.2f}x ({min(throughput):.2f} to {max(throughput):.2f}), "
            f"{same:.0%} of the answers are the same"
        )


def show_clients(times: dict[str, dict[str, list]], num_questions: int) -> None:
    """Print how each contender answers several clients that ask single questions at the same time."""
    rows = [
        (clients, name, of[f"clients {clients}"]) for clients in FLAGS.clients for name, of in times.items()
    ]
    if not rows:
        return
    print(f"\n{'clients':>8}  {'contender':28} {'p50 ms':>8} {'p99 ms':>8} {'questions/s':>12}")
    for clients, name, turns in rows:
        if turns:
            single = [1000 * second for _, seconds in turns for second in seconds]
            rate = num_questions / statistics.median(whole for whole, _ in turns)
            cells = [f"{np.percentile(single, q):8.1f}" for q in (50, 99)]
            print(f"{clients:>8}  {name:28} {' '.join(cells)} {rate:12.2f}")


def main(_) -> None:
    """Export, start, measure, show."""
    sys.path.insert(0, str(HERE.parent))
    questions, contexts = read_questions()
    describe_machine()
    print(f"questions: {len(questions)} of {FLAGS.data_file}, processors: {os.cpu_count()}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        contenders = start_contenders(Path(directory), questions, contexts)
        times = measure(contenders)
        for contender in contenders.values():
            contender.end()
    show(times, len(questions))


if __name__ == "__main__":
    app.run(main)

import gzip
import io
import json

import pytest
from answers.nbest_goldens import CASES, CRASHED, load
from hypothesis import given
from hypothesis import strategies as st

from bert_squad import whole_files
from bert_squad.answers.candidates import PrelimPrediction
from bert_squad.answers.nbest import (
    AnswerPlace,
    ExamplePrediction,
    NbestEntry,
    compute_predictions,
    stream_predictions,
)
from bert_squad.answers.prediction_files import (
    PredictionFilesWriter,
    json_key,
    predictions_json,
    write_predictions,
)
from bert_squad.errors import OutputError

NAMES = ("predictions.json", "nbest_predictions.json", "null_odds.json")

floats = st.floats(allow_nan=True)
texts = st.one_of(st.text(), st.sampled_from(['"', "\\", "\n", "\u2028", "Zürich", "😀", "\ud800", "\x7f"]))
entries = st.builds(
    NbestEntry,
    texts,
    floats,
    st.builds(PrelimPrediction, st.just(0), st.just(1), st.just(2), floats | st.just(0), floats | st.just(0)),
)
ids = st.one_of(st.text(max_size=3), st.integers(0, 3), st.sampled_from(["a", "b", 1.5]))
answers_with_odds = st.lists(
    st.builds(ExamplePrediction, ids, texts, st.lists(entries, min_size=1, max_size=3), floats), max_size=6
)


def answer(qas_id, text="x", odds=None):
    return ExamplePrediction(qas_id, text, [NbestEntry(text, 1.0, PrelimPrediction(0, 4, 5, 2.5, 0))], odds)


def paths(folder, count=3):
    return [str(folder / name) for name in NAMES[:count]]


def written(folder, answers, qas_ids=None, with_odds=True):
    qas_ids = [one.qas_id for one in answers] if qas_ids is None else qas_ids
    predictions_file, nbest_file, *odds_file = paths(folder, 2 + with_odds)
    write_predictions(
        iter(answers),
        iter(qas_ids),
        predictions_file=predictions_file,
        nbest_file=nbest_file,
        null_odds_file=odds_file[0] if odds_file else None,
    )
    return [(folder / name).read_bytes() for name in NAMES[: 2 + with_odds]]


def dumped(content):
    return (json.dumps(content, indent=4) + "\n").encode("ascii")


@pytest.mark.parametrize("name", CASES)
def test_golden_bytes(name, tmp_path):
    case = load(name)
    version_2 = case.options["version_2_with_negative"]
    streamed = stream_predictions(case.examples, case.features, case.results, case.nbest_options)
    contents = written(tmp_path, streamed, [example.qas_id for example in case.examples], version_2)
    at_once = compute_predictions(case.examples, case.features, case.results, **case.options)
    assert contents == [predictions_json(content).encode("ascii") for content in at_once[: 2 + version_2]]
    if name not in CRASHED:
        golden_files = ["predictions.json", "nbest_predictions.json.gz", "null_odds.json"]
        for content, golden_name in zip(contents, golden_files, strict=False):
            expected = (case.folder / golden_name).read_bytes()
            assert content == (gzip.decompress(expected) if golden_name.endswith(".gz") else expected)


@given(answers=answers_with_odds)
def test_bytes_equal_those_of_the_json_module(tmp_path_factory, answers):
    # Ids repeat here: of each the last answer counts, at the place of the first.
    contents = written(tmp_path_factory.mktemp("files"), answers)
    assert contents == [
        dumped({one.qas_id: one.text for one in answers}),
        dumped({one.qas_id: [entry.to_json() for entry in one.nbest] for one in answers}),
        dumped({one.qas_id: one.null_odds for one in answers}),
    ]


places = st.none() | st.builds(AnswerPlace, st.integers(0), st.integers(0), st.integers(0))


@given(
    answers=st.lists(
        st.builds(
            lambda qas_id, entry, place: ExamplePrediction(qas_id, entry.text, [entry], None, place),
            ids,
            entries,
            places,
        ),
        max_size=6,
    )
)
def test_bytes_of_the_offsets_equal_those_of_the_json_module(tmp_path_factory, answers):
    folder = tmp_path_factory.mktemp("files")
    write_predictions(
        answers,
        [one.qas_id for one in answers],
        predictions_file=str(folder / "predictions.json"),
        nbest_file=str(folder / "nbest_predictions.json"),
        offsets_file=str(folder / "offsets.json"),
    )
    assert (folder / "offsets.json").read_bytes() == dumped(
        {
            one.qas_id: one.place
            and {
                **one.place._asdict(),
                "start_logit": one.nbest[0].candidate.start_logit,
                "end_logit": one.nbest[0].candidate.end_logit,
                "probability": one.nbest[0].probability,
            }
            for one in answers
        }
    )


def test_no_questions(tmp_path):
    assert written(tmp_path, []) == [b"{}\n"] * 3


def test_without_version_2_there_are_no_null_odds(tmp_path):
    assert written(tmp_path, [answer("q")], with_odds=False)[0] == b'{\n    "q": "x"\n}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nbest_predictions.json", "predictions.json"]


def test_integer_ids_become_texts(tmp_path):
    assert json.loads(written(tmp_path, [answer(7, odds=0.5)])[2]) == {"7": 0.5}


@pytest.mark.parametrize(
    ("qas_id", "key"), [("x", "x"), (3, "3"), (2.5, "2.5"), (True, "true"), (None, "null")]
)
def test_json_key(qas_id, key):
    assert json_key(qas_id) == key == next(iter(json.loads(json.dumps({qas_id: 0}))))


def test_answers_are_written_as_they_come_until_an_id_that_repeats(tmp_path, monkeypatch):
    opened = {}

    class Recorder(io.StringIO):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(whole_files, "open_whole", lambda path: opened.setdefault(path, Recorder()))
    first, *_ = paths(tmp_path)
    with PredictionFilesWriter(*paths(tmp_path, 2), repeated_ids={"r"}) as writer:
        writer.add(answer("a"))
        assert opened[first].getvalue() == '{\n    "a": "x"'
        writer.add(answer("r", "one"))
        writer.add(answer("b"))
        assert opened[first].getvalue() == '{\n    "a": "x"'
        writer.add(answer("r", "two"))
    assert json.loads(opened[first].getvalue()) == {"a": "x", "r": "two", "b": "x"}
    assert list(json.loads(opened[first].getvalue())) == ["a", "r", "b"]


def test_an_error_on_the_way_leaves_the_old_files(tmp_path):
    before = written(tmp_path, [answer("old", odds=1.0)])

    def answers():
        yield answer("new", odds=1.0)
        raise FileNotFoundError("eval.tf_record")

    # The error of an input stays what it is, though it is an OSError as those of the outputs are.
    with pytest.raises(FileNotFoundError, match=r"^eval\.tf_record$"):
        write_predictions(
            answers(),
            ["new"],
            **dict(zip(("predictions_file", "nbest_file", "null_odds_file"), paths(tmp_path), strict=True)),
        )
    assert [(tmp_path / name).read_bytes() for name in NAMES] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, real):
            self.real = real

        def write(self, text):
            raise OSError(28, "No space left on device")

    real_open_whole = whole_files.open_whole

    class OpenWhole:
        def __init__(self, path):
            self.real, self.full = real_open_whole(path), path.endswith(NAMES[1])

        def __enter__(self):
            file = self.real.__enter__()
            return FullDisk(file) if self.full else file

        def __exit__(self, *error):
            return self.real.__exit__(*error)

    monkeypatch.setattr(whole_files, "open_whole", OpenWhole)
    with pytest.raises(OutputError) as error:
        written(tmp_path, [answer("q", odds=0.0)])
    assert str(error.value) == (
        f"Cannot write {tmp_path / NAMES[1]} (No space left on device); what was there before is unchanged."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(OutputError) as error:
        written(tmp_path / "absent", [answer("q", odds=0.0)])
    assert str(error.value) == (
        f"Cannot write {tmp_path / 'absent' / NAMES[0]} (No such file or directory); "
        "what was there before is unchanged."
    )

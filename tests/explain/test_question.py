"""What can be wrong with a question, its passage and its answer: one sentence each, that says what to do."""

import pytest
from explain.small_questions import LENGTHS, options, windows

from bert_squad.data.windows import WindowLengths
from bert_squad.errors import ConfigError, DataError
from bert_squad.explain.question import ask_question

PASSAGE = "The cat saw the Cat. The cat\nslept."


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("  ", PASSAGE), DataError, "--question is empty; ask something"),
        (("who ?", " \n"), DataError, "The passage is empty.*check --context_file"),
        (
            ("who ?", PASSAGE, "dog"),
            DataError,
            r"--answer='dog' does not occur in the passage; copy it from there\.$",
        ),
        (("who ?", PASSAGE, "the cat saw"), DataError, "does not occur.*'The cat saw' is there"),
        (("who ?", PASSAGE, "cat slept"), DataError, r"does not occur.*'cat\\nslept' is there"),
        (
            ("who ?", PASSAGE, "cat", 5),
            DataError,
            "--answer_start=5: there the passage has 'at '; 'cat' begins at 4, 25",
        ),
        (("who ?", PASSAGE, "cat", 999), DataError, "there the passage has ''"),
        (("who ?", PASSAGE, None, 4), ConfigError, "--answer_start says where --answer is; add that"),
    ],
)
def test_what_is_wrong_is_said(arguments, error, message):
    with pytest.raises(error, match=message):
        ask_question(*arguments)


def test_the_first_place_is_taken_unless_another_is_named():
    first = ask_question("who ?", PASSAGE, "cat")
    assert (first.answer_start, first.num_occurrences) == (4, 2)
    assert ask_question("who ?", PASSAGE, "cat", 25).answer_start == 25


def test_places_may_overlap():
    assert ask_question("who ?", "aaa", "aa", 1).num_occurrences == 2


def test_a_place_is_labelled_by_its_offset(tmp_path):
    _, first = windows(tmp_path, "a b", context="a b c a b")
    assert (first[0].start_position, first[0].end_position) == (5, 6)


def test_an_answer_that_no_window_holds(tmp_path):
    with pytest.raises(
        DataError, match=r"No window holds all of --answer='a b c .* raise --max_seq_length \(16\)"
    ):
        windows(tmp_path, "a b c d e f g h i j k l")


def test_an_answer_that_training_would_leave_out(tmp_path):
    """LEGACY: U+00A0 is no space in a passage, and one in an answer."""
    with pytest.raises(
        DataError, match=r"is not found among the words of the passage.*would leave this question out"
    ):
        windows(tmp_path, "a\u00a0b", context="a\u00a0b c")


def test_no_answer_needs_version_2(tmp_path):
    with pytest.raises(
        ConfigError, match='--answer is empty, which means "no answer", and this model always'
    ):
        windows(tmp_path, "")
    _, features = windows(tmp_path, "", of=options(version_2_with_negative=True))
    assert [feature.start_position for feature in features] == [0, 0, 0]


def test_a_passage_of_nothing_that_can_be_shown(tmp_path):
    with pytest.raises(DataError, match="The passage has no text that the vocabulary could show"):
        windows(tmp_path, context="\u00ad")


def test_a_question_that_leaves_no_room(tmp_path):
    with pytest.raises(ConfigError, match="leaves no room for the passage"):
        windows(tmp_path, lengths=WindowLengths(6, 6, LENGTHS.max_query_length))

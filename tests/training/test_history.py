import json

import pytest

from bert_squad.errors import DataError
from bert_squad.training.history import HISTORY, add_to_history, evaluations_since_best, read_history, row_of


def write(folder, *lines: str) -> None:
    (folder / HISTORY).write_text("".join(lines))


def line(step: int) -> str:
    return json.dumps({"step": step, "f1": 1.0}) + "\n"


def test_a_row_takes_the_place_of_itself_and_of_what_came_after(tmp_path):
    write(tmp_path, line(5), line(10), line(15))
    rows = add_to_history(str(tmp_path), row_of(10, {"exact": 1.0, "f1": 2.0}))
    assert [row["step"] for row in rows] == [5, 10]
    assert read_history(str(tmp_path)) == rows
    assert rows[-1] == {"step": 10, "exact": 1.0, "f1": 2.0}


@pytest.mark.parametrize("rest", ['{"step": 1', '{"st', "\0\0\0", '{"step": "10"}\n'])
def test_a_history_that_is_cut_short_loses_its_last_line_only(rest, tmp_path, caplog):
    write(tmp_path, line(5), rest)
    assert [row["step"] for row in read_history(str(tmp_path))] == [5]
    assert "Line 2 of" in caplog.text
    assert "left out" in caplog.text


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    write(tmp_path, line(5), "{\n", line(10))
    with pytest.raises(DataError, match=r"Line 2 of .*eval_history\.jsonl.*move it away"):
        add_to_history(str(tmp_path), row_of(15, {"exact": 1.0, "f1": 2.0}))
    assert len((tmp_path / HISTORY).read_text().splitlines()) == 3


@pytest.mark.parametrize(("scores", "since"), [([], 0), ([1], 0), ([1, 2], 0), ([2, 1], 1), ([2, 2, 2], 2)])
def test_what_is_no_better_is_counted(scores, since):
    assert evaluations_since_best([{"f1": score} for score in scores], "f1") == since

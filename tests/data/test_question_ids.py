import pytest

from bert_squad.data.question_ids import MAX_NAMED, NamedIds, quoted_id, shown_id


@pytest.mark.parametrize(
    ("qas_id", "shown"),
    [
        ("q", "q"),
        ("Zürich 東", "Zürich 東"),
        ("a\nb\x1b", r"a\nb\x1b"),
        ("\ud800", r"\ud800"),
        ("x" * 101, "x" * 100 + "…"),
        (10**400, "1" + "0" * 99 + "…"),
        (-0.0, "-0.0"),
        (None, "null"),
        (False, "false"),
    ],
)
def test_an_id_is_one_short_line(qas_id, shown):
    assert shown_id(qas_id) == shown
    assert quoted_id(qas_id) == (f"'{shown}'" if isinstance(qas_id, str) else shown)


def test_any_number_of_ids_takes_little_room():
    ids = NamedIds()
    for number in range(100_000):
        ids.add(number)
    assert len(ids) == 100_000
    assert str(ids) == ", ".join(map(str, range(MAX_NAMED))) + " and 99980 more"
    assert len(ids._named) == MAX_NAMED

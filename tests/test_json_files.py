"""What people give instead of JSON, and the one sentence that each gets."""

import gzip

import pytest

from bert_squad.errors import CheckpointError, DataError
from bert_squad.json_files import decode_utf8, parse_json, read_json

GZIP = "is not UTF-8 text: it looks like gzip-compressed data; unpack it first (gunzip)."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty."),
        (b" \n", "is empty."),
        (gzip.compress(b"{}", mtime=0), GZIP),
        (
            '{"é": 1}'.encode("utf-16"),
            "is not UTF-8 text: it looks like UTF-16 text; convert it to UTF-8 (iconv -f",
        ),
        ('{"a": 1}'.encode("utf-16-le"), "is not UTF-8 text: it looks like UTF-16 text without a mark;"),
        ('{"a": 1}'.encode("utf-16-be"), "is not UTF-8 text: it looks like UTF-16 text without a mark;"),
        ('{"a": 1}'.encode("utf-32"), "is not UTF-8 text: it looks like UTF-32 text;"),
        (b'{"a": "\xe9"}', "is not UTF-8 text (byte 7)."),
        (
            b'{"a": 1}\n{"a": 2}\n',
            "holds more than one JSON value, the second at line 2, column 1: it looks like JSON",
        ),
        (b'{"a":\n1}}', "is not valid JSON: something follows its end at line 2, column 3."),
        (
            b'{"a": "b',
            "is not valid JSON: Unterminated string starting at line 1, column 7. Is it complete?",
        ),
        (b'{"a": [1,', "is not valid JSON: Expecting value at line 1, column 10. Is it complete?"),
        (b'{"a": ]}', "is not valid JSON: Expecting value at line 1, column 7."),
        (b"[" * 100_000, "is nested too deeply to be what it should be."),
        (b'{"a": ' + b"9" * 5000 + b"}", "holds a number of thousands of digits, which cannot be right."),
    ],
)
def test_what_is_no_json_is_named(content, message):
    with pytest.raises(DataError) as error:
        parse_json(content, "The file x")
    assert str(error.value).startswith(f"The file x {message}")


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("text", ["Анна живёт", "Анна", "آنا", "Άννα", "Anna", '["東京"]'])
def test_utf_16_without_a_mark_is_known_in_other_scripts_too(text, order):
    message = rf"looks like UTF-16 text without a mark; .*iconv -f UTF-16{order.upper()} "
    with pytest.raises(DataError, match=message):
        decode_utf8(text.encode(f"utf-16-{order}"), "The passage")


@pytest.mark.parametrize(
    "text", ["Anna \0 b", "\0\0\0\0", "a", "\0", "é\x01\x02", "東京 東京", "\x04\x04\x04\x04"]
)
def test_utf_8_with_control_characters_is_text(text):
    assert decode_utf8(text.encode(), "The passage") == text


def test_a_mark_is_dropped():
    assert decode_utf8(b"\xef\xbb\xbfZo\xc3\xab", "The passage") == "Zoë"


def test_the_flag_and_the_kind_of_error_are_the_callers(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"Cannot read the index .*none \(No such file .*\); check --flag\."
    ):
        read_json(str(tmp_path / "none"), "index", flag="--flag", error=CheckpointError)

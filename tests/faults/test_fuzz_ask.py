"""Damaged lines and passages for `bert-squad ask`."""

import contextlib
import io
import json
import sys

import pytest
from faults.mutation import check_reader

from bert_squad.bulk.rows import parse_request
from bert_squad.cli.ask_streams import Input, arriving_lines, read_passage

LINES = [
    b'{"id": 1, "question": "Where?", "context": "Isaac Reed died in Malaga."}\n\n'
    b'{"question": "Zo\xc3\xab?", "context": "\\ud83d\\ude00 \\ud83d", "answer": [1.5, -2e10, null, {"a": true}]}\r\n',
    b'\xef\xbb\xbf{"question": "x", "context": ""}',
]
PASSAGES = ["Isaac Reed died in Málaga – 東京 😀.\n".encode(), b"\xef\xbb\xbfa b\n"]


def read_batch(content):
    with source_of(content, "--batch_file") as source:
        for lines in arriving_lines(source, 3):
            for line in lines:
                request = parse_request(line.content, f"Line {line.number}")
                assert isinstance(request.question, str)
                assert isinstance(request.context, str)
                json.dumps(request.row)


def read_context(content):
    with source_of(content, "--context_file") as source:
        text = read_passage(source)
    assert text.encode() == content.removeprefix(b"\xef\xbb\xbf")


@contextlib.contextmanager
def source_of(content, flag):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        yield Input("-", flag)


@pytest.mark.parametrize(("read", "seeds"), [(read_batch, LINES), (read_context, PASSAGES)])
def test_damaged_input(read, seeds):
    check_reader(read, seeds, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("read", "seeds"), [(read_batch, LINES), (read_context, PASSAGES)])
def test_damaged_input_for_long(read, seeds):
    check_reader(read, seeds, 30, seed=1)

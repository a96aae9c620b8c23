"""The same questions in the forms in which people have them."""

import gzip
import json
from pathlib import Path
from typing import Any


def flat(squad: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows as Hugging Face's squad and squad_v2 have them, written plainly, without the program's own code."""
    return [
        {
            "id": qa["id"],
            "title": article.get("title", ""),
            "context": paragraph["context"],
            "question": qa["question"],
            "answers": {
                "text": [answer["text"] for answer in qa["answers"]],
                "answer_start": [answer["answer_start"] for answer in qa["answers"]],
            },
        }
        for article in squad["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


def mrqa(squad: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines of an MRQA file; the detected answers are the answers."""
    return [{"header": {"dataset": "SQuAD", "split": "train"}}] + [
        {
            "context": paragraph["context"],
            "context_tokens": [["The", 0]],
            "qas": [
                {
                    "qid": qa["id"],
                    "question": qa["question"],
                    "answers": [answer["text"] for answer in qa["answers"]],
                    "detected_answers": [
                        {
                            "text": answer["text"],
                            "char_spans": [
                                [answer["answer_start"], answer["answer_start"] + len(answer["text"]) - 1]
                            ],
                            "token_spans": [[0, 0]],
                        }
                        for answer in qa["answers"]
                    ],
                }
                for qa in paragraph["qas"]
            ],
        }
        for article in squad["data"]
        for paragraph in article["paragraphs"]
    ]


def write_lines(path: Path, rows: list[Any]) -> Path:
    """Write JSON lines, gzipped when the name ends in .gz."""
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a Parquet file as pyarrow makes it of rows."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def squad_of(*qas: dict[str, Any], context: str = "Ann met Bob in Riga.", **article: Any) -> dict[str, Any]:
    """A data set of one passage."""
    return {"version": "1.1", "data": [{**article, "paragraphs": [{"context": context, "qas": list(qas)}]}]}


def qa(qas_id: Any = "q1", text: str = "Bob", start: int = 8, **more: Any) -> dict[str, Any]:
    """A question of that passage."""
    return {"id": qas_id, "question": "Who?", "answers": [{"text": text, "answer_start": start}], **more}

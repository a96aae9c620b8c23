"""Answer a question about a passage of any size, and say what memory that took.

    python long_passage.py MODEL_DIR KIND SIGNATURE BYTES

Prints a JSON object. Run by test_long_passages.py, in a process of its own.
"""

import json
import resource
import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers its operations

SENTENCE = "Ada Lovelace wrote (in 1843) the first program, for a machine that was never built. "
KINDS = {
    "sentences": SENTENCE,
    "one_word": "machine",
    "one_word_of_many_tokens": "東京",
    "spaces": " ",
    "commas": ",",
}


def peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    model_dir, kind, name, size = sys.argv[1:]
    signature = tf.saved_model.load(model_dir).signatures[name]
    unit = KINDS[kind].encode()
    signature(question=tf.constant(["who ?"]), context=tf.constant([unit]))
    before = peak_megabytes()
    outputs = signature(
        question=tf.constant(["who ?"]), context=tf.constant([unit * (int(size) // len(unit))])
    )
    print(
        json.dumps(
            {
                "megabytes": peak_megabytes() - before,
                "count": int(outputs["nbest_count"][0]),
                "probability": float(tf.reduce_sum(outputs["nbest_probability"][0])),
            }
        )
    )


if __name__ == "__main__":
    main()

"""Conversion as LEGACY.md describes it: every word of every question's passage tokenized anew, protos value by value.

Written from that page, not from `bert_squad.text` or `bert_squad.data`, with which it shares no code. Verified against
the goldens by tests/benchmarks/test_legacy_standin.py.
"""

import tensorflow as tf


def _narrowed(pieces, start, end, answer_pieces):
    wanted = " ".join(answer_pieces)
    for first in range(start, end + 1):
        for last in range(end, first - 1, -1):
            if " ".join(pieces[first : last + 1]) == wanted:
                return first, last
    return start, end


def _has_max_context(spans, number, position):
    best_score, best = None, None
    for index, (start, length) in enumerate(spans):
        end = start + length - 1
        if not start <= position <= end:
            continue
        score = min(position - start, end - position) + 0.01 * length
        if best_score is None or score > best_score:
            best_score, best = score, index
    return best == number


def convert(examples, tokenizer, max_seq_length, doc_stride, max_query_length, is_training):
    """Yield the features of examples as dictionaries with the keys of the records.

    What only n-best needs, which word a piece belongs to and where it has most context, is worked out and left
    behind: the legacy program did so for each feature.
    """
    unique_id = 1000000000
    for example in examples:
        query = tokenizer.tokenize(example.question_text)[:max_query_length]
        pieces: list[str] = []
        word_of_piece, piece_of_word = [], []
        for number, word in enumerate(example.doc_tokens):
            piece_of_word.append(len(pieces))
            for piece in tokenizer.tokenize(word):
                word_of_piece.append(number)
                pieces.append(piece)
        answer = None
        if is_training and not example.is_impossible:
            last = len(pieces) - 1
            if example.end_position < len(example.doc_tokens) - 1:
                last = piece_of_word[example.end_position + 1] - 1
            wanted = tokenizer.tokenize(example.orig_answer_text)
            answer = _narrowed(pieces, piece_of_word[example.start_position], last, wanted)
        room, spans, start = max_seq_length - len(query) - 3, [], 0
        while start < len(pieces):
            length = min(room, len(pieces) - start)
            spans.append((start, length))
            if start + length == len(pieces):
                break
            start += min(length, doc_stride)
        for number, (start, length) in enumerate(spans):
            tokens, segment_ids = ["[CLS]", *query, "[SEP]"], [0] * (len(query) + 2)
            max_context = {}
            for position in range(start, start + length):
                max_context[len(tokens)] = _has_max_context(spans, number, position)
                tokens.append(pieces[position])
                segment_ids.append(1)
            tokens.append("[SEP]")
            segment_ids.append(1)
            input_ids = [tokenizer.vocab[token] for token in tokens]
            input_mask = [1] * len(input_ids)
            while len(input_ids) < max_seq_length:
                for values in (input_ids, input_mask, segment_ids):
                    values.append(0)
            feature = {
                "unique_ids": [unique_id],
                "input_ids": input_ids,
                "input_mask": input_mask,
                "segment_ids": segment_ids,
            }
            if is_training:
                positions = (0, 0)
                if answer and answer[0] >= start and answer[1] < start + length:
                    positions = tuple(position - start + len(query) + 2 for position in answer)
                feature["start_positions"], feature["end_positions"] = ([value] for value in positions)
                feature["is_impossible"] = [int(example.is_impossible)]
            unique_id += 1
            yield feature


def write_features(path, examples, tokenizer, *sizes_and_is_training) -> int:
    """Write the features of examples to a TFRecord file and return their number; other arguments as `convert`."""
    count = 0
    with tf.io.TFRecordWriter(path) as writer:
        for feature in convert(examples, tokenizer, *sizes_and_is_training):
            lists = {
                key: tf.train.Feature(int64_list=tf.train.Int64List(value=list(values)))
                for key, values in feature.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=lists))
            writer.write(example.SerializeToString())
            count += 1
    return count

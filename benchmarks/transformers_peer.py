"""Hugging Face transformers on torch as a contender of `stages.py`, used as its own question answering example is."""

import functools
import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from ours import document_logits
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast
from transformers_nbest import choose_answers


class TransformersProgram:
    """The stages of a transformers program: fast tokenizer with overflow, padding to the batch's longest.

    Args:
      flags: of `stages.py`.
      sizes: keys of a `bert_config.json`.
      ours: an `OurProgram`, which has the questions, batches and logits.
    """

    def __init__(self, flags, sizes: dict, ours):
        self._flags = flags
        self._ours = ours
        self._config = BertConfig(**sizes)
        self._tokenizer = BertTokenizerFast(flags.vocab_file, do_lower_case=True)
        self._questions = [example.question_text for example in ours.in_order]
        self._contexts = [" ".join(example.doc_tokens) for example in ours.in_order]
        self._answers = [example.orig_answer_text for example in ours.in_order]

    def contenders(self, stage: str) -> dict[str, Callable[[], int]]:
        """Return what runs in a stage, by name: for the model both float32 and bfloat16 autocast."""
        if stage == "conversion":
            return {"transformers fast tokenizer": self._convert}
        if stage == "nbest":
            return self._nbest()
        make = {"training": self._training, "prediction": self._prediction}[stage]
        return {"transformers float32": make(False), "transformers bfloat16 autocast": make(True)}

    def _tokenize(self, seq_length: int):
        return self._tokenizer(
            self._questions,
            self._contexts,
            truncation="only_second",
            max_length=seq_length,
            stride=max(0, seq_length - self._flags.doc_stride - self._flags.max_query_length),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    def _convert(self) -> int:
        """Tokenize and find the answer positions, window by window."""
        encoded = self._tokenize(self._flags.train_seq_length)
        for window, offsets in enumerate(encoded["offset_mapping"]):
            question = encoded["overflow_to_sample_mapping"][window]
            sequence_ids = encoded.sequence_ids(window)
            answer = self._answers[question]
            start_char = self._contexts[question].find(answer)
            end_char = start_char + len(answer)
            first = sequence_ids.index(1)
            last = len(sequence_ids) - 1 - sequence_ids[::-1].index(1)
            if offsets[first][0] <= start_char and offsets[last][1] >= end_char:
                while first < len(offsets) and offsets[first][0] <= start_char:
                    first += 1
                while offsets[last][1] >= end_char:
                    last -= 1
        return len(encoded["offset_mapping"])

    @staticmethod
    def _without_padding(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
        longest = int(batch["input_mask"].sum(axis=1).max())
        names = {
            "input_ids": "input_ids",
            "attention_mask": "input_mask",
            "token_type_ids": "segment_ids",
        }
        return {
            theirs: torch.tensor(batch[name][:, :longest], dtype=torch.long) for theirs, name in names.items()
        }

    def _training(self, autocast: bool) -> Callable[[], int]:
        model = BertForQuestionAnswering(self._config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
        batches = []
        for batch in self._ours.train_batches:
            positions = {
                name: torch.tensor(batch[name], dtype=torch.long)
                for name in ("start_positions", "end_positions")
            }
            batches.append({**self._without_padding(batch), **positions})

        def turn() -> int:
            for batch in batches:
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    loss = model(**batch).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            return sum(len(batch["input_ids"]) for batch in batches)

        return turn

    def _prediction(self, autocast: bool) -> Callable[[], int]:
        model = BertForQuestionAnswering(self._config).eval()
        batches = list(map(self._without_padding, self._ours.predict_batches()))

        def turn() -> int:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                for batch in batches:
                    model(**batch)
            return sum(len(batch["input_ids"]) for batch in batches)

        return turn

    def _nbest(self) -> dict[str, Callable[[], int]]:
        """Answers chosen as its example script does, from lists and, as there, from a `datasets.Dataset`."""
        encoded = self._tokenize(self._flags.predict_seq_length)
        example_ids = [str(number) for number in encoded["overflow_to_sample_mapping"]]
        windows: dict[str, list] = {"example_id": example_ids, "offset_mapping": []}
        rng = np.random.default_rng(1)
        logits = []
        for window, mapping in enumerate(encoded["offset_mapping"]):
            is_document = [of == 1 for of in encoded.sequence_ids(window)]
            windows["offset_mapping"].append(
                [pair if inside else None for pair, inside in zip(mapping, is_document, strict=True)]
            )
            positions = np.flatnonzero(is_document).tolist()
            logits.append(document_logits(rng, self._flags.predict_seq_length, positions))
        start_logits, end_logits = np.stack(logits, axis=1)
        examples = [{"id": str(number), "context": context} for number, context in enumerate(self._contexts)]
        rows = [dict(zip(windows, row, strict=True)) for row in zip(*windows.values(), strict=True)]
        contenders = {"transformers' way": rows}
        if importlib.util.find_spec("datasets"):
            from datasets import Dataset

            contenders["transformers' way, datasets"] = Dataset.from_dict({**encoded, **windows})
        return {
            name: functools.partial(choose_answers, examples, features, start_logits, end_logits)
            for name, features in contenders.items()
        }

"""Hugging Face transformers on torch as a contender of `stages.py`, used as its own example is."""

from collections.abc import Callable

import torch
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast


class TransformersProgram:
    """The stages of a transformers program: fast tokenizer with overflow, padding to the batch's longest.

    Args:
      sizes: keys of a `bert_config.json`.
      examples: the questions, as `read_squad_examples` gives them.
    """

    def __init__(self, flags, sizes: dict, examples: list):
        self._flags = flags
        self._config = BertConfig(**sizes)
        self._tokenizer = BertTokenizerFast(flags.vocab_file, do_lower_case=True)
        self._questions = [example.question_text for example in examples]
        self._contexts = [" ".join(example.doc_tokens) for example in examples]
        self._answers = [example.orig_answer_text for example in examples]

    def contenders(self, stage: str) -> dict[str, Callable[[], int]]:
        """Return what runs in a stage, by name: for the model both float32 and bfloat16 autocast."""
        if stage == "conversion":
            return {"transformers fast tokenizer": self._convert}
        make = {"training": self._training, "prediction": self._prediction}[stage]
        return {"transformers float32": make(False), "transformers bfloat16 autocast": make(True)}

    def _tokenize(self):
        flags = self._flags
        return self._tokenizer(
            self._questions,
            self._contexts,
            truncation="only_second",
            max_length=flags.max_seq_length,
            stride=max(0, flags.max_seq_length - flags.doc_stride - flags.max_query_length),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )

    def _convert(self) -> int:
        """Tokenize and find the answer positions, window by window."""
        encoded = self._tokenize()
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

    def _batches(self, size: int) -> list[dict[str, torch.Tensor]]:
        encoded = self._tokenize()
        names = ("input_ids", "attention_mask", "token_type_ids")
        windows = [{name: encoded[name][i] for name in names} for i in range(len(encoded["input_ids"]))]
        count = self._flags.batches
        return [
            dict(self._tokenizer.pad(windows[i * size : (i + 1) * size], return_tensors="pt"))
            for i in range(count)
        ]

    def _training(self, autocast: bool) -> Callable[[], int]:
        size = self._flags.train_batch_size
        model = BertForQuestionAnswering(self._config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
        batches = self._batches(size)

        def turn() -> int:
            for batch in batches:
                positions = torch.zeros(len(batch["input_ids"]), dtype=torch.long)
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    loss = model(**batch, start_positions=positions, end_positions=positions).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            return sum(len(batch["input_ids"]) for batch in batches)

        return turn

    def _prediction(self, autocast: bool) -> Callable[[], int]:
        model = BertForQuestionAnswering(self._config).eval()
        batches = self._batches(self._flags.predict_batch_size)

        def turn() -> int:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                for batch in batches:
                    model(**batch)
            return sum(len(batch["input_ids"]) for batch in batches)

        return turn

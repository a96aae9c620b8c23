"""Answer questions about a passage with BERT: Google's `run_squad.py`, in TensorFlow 2 and Keras.

The names below are stable. Each is imported when it is first used, so that `import bert_squad` is quick and
the text, data and answer modules work on a machine without TensorFlow.
"""

import importlib

_HOMES = {
    "BertConfig": "bert_squad.bert_config",
    "SquadConfig": "bert_squad.config",
    "FullTokenizer": "bert_squad.text.tokenization",
    "get_final_text": "bert_squad.text.alignment",
    "read_squad_examples": "bert_squad.data.examples",
    "convert_examples_to_features": "bert_squad.data.features",
    "WindowLengths": "bert_squad.data.windows",
    "write_features": "bert_squad.data.records",
    "train_batches": "bert_squad.data.batches",
    "predict_batches": "bert_squad.data.batches",
    "BertForSquad": "bert_squad.model.squad_model",
    "span_loss": "bert_squad.model.span_head",
    "load_checkpoint": "bert_squad.checkpoints.loading",
    "save_tf1_checkpoint": "bert_squad.checkpoints.tf1_writing",
    "AdamWeightDecay": "bert_squad.training.optimizer",
    "make_train_step": "bert_squad.training.loop",
    "RawResult": "bert_squad.answers.raw_results",
    "make_predictor": "bert_squad.answers.prediction",
    "compute_predictions": "bert_squad.answers.nbest",
    "evaluate": "bert_squad.answers.metrics",
    "export_model": "bert_squad.serving.export",
    "ExportedModel": "bert_squad.serving.asking",
    "run": "bert_squad.pipeline",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

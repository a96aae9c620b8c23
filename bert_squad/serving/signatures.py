"""The signatures of an exported model: the functions that a server offers under their names.

serving_default            input_ids, input_mask, segment_ids [B, S] → start_logits, end_logits [B, S]
serving_unique_ids         the same, and unique_ids [B], which comes back
serving_default_int64, serving_unique_ids_int64
                           the same with int64 inputs: a signature has one type, and clients have two
serving_examples           examples [B], serialized tf.Examples with the keys of the record files
answer                     question [B], context [B], strings → the answers
answer_fast                the same, without padding (see `TextModel`)

With `--export_signatures=features` there are only those that begin with `serving_`, and no operation in the graph is of
another library than TensorFlow. Nor does a shape in it depend on what is padding: converters do not follow that.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from bert_squad.answers.nbest import NbestOptions
from bert_squad.bert_config import BertConfig
from bert_squad.config import SquadConfig
from bert_squad.data.windows import WindowLengths
from bert_squad.model.squad_model import BertForSquad
from bert_squad.serving.graph_checks import checked, feature_checks
from bert_squad.serving.graph_tokenizer import GraphTokenizer
from bert_squad.serving.graph_windows import WindowLayout
from bert_squad.serving.text_model import ScoreFunction, TextModel
from bert_squad.text.tokenization import CLASSIFICATION, SEPARATOR, FullTokenizer

FEATURES = ("input_ids", "input_mask", "segment_ids")
UNIQUE_IDS = "unique_ids"
NO_UNIQUE_ID = -1
"""Comes back for a tf.Example without `unique_ids`."""

# Without padding, the fewer windows in a step, the more alike their lengths: MiniLM answered 32 questions of XQuAD dev
# in three quarters of the time with 4 in a step as with 16, on a CPU. With padding their number made no difference.
_STEPS: dict[str, dict] = {
    "answer": {"pads_windows": True, "windows_per_step": 16},
    "answer_fast": {"pads_windows": False, "windows_per_step": 4},
}


class ServedModel(tf.Module):
    """A model with its signatures, ready to be saved.

    Args:
      model: the model, with its weights loaded.
      config: the run, whose lengths, n-best size and threshold are built in.
      bert_config: describes the model.
      tokenizer: the run's tokenizer.
      signatures: one of `EXPORT_SIGNATURES`.

    Attributes:
      functions: name → signature, as `tf.saved_model.save` wants them.
    """

    def __init__(
        self,
        model: BertForSquad,
        config: SquadConfig,
        bert_config: BertConfig,
        tokenizer: FullTokenizer,
        signatures: str = "all",
    ):
        super().__init__()
        # The variables alone, not the Keras model: it would save a traced function of each layer beside them.
        self.weights = list(model.weights)
        self._bert_config = bert_config
        self._score = _traced_once(model, is_converted=signatures == "features")
        self.functions = {
            "serving_default": self._feature_signature(tf.int32),
            "serving_unique_ids": self._feature_signature(tf.int32, with_unique_ids=True),
            "serving_default_int64": self._feature_signature(tf.int64),
            "serving_unique_ids_int64": self._feature_signature(tf.int64, with_unique_ids=True),
            "serving_examples": self._example_signature(),
        }
        if signatures == "all":
            self.functions.update(self._answer_signatures(config, tokenizer))

    def _answer_signatures(self, config: SquadConfig, tokenizer: FullTokenizer) -> dict[str, Callable]:
        graph_tokenizer = GraphTokenizer(tokenizer)
        self.vocab_table = graph_tokenizer.vocab_table
        # The graph counts in int32. No step and no answer is longer than a window, whatever the flags say.
        layout = WindowLayout(
            WindowLengths(
                config.max_seq_length, min(config.doc_stride, config.max_seq_length), config.max_query_length
            ),
            classification_id=tokenizer.vocab[CLASSIFICATION],
            separator_id=tokenizer.vocab[SEPARATOR],
        )
        options = NbestOptions(
            n_best_size=min(config.n_best_size, tf.int32.max),
            max_answer_length=min(config.max_answer_length, config.max_seq_length),
            do_lower_case=config.do_lower_case,
            version_2_with_negative=config.version_2_with_negative,
            null_score_diff_threshold=config.null_score_diff_threshold,
        )
        return {
            name: _answer_signature(TextModel(graph_tokenizer, layout, self._score, options, **step_options))
            for name, step_options in _STEPS.items()
        }

    def _feature_signature(self, dtype: tf.DType, with_unique_ids: bool = False) -> Callable:
        shapes = {name: [None, None] for name in FEATURES}
        if with_unique_ids:
            shapes[UNIQUE_IDS] = [None]

        def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            checks = self._feature_checks(inputs)
            if with_unique_ids:
                checks["there must be as many unique_ids as sequences"] = (
                    tf.size(inputs[UNIQUE_IDS]) == tf.shape(inputs[FEATURES[0]])[0]
                )
            inputs = checked(inputs, checks)
            outputs = self._logits(inputs)
            return {**outputs, UNIQUE_IDS: inputs[UNIQUE_IDS]} if with_unique_ids else outputs

        specs = {name: tf.TensorSpec(shape, dtype, name) for name, shape in shapes.items()}
        return tf.function(serve, autograph=False).get_concrete_function(**specs)

    def _example_signature(self) -> Callable:
        # Of any length, so that records of several lengths can share a batch; they are padded here.
        spec = {name: tf.io.RaggedFeature(tf.int64) for name in FEATURES}
        spec[UNIQUE_IDS] = tf.io.FixedLenFeature([], tf.int64, default_value=NO_UNIQUE_ID)

        def serve(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            parsed = tf.io.parse_example(examples, spec)
            unique_ids = parsed.pop(UNIQUE_IDS)
            splits = [parsed[name].row_splits for name in FEATURES]
            is_equally_long = tf.reduce_all((splits[0] == splits[1]) & (splits[0] == splits[2]))
            values = checked(
                {name: ragged.values for name, ragged in parsed.items()},
                {
                    "input_ids, input_mask and segment_ids of a tf.Example differ in length": is_equally_long,
                    "a tf.Example has no input_ids": tf.reduce_all(splits[0][1:] > splits[0][:-1]),
                },
            )
            padded = {name: ragged.with_values(values[name]).to_tensor() for name, ragged in parsed.items()}
            padded = checked(padded, self._feature_checks(padded))
            return {**self._logits(padded), UNIQUE_IDS: unique_ids}

        return tf.function(serve, autograph=False).get_concrete_function(
            tf.TensorSpec([None], tf.string, "examples")
        )

    def _feature_checks(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return feature_checks(
            *(inputs[name] for name in FEATURES),
            max_length=self._bert_config.max_position_embeddings,
            vocab_size=self._bert_config.vocab_size,
            # LEGACY: a model that knows one segment takes two; the second adds nothing.
            num_segments=max(2, self._bert_config.type_vocab_size),
        )

    def _logits(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        start_logits, end_logits = self._score({name: tf.cast(inputs[name], tf.int32) for name in FEATURES})
        return {"start_logits": start_logits, "end_logits": end_logits}


def _traced_once(model: BertForSquad, is_converted: bool) -> ScoreFunction:
    """Return the model as one function, which all signatures call, instead of a copy of it in each."""
    spec = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[dict.fromkeys(FEATURES, spec)], autograph=False)
    def score(features: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        return model(features, training=False, keeps_rank=is_converted)

    return score


def _answer_signature(text_model: TextModel) -> Callable:
    def serve(question: tf.Tensor, context: tf.Tensor) -> dict[str, tf.Tensor]:
        is_paired = tf.size(question) == tf.size(context)
        texts = checked(
            {"question": question, "context": context},
            {"there must be as many contexts as questions": is_paired},
        )
        return text_model.answer(**texts)

    texts = tf.TensorSpec([None], tf.string)
    return tf.function(serve, autograph=False).get_concrete_function(question=texts, context=texts)

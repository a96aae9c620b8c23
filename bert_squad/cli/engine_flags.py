"""The flags of `ask` and `answer` that say how an exported model is asked."""

from typing import Any

from absl import flags

from bert_squad.serving.asking import check_engine

USAGE = """\
  --[no]fast: do not pad windows: quicker, and answers low in the n-best list may differ.
  --engine: what computes: tensorflow (default); or openvino, often quicker on CPUs, which never pads windows, and
      also takes what `quantize` writes; it needs: pip install 'bert-squad[openvino]'.
  --dtype: type of matrix products, with --engine=openvino only: float32 (default) or bfloat16."""


def define_engine_flags(flag_values: flags.FlagValues) -> None:
    """Define the flags that `USAGE` describes."""
    flags.DEFINE_boolean("fast", None, "Do not pad windows.", flag_values=flag_values)
    flags.DEFINE_string("engine", "tensorflow", "What computes.", flag_values=flag_values)
    flags.DEFINE_string("dtype", None, "Type of matrix products.", flag_values=flag_values)


def engine_options(flag_values: flags.FlagValues) -> dict[str, Any]:
    """Return the arguments `signature`, `engine` and `dtype` of `ExportedModel`.

    Raises:
      ConfigError: when they do not go together.
    """
    engine, dtype, fast = (flag_values[name].value for name in ("engine", "dtype", "fast"))
    is_fast = fast or (fast is None and engine == "openvino")
    options = {"signature": "answer_fast" if is_fast else "answer", "engine": engine, "dtype": dtype}
    check_engine(**options)
    return options

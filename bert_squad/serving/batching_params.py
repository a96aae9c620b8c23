"""How TF Serving may answer requests together, as a file in the version.

With `--enable_batching --enable_per_model_batching_parameters` the server lays requests that wait end to end, runs the
signature once and cuts the outputs apart. It reads the file `batching_params.pbtxt` in the version's directory; a model
without one is not batched, and one whose file it cannot parse does not load. So there are only fields in it that all
servers know.

Source: tensorflow/serving, servables/tensorflow/bundle_factory_util.cc and session_bundle_config.proto.
"""

from bert_squad import files

BATCHING_PARAMS = "batching_params.pbtxt"

_TEXT = """\
# How TF Serving answers requests together, with --enable_batching --enable_per_model_batching_parameters.

# A request of more questions than this is refused (INVALID_ARGUMENT). It is the limit of a batch too.
max_batch_size { value: 128 }

# Do not wait for others while a thread is free: what comes while all are busy is a batch when one is.
batch_timeout_micros { value: 0 }

# Batches that may wait; what comes then is refused (UNAVAILABLE).
max_enqueued_batches { value: 10 }

# The server would pad features with their first value, which makes of [CLS] and a mask of 1 words that are none. So
# requests for features that share a batch must have one length, else all of them are refused (FAILED_PRECONDITION).
pad_variable_length_inputs: false

# No allowed_batch_sizes: the server would fill up a batch with a question that it holds, and answer that several times.
# The number of threads (num_batch_threads) is the whole server's: --batching_parameters_file has it.
"""


def write_batching_params(model_dir: str) -> None:
    """Write the file to a SavedModel.

    Raises:
      OSError: when it cannot be written.
    """
    files.write_bytes(files.join(model_dir, BATCHING_PARAMS), _TEXT.encode())

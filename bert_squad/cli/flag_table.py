"""Every flag of the program, and what --help says of it; types and defaults are those of `SquadConfig`."""

LEGACY_GROUP = "Flags of the legacy run_squad.py"
NEW_GROUP = "New flags"

LEGACY_FLAGS = (  # (name, help), in the legacy order
    (
        "bert_config_file",
        "JSON file that describes the pre-trained model (bert_config.json). Required, but see --init_checkpoint.",
    ),
    (
        "vocab_file",
        "Vocabulary of the model, one WordPiece a line. Required, but see --init_checkpoint.",
    ),
    ("output_dir", "Directory for checkpoints, records and predictions. Required."),
    (
        "train_file",
        "SQuAD JSON file to train on, e.g. train-v1.1.json. Rows as JSON lines or Parquet, MRQA's files, gzipped ones, "
        "a directory, a pattern and a list with commas work too.",
    ),
    (
        "predict_file",
        "SQuAD JSON file to answer, e.g. dev-v1.1.json or test-v1.1.json; else as --train_file.",
    ),
    (
        "init_checkpoint",
        "Checkpoint to start from, usually a pre-trained BERT model: TF1, TF2 (Model Garden) or Hugging Face. A "
        "Hugging Face directory brings its own configuration and vocabulary.",
    ),
    ("do_lower_case", "Lower-case the text: true for uncased models, false for cased ones."),
    ("max_seq_length", "Longest input sequence, in WordPieces; longer passages are cut into windows."),
    ("doc_stride", "WordPieces from the start of one window of a passage to the start of the next."),
    ("max_query_length", "Longest question, in WordPieces; the rest is cut off."),
    ("do_train", "Train on --train_file."),
    ("do_predict", "Answer the questions of --predict_file."),
    ("train_batch_size", "Windows in a training batch."),
    ("predict_batch_size", "Windows in a prediction batch."),
    ("learning_rate", "Peak learning rate of Adam."),
    ("num_train_epochs", "Passes over the training questions."),
    (
        "warmup_proportion",
        "Share of the steps with a linearly rising learning rate; 0.1 is 10 percent.",
    ),
    ("save_checkpoints_steps", "Steps from one checkpoint to the next."),
    ("iterations_per_loop", "Steps that a TPU does before it hands back to the program."),
    ("n_best_size", "Answers kept for each question in nbest_predictions.json."),
    ("max_answer_length", "Longest answer, in WordPieces."),
    ("use_tpu", "Run on a TPU; the same as --distribution_strategy=tpu."),
    ("tpu_name", "Name of the Cloud TPU; local on the TPU's own machine."),
    ("tpu_zone", "Zone of the Cloud TPU; default: found in the metadata of the machine."),
    ("gcp_project", "Project of the Cloud TPU; default: found in the metadata of the machine."),
    ("master", "Address of the TPU, such as grpc://10.0.0.2:8470, instead of --tpu_name."),
    ("num_tpu_cores", "Cores of the TPU to use."),
    ("verbose_logging", "Log why an answer could not be traced back to the passage, and more."),
    ("version_2_with_negative", "Expect questions without an answer, as in SQuAD 2.0."),
    (
        "null_score_diff_threshold",
        "Answer nothing when the null score minus the best answer's exceeds this (SQuAD 2.0).",
    ),
)

NEW_FLAGS = (
    ("seed", "Seed of initial weights, shuffling and dropout."),
    ("do_eval", "Score the predictions with the official SQuAD metrics (with --do_predict)."),
    ("allow_random_weights", "Predict although there is no checkpoint, with random weights."),
    (
        "allow_changed_run",
        "Go on with what was trained with another vocabulary, number of attention heads or activation.",
    ),
    ("do_export", "Export a SavedModel for TF Serving, of the latest checkpoint."),
    ("export_dir", "Directory of exported versions; default: export in --output_dir."),
    ("export_dtype", "Type of the exported weights: float32, or bfloat16 for half the size."),
    (
        "export_signatures",
        "What an export can be asked: all, or features only, which needs no TensorFlow Text and converts to ONNX.",
    ),
    ("keep_checkpoint_max", "Checkpoints to keep in --output_dir; older ones are deleted."),
    ("log_file", "Write the log to the end of this file, too."),
    (
        "summary_steps",
        "Steps from one point of the curves for TensorBoard to the next, which are in --output_dir; 0: no curves.",
    ),
    (
        "trainable",
        "Train the variables in whose legacy names this regular expression is found, and freeze the others; ^cls/ is "
        "the span head. Default: all.",
    ),
    (
        "layerwise_lr_decay",
        "Multiply the learning rate by this once more for each layer further from the span head, as ELECTRA does with "
        "0.8; 1: the same rate everywhere.",
    ),
    (
        "max_train_questions",
        "Train on the first so many questions of --train_file, those that are left out not counted; 0: all.",
    ),
    (
        "max_predict_questions",
        "Answer, and score, the first so many questions of --predict_file; 0: all.",
    ),
    (
        "eval_steps",
        "Answer and score --predict_file whenever so many training steps more are done, and after the last one; the "
        "best checkpoint is kept in best in --output_dir. 0: never.",
    ),
    (
        "eval_max_questions",
        "With --eval_steps, score so many questions at most, spread evenly over the file; 0: all.",
    ),
    ("best_metric", "What the best checkpoint is chosen by: f1, exact or best_f1 (SQuAD 2.0)."),
    (
        "early_stopping_evals",
        "End the training when so many evaluations in a row brought nothing better; 0: never.",
    ),
    (
        "tune_null_threshold",
        "With --do_predict of SQuAD 2.0, find the threshold of the best F1 on --predict_file, apply it, and keep it in "
        "--output_dir for later predictions and exports.",
    ),
    (
        "use_tuned_threshold",
        "Use the threshold that --tune_null_threshold has kept; false when --null_score_diff_threshold is given.",
    ),
    (
        "write_offsets",
        "With --do_predict, also write predictions_offsets.json: where each answer is in its passage, in characters.",
    ),
    ("use_best", "Predict with, and export, the best checkpoint in place of the latest."),
    (
        "fast",
        "Use what is fastest on this device: sets those of the next three flags that are not given. The log says what "
        "was chosen; numbers change a little.",
    ),
    (
        "dtype",
        "Type of matrix products and attention: float32, bfloat16, float16, or tensorfloat32, the fast float32 of "
        "NVIDIA's GPUs; default: float32.",
    ),
    (
        "pad_to",
        "max: windows are padded to --max_seq_length; batch: to the longest of their batch, and padding counts for "
        "nothing; default: max.",
    ),
    ("jit_compile", "Compile whole steps with XLA, for GPUs; default: false."),
    (
        "engine",
        "What computes predictions: tensorflow, or openvino, often quicker on CPUs (pip install "
        "'bert-squad[openvino]'). The latter pads no window, so answers low in the n-best list may differ.",
    ),
    (
        "engine_model",
        "Predict with this model instead of a checkpoint: what --do_export or `bert-squad quantize` wrote; with "
        "--engine=openvino.",
    ),
    (
        "gradient_accumulation_steps",
        "Compute each training batch in so many parts, one after the other: less memory, and the same numbers but for "
        "rounding.",
    ),
    (
        "recompute",
        "Compute the layers of the encoder once more in the backward pass of training: less memory, more time, and the "
        "same numbers.",
    ),
    (
        "distribution_strategy",
        "Share each batch among devices: one_device (no sharing), mirrored (all GPUs of this machine), multi_worker "
        "(the machines that TF_CONFIG names) or tpu. The numbers are the same but for rounding.",
    ),
    ("num_logical_devices", "Cut the CPU into so many devices, to try mirrored without GPUs."),
    (
        "cluster_timeout",
        "Seconds that multi_worker waits for a worker that does not start, or no longer answers, before it ends.",
    ),
    (
        "on_bad_question",
        "What happens in training with a question that cannot be trained on, such as one whose answer lies outside of "
        "its passage: error, or skip, to leave it out and count it.",
    ),
    (
        "several_answers",
        "What happens in training with a question that has several answers: error, or first, to train on the first.",
    ),
)

TPU_FLAGS = ("iterations_per_loop", "tpu_name", "tpu_zone", "gcp_project", "master", "num_tpu_cores")
"""They say something about a TPU only."""

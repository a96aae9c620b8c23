"""What the legacy program was given in each case of goldens/features."""

from golden_files import golden, golden_input, read_json

from bert_squad.data.examples import SquadExample, read_squad_examples, shuffle_examples


def feature_case(case: str) -> tuple[dict, list[SquadExample], list]:
    """Return the flags of a case, its examples as they are converted, and the arguments behind the tokenizer."""
    flags = read_json(golden(f"features/{case}/flags.json"))
    examples = read_squad_examples(
        str(golden_input(flags["dataset"])),
        flags["is_training"],
        version_2_with_negative=flags["version_2_with_negative"],
    )
    if flags["shuffle_seed"]:
        shuffle_examples(examples)
    sizes = [flags[name] for name in ("max_seq_length", "doc_stride", "max_query_length", "is_training")]
    return flags, examples, sizes

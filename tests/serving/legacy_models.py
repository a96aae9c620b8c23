"""The two tiny models that the legacy script trained (goldens/model/legacy_run), ready to be exported."""

from pathlib import Path
from typing import NamedTuple

from golden_files import golden, read_json

from bert_squad.bert_config import BertConfig
from bert_squad.checkpoints.loading import load_checkpoint
from bert_squad.config import SquadConfig
from bert_squad.model.squad_model import BertForSquad
from bert_squad.serving.export import export_model
from bert_squad.text.tokenization import FullTokenizer

LAST_STEP = {"v1": 24, "v2": 33}
THRESHOLD = (
    9.955  # of goldens/model/legacy_run/v2/predict_only_threshold: some answers are empty, some are not
)
METRICS = {"exact_match": 12.5, "f1": 25.0}


class LegacyModel(NamedTuple):
    folder: Path
    model: BertForSquad
    config: SquadConfig
    bert_config: BertConfig
    tokenizer: FullTokenizer

    def export(self, export_dir: Path, **options) -> str:
        return export_model(
            self.model, self.config, self.bert_config, self.tokenizer, METRICS, str(export_dir), **options
        )


class Exported(NamedTuple):
    """A model, exported, and where it comes from."""

    path: str
    legacy: LegacyModel


def legacy_model(version: str) -> LegacyModel:
    folder = golden(f"model/legacy_run/{version}")
    checkpoint = golden(f"model/legacy_run/{version}/output/model.ckpt-{LAST_STEP[version]}.index")
    bert_config = BertConfig.from_json_file(str(folder / "bert_config.json"))
    model = BertForSquad(bert_config)
    load_checkpoint(model, str(checkpoint).removesuffix(".index"))
    config = SquadConfig(
        bert_config_file=str(folder / "bert_config.json"),
        vocab_file=str(folder / "vocab.txt"),
        output_dir="unused",
        max_seq_length=64,
        doc_stride=24,
        max_query_length=16,
        version_2_with_negative=version == "v2",
        null_score_diff_threshold=THRESHOLD if version == "v2" else 0.0,
    )
    return LegacyModel(folder, model, config, bert_config, FullTokenizer(config.vocab_file))


def questions_of(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Return the ids, questions and contexts of a SQuAD file."""
    rows = [
        (str(qa["id"]), qa["question"], paragraph["context"])
        for article in read_json(path)["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
    ids, questions, contexts = map(list, zip(*rows, strict=True))
    return ids, questions, contexts

"""Fine-tune BERT on SQuAD: the legacy entry point, with the legacy flags. See README.md."""

from bert_squad.cli.start import console

if __name__ == "__main__":
    console()

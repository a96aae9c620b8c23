"""`python -m bert_squad` is the same as the console command `bert-squad`."""

from bert_squad.cli.start import console

console()

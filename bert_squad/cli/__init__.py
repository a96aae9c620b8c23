"""The command line: `run_squad.py` and `bert-squad`."""

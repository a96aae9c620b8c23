"""Run the program and print, as the last line, which modules it had imported by its end."""

import sys

from bert_squad.cli.main import main

if __name__ == "__main__":
    code = main(["run_squad.py", *sys.argv[1:]])
    print(" ".join(sorted(sys.modules)))
    sys.exit(code)

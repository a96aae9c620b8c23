#!/bin/sh
# Make a virtual environment with what requirements.lock lists: tools/make_venv.sh PYTHON DIRECTORY
# Before anything is downloaded, one sentence says what is missing.
set -eu
python=$1
venv=$2
needed_kb=4500000 # 3.6 GB when installed, and the largest download beside it

fail() {
  echo "bert_squad: $*" >&2
  exit 1
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

is_taken() { case $1 in 3.11 | 3.12 | 3.13) return 0 ;; *) return 1 ;; esac; }

find_another() {
  for candidate in python3.12 python3.13 python3.11 \
    "$HOME"/.pyenv/versions/3.1[123].*/bin/python; do
    path=$(command -v "$candidate" 2>/dev/null) || continue
    if is_taken "$(version_of "$path")"; then
      echo "$path"
      return
    fi
  done
}

command -v "$python" >/dev/null 2>&1 || fail "there is no $python here; install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python3"
version=$(version_of "$python")
if ! is_taken "$version"; then
  other=$(find_another)
  if [ -n "$other" ]; then advice="there is $other: make PYTHON=$other"; else advice="install one, and name it: make PYTHON=/path/to/python3.12"; fi
  fail "Python 3.11, 3.12 or 3.13 is needed, and $python is ${version:-no Python}; $advice"
fi
case "$(uname -s) $(uname -m)" in
"Linux x86_64" | "Linux aarch64" | "Darwin arm64") ;;
*) fail "TensorFlow Text has packages for Linux on x86_64 and aarch64 and for macOS on ARM, none for $(uname -s) on $(uname -m)" ;;
esac
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "$python cannot make virtual environments; on Debian and Ubuntu: apt-get install python$version-venv"
parent=$(dirname "$venv")
mkdir -p "$parent"
free_kb=$(df -Pk "$parent" | awk 'NR == 2 { print $4 }')
[ "$free_kb" -ge "$needed_kb" ] ||
  fail "$parent has $((free_kb / 1000)) MB free, and the environment takes some $((needed_kb / 1000)); make room, or name another place: make VENV=/path"

"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.lock
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --editable .

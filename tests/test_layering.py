"""The order of the rooms: a module imports only what stands before its own room.

Also what works without TensorFlow, and who opens paths.
"""

import ast
import subprocess
import sys

import pytest
from program import ROOT, environment

# From the ground up; a room may import itself and whatever is above it in this list.
ROOMS = [
    "errors",
    "activity",
    "progress",
    "files",
    "links",
    "whole_files",
    "json_files",
    "data_files",
    "locks",
    "interruption",
    "values",
    "bert_config",
    "config",
    "compute_options",
    "devices",
    "run_record",
    "text",
    "data",
    "model",
    "checkpoints",
    "training",
    "answers",
    "serving",
    "bulk",
    "explain",
    "report",
    "run_parts",
    "pipeline",
    "other_uses",
    "cli",
]

WITHOUT_TENSORFLOW = [
    "bert_squad",
    "bert_squad.errors",
    "bert_squad.activity",
    "bert_squad.progress",
    "bert_squad.files",
    "bert_squad.links",
    "bert_squad.whole_files",
    "bert_squad.json_files",
    "bert_squad.data_files",
    "bert_squad.locks",
    "bert_squad.interruption",
    "bert_squad.run_record",
    "bert_squad.values",
    "bert_squad.bert_config",
    "bert_squad.config",
    "bert_squad.compute_options",
    "bert_squad.devices.cluster",
    "bert_squad.devices.peers",
    "bert_squad.text.tokenization",
    "bert_squad.text.alignment",
    "bert_squad.data.sources",
    "bert_squad.data.checking",
    "bert_squad.data.conversion",
    "bert_squad.data.examples",
    "bert_squad.data.doc_spans",
    "bert_squad.data.features",
    "bert_squad.data.records",
    "bert_squad.answers.nbest",
    "bert_squad.answers.metrics",
    "bert_squad.answers.ensemble",
    "bert_squad.answers.prediction_files",
    "bert_squad.answers.candidates",
    "bert_squad.answers.span_texts",
    "bert_squad.answers.raw_results",
    "bert_squad.answers.metrics_input",
    "bert_squad.data.passages",
    "bert_squad.data.windows",
    "bert_squad.checkpoints.names",
    "bert_squad.checkpoints.reader",
    "bert_squad.checkpoints.huggingface",
    "bert_squad.checkpoints.model_files",
    "bert_squad.serving.asking",
    "bert_squad.serving.export_settings",
    "bert_squad.serving.openvino_answers",
    "bert_squad.serving.openvino_engine",
    "bert_squad.serving.quantization",
    "bert_squad.serving.versions",
    "bert_squad.bulk.beam",
    "bert_squad.bulk.rows",
    "bert_squad.explain.explaining",
    "bert_squad.explain.loading",
    "bert_squad.explain.page",
    "bert_squad.explain.picture",
    "bert_squad.explain.words",
    "bert_squad.report.page",
    "bert_squad.report.report",
    "bert_squad.cli.answer",
    "bert_squad.cli.data",
    "bert_squad.cli.ask",
    "bert_squad.cli.engine_flags",
    "bert_squad.cli.quantize",
    "bert_squad.cli.ensemble",
    "bert_squad.cli.evaluate",
    "bert_squad.cli.explain",
    "bert_squad.cli.flags",
    "bert_squad.cli.main",
    "bert_squad.cli.report",
    "bert_squad.cli.streams",
]


def modules():
    return sorted((ROOT / "bert_squad").rglob("*.py"))


def room_of(module: str) -> str:
    return module.split(".")[1]


def imported_modules(path):
    """Yield the bert_squad modules that a file imports, inside its functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if name.startswith("bert_squad."))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_rooms_before_it(path):
    relative = path.relative_to(ROOT / "bert_squad").with_suffix("")
    if len(relative.parts) == 1 and relative.name in ("__init__", "__main__"):
        return  # the public names come from every room
    own = ROOMS.index(relative.parts[0])
    for imported in imported_modules(path):
        assert ROOMS.index(room_of(imported)) <= own, f"{relative} must not import {imported}"


def test_the_layering_test_sees_imports(tmp_path):
    source = tmp_path / "sample.py"
    source.write_text("def f():\n    from bert_squad.cli import main\nimport bert_squad.files\n")
    assert set(imported_modules(source)) == {"bert_squad.cli.main", "bert_squad.files"}


def test_works_without_tensorflow():
    code = "\n".join(
        [
            "import sys",
            "sys.modules['tensorflow'] = None",
            *(f"import {module}" for module in WITHOUT_TENSORFLOW),
            "assert not any(name.split('.')[0] in ('tf_keras', 'keras') for name in sys.modules)",
        ]
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())


# Who opens, lists, moves and deletes paths, and why; libraries that are given a path do that by themselves.
OPENS_PATHS = {
    "files.py": "is what all others use",
    "links.py": "makes links, in a temporary folder of its own",
    "whole_files.py": "creates temporary files that nobody can foresee, and locks them by their descriptors",
    "locks.py": "holds a lock for as long as a descriptor is open",
    "cli/streams.py": "opens /dev/null in the place of a standard stream that is closed",
}
OF_BUILTINS = {"open"}
OF_OS = {
    *(
        "open",
        "fdopen",
        "listdir",
        "scandir",
        "walk",
        "mkdir",
        "makedirs",
        "rename",
        "replace",
        "remove",
        "unlink",
    ),
    *("rmdir", "link", "symlink", "truncate"),
}
OF_PATHLIB = {"read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "unlink", "touch", "rglob"}
OF_TENSORFLOW = {"gfile", "GFile"}
MODULES = {"tempfile", "shutil", "glob", "pathlib", "fileinput"}


def opened_paths(path):
    """Yield what a module does to paths by itself, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = set()
        if isinstance(node, ast.Name) and node.id in OF_BUILTINS:
            names = {node.id}
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner == "files":
                names = {node.attr} & OF_TENSORFLOW
            else:
                names = {node.attr} & (
                    OF_PATHLIB | OF_TENSORFLOW | (OF_OS if owner in ("os", "io") else set())
                )
        elif isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported = {alias.name for alias in node.names}
            names = {node.module.split(".")[0]} & MODULES
            names |= imported & OF_OS if node.module in ("os", "io") else set()
        yield from (f"line {getattr(node, 'lineno', 0)}: {name}" for name in names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_files_opens_paths(path):
    relative = str(path.relative_to(ROOT / "bert_squad"))
    found = list(opened_paths(path))
    if relative in OPENS_PATHS:
        assert found, f"{relative} needs no exception any more"
    else:
        assert found == [], f"{relative} must reach paths through bert_squad.files"


@pytest.mark.parametrize(
    "line",
    [
        "with open('x') as reader: pass",
        "read = open",
        "import os; os.rename('a', 'b')",
        "from os import listdir",
        "import io; io.open('x')",
        "import tempfile",
        "from pathlib import Path",
        "def f(path): return path.read_text()",
        "import tensorflow as tf; tf.io.gfile.exists('x')",
        "from bert_squad import files; files.gfile().glob('x')",
    ],
)
def test_the_test_of_who_opens_paths_sees_them(tmp_path, line):
    source = tmp_path / "sample.py"
    source.write_text(f"{line}\n")
    assert list(opened_paths(source))


def test_the_test_of_who_opens_paths_lets_files_read(tmp_path):
    source = tmp_path / "sample.py"
    source.write_text("from bert_squad import files\ncontent = files.read_bytes('x').replace(b'a', b'')\n")
    assert list(opened_paths(source)) == []


def test_no_import_sets_up_the_devices():
    """Whoever wants logical devices, or a fork, has to be first to use TensorFlow."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in modules() if path.name != "__main__.py")
    imports = [f"import {'.'.join(path.parts).removesuffix('.__init__')}" for path in paths]
    code = [*imports, "import tensorflow as tf", "tf.config.threading.set_inter_op_parallelism_threads(2)"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

"""Damaged exports: each is refused in one sentence, before TensorFlow opens it."""

import shutil
from pathlib import Path

import pytest
from faults.mutation import check_reader

from bert_squad.serving.asking import ExportedModel
from bert_squad.serving.versions import check_version

FILES = ["export.json", "saved_model.pb", "fingerprint.pb", "variables/variables.index"]
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def version(exported_v2, tmp_path):
    return Path(shutil.copytree(exported_v2.path, tmp_path / "1"))


def fuzz(version, name, seconds, seed, read):
    path = version / name
    whole = path.read_bytes()

    def read_with(content):
        path.write_bytes(content)
        read(str(version))
        assert content == whole or name not in FILES[1:], "damage was not noticed"

    check_reader(read_with, [whole], seconds, seed)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_of_an_export(version, name):
    fuzz(version, name, 0.7, 0, check_version)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_damaged_files_of_an_export_for_long(version, name):
    fuzz(version, name, 30, 1, check_version)


@pytest.mark.slow
def test_damaged_weights_for_long(version):
    """Their length is compared here, what they hold by TensorFlow; what it does not read does not matter."""
    fuzz(version, DATA, 30, 2, ExportedModel)

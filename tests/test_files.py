import os

import pytest

from bert_squad import files, whole_files
from bert_squad.errors import OutputError, PathError


def test_a_file_appears_only_when_complete(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text("old")
    with whole_files.open_whole(str(path)) as writer:
        writer.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["predictions.json"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "predictions.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_files.open_whole(str(path)) as writer:
        writer.write("half" + str(1 // 0))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["predictions.json"]


def test_a_refusal_of_the_file_system_names_the_file(tmp_path):
    path = tmp_path / "missing" / "predictions.json"
    message = r"Cannot write .*predictions\.json \(No such file or directory\)"
    with pytest.raises(OutputError, match=message), whole_files.open_whole(str(path)):
        pass


def test_an_unwritable_directory_names_the_flag(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(
        OutputError, match=r"The output directory .*file/output cannot be written .*--output_dir"
    ):
        files.make_directory(str(blocker / "output"))


def test_remote_paths_go_through_tensorflow(tmp_path):
    """`file://` is the one remote scheme that works without a network."""
    url = f"file://{tmp_path}/deep/predictions.json"
    files.make_directory(f"file://{tmp_path}/deep")
    with whole_files.open_whole(url) as writer:
        writer.write("über")
    assert files.exists(url)
    assert files.read_bytes(url).decode("utf-8") == "über"
    assert os.listdir(tmp_path / "deep") == ["predictions.json"]
    files.remove(url)
    assert not files.exists(url)
    with pytest.raises(OSError, match=r"predictions\.json"):
        files.read_bytes(url)


def test_an_error_of_tensorflow_without_a_text_is_named_by_its_kind():
    import tensorflow as tf

    with pytest.raises(PathError, match=r"Cannot reach ram://x \(NotFoundError\)"), files.reached("ram://x"):
        raise tf.errors.NotFoundError(None, None, "")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_bytes_are_written_and_read_here_and_there(tmp_path, scheme):
    path = f"{scheme}{tmp_path}/weights"
    files.write_bytes(path, b"0123")
    with files.open_to_read(path) as reader:
        assert reader.read(2) == b"01"
        assert reader.read() == b"23"
    with files.local_copy(path) as local:
        assert not files.is_remote(local)
        with open(local, "rb") as reader:
            assert reader.read() == b"0123"
    assert os.path.exists(local) is (scheme == ""), "the file itself stays, a copy goes"
    with pytest.raises(OSError, match="nowhere"):
        files.write_bytes(f"{scheme}{tmp_path}/nowhere/weights", b"")
    with pytest.raises(OSError, match="nowhere"):
        files.open_to_read(f"{scheme}{tmp_path}/nowhere/weights")


def test_a_descriptor_goes_on_with_the_file_that_was_there(tmp_path):
    (tmp_path / "records").write_text("old")
    descriptor = files.open_descriptor(str(tmp_path / "records"))
    with whole_files.open_whole(str(tmp_path / "records")) as writer:
        writer.write("new")
    assert os.read(descriptor, 10) == b"old"
    os.close(descriptor)

"""Outputs appear whole or not at all, and what others are writing is left alone."""

import os
import subprocess
import sys

import pytest
from program import environment

from bert_squad import files, whole_files
from bert_squad.errors import OutputError


def test_what_lives_stays_and_what_was_left_goes(tmp_path):
    """A killed process leaves a file and a directory; this one is writing; the user has a name like theirs."""
    code = (
        "import os, sys; from bert_squad import whole_files\n"
        "whole_files.create_temporary(sys.argv[1] + '/predictions.json')\n"
        "folder = whole_files.create_temporary(sys.argv[1] + '/model.ckpt-3', is_directory=True)\n"
        "open(folder + '/data', 'w').write('half')\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment(), check=False)
    left = set(os.listdir(tmp_path))
    assert len(left) == 2
    own = whole_files.create_temporary(str(tmp_path / "eval.tf_record"))
    (tmp_path / "x.tmp-2024").write_text("the user's")
    try:
        whole_files.remove_abandoned(str(tmp_path))
        assert set(os.listdir(tmp_path)) == {os.path.basename(own), "x.tmp-2024"}
    finally:
        whole_files.discard(own)
    assert os.listdir(tmp_path) == ["x.tmp-2024"]


def test_what_another_process_writes_just_now_stays(tmp_path):
    code = (
        "import sys; from bert_squad import whole_files\n"
        "whole_files.create_temporary(sys.argv[1] + '/train.tf_record')\n"
        "print('there', flush=True); sys.stdin.read()\n"
        "whole_files.discard_all()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout.readline() == b"there\n"
    before = os.listdir(tmp_path)
    whole_files.remove_abandoned(str(tmp_path))
    assert os.listdir(tmp_path) == before != []
    writer.communicate()
    assert os.listdir(tmp_path) == []


def test_names_cannot_be_foreseen_and_links_are_not_followed(tmp_path):
    """The temporary name is new each time; a final name that is a link is replaced, not written through."""
    assert len({whole_files.create_temporary(str(tmp_path / "a")) for _ in range(3)}) == 3
    whole_files.discard_all()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "predictions.json").symlink_to("precious")
    with whole_files.open_whole(str(tmp_path / "predictions.json")) as writer:
        writer.write("new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "predictions.json").read_text() == "new"


def test_a_file_system_that_turns_read_only_does_not_hide_the_error(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", read_only)
    monkeypatch.setattr(os, "remove", read_only)
    writer = whole_files.complete_file(str(tmp_path / "a"))
    writer.__enter__()
    with pytest.raises(OutputError, match=r"Cannot write .*a \(Read-only file system\)"):
        writer.__exit__(None, None, None)
    monkeypatch.undo()


def test_what_is_removed_is_locked_meanwhile(tmp_path, monkeypatch):
    """Somebody may just have created it, and be about to lock it: then that fails, and another name is taken."""
    left = tmp_path / "a.tmp-1-0123456789abcdef0123"
    left.mkdir()
    remove_tree, locked = whole_files.files.remove_tree, []

    def remove(path):
        descriptor = os.open(path, os.O_RDONLY)
        locked.append(whole_files._lock(descriptor))
        os.close(descriptor)
        remove_tree(path)

    monkeypatch.setattr(whole_files.files, "remove_tree", remove)
    whole_files.remove_abandoned(str(tmp_path))
    assert (locked, os.listdir(tmp_path)) == ([False], [])


def complete_directory(path, publish=None):
    """Write a directory under its own name, which is what most want."""
    return whole_files.complete_directory(
        str(path),
        publish or (lambda temporary: files.rename(temporary, str(path))),
        problem="Cannot write the model x",
        advice="; nothing was added.",
    )


def test_a_directory_appears_only_when_complete_and_on_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(files, "synchronize_tree", lambda path: flushed.extend(os.listdir(path)))
    with complete_directory(tmp_path / "model") as temporary:
        files.write_bytes(files.join(temporary, "weights"), b"123")
        assert os.listdir(tmp_path) == [os.path.basename(temporary)]
        assert flushed == []
    assert flushed == ["weights"]
    assert os.listdir(tmp_path) == ["model"]
    assert (tmp_path / "model" / "weights").read_bytes() == b"123"


def refuse(*_):
    raise OSError(28, "No space left on device")


def refuse_as_a_part(*_):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with whole_files.open_whole("part"):
            pass


def refuse_as_tensorflow(*_):
    import tensorflow as tf

    raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")


@pytest.mark.parametrize("refused", [refuse, refuse_as_a_part, refuse_as_tensorflow])
@pytest.mark.parametrize("when", ["written", "flushed", "published"])
def test_a_directory_that_is_refused_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, refused, when):
    monkeypatch.chdir(tmp_path)
    if when == "flushed":
        monkeypatch.setattr(files, "synchronize_tree", refused)

    def write():
        with complete_directory("x", refused if when == "published" else None) as temporary:
            files.write_bytes(files.join(temporary, "weights"), b"123")
            if when == "written":
                refused()

    with pytest.raises(OutputError) as caught:
        write()
    assert str(caught.value) == "Cannot write the model x (No space left on device); nothing was added."
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ZeroDivisionError])
def test_what_says_nothing_of_a_directory_goes_through_and_leaves_nothing(tmp_path, problem):
    def publish(_):
        raise problem

    with pytest.raises(problem), complete_directory(tmp_path / "x", publish):
        pass
    assert os.listdir(tmp_path) == []


def test_a_place_where_no_directory_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    message = r"Cannot write the model x \(File exists\); nothing was added\."
    with pytest.raises(OutputError, match=message), complete_directory(tmp_path / "file" / "x"):
        pass


@pytest.mark.parametrize("killed", [False, True], ids=["at once", "killed before the old one went"])
def test_what_is_not_ours_stays_when_a_directory_is_replaced(tmp_path, killed):
    place, new = tmp_path / "best", tmp_path / "new"
    for folder, content in ((place, "old"), (new, "new")):
        folder.mkdir()
        (folder / "weights").write_text(content)
        (folder / "taken").write_text(content)
    (place / "export").mkdir()
    (place / "export/model").write_text("mine")
    (place / "gone").write_text("old")

    def ours(folder):
        return ["weights", "gone"]

    if killed:
        place.rename(tmp_path / "best.previous")
        new.rename(place)
        whole_files.finish_replacing(str(place), ours)
    else:
        whole_files.replace_directory(str(new), str(place), ours)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best"]
    found = {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}
    assert found == {"weights": "new", "taken": "new", "taken.previous": "old", "export/model": "mine"}


@pytest.mark.parametrize("is_directory", [False, True])
def test_a_signal_just_after_creation_leaves_nothing(tmp_path, monkeypatch, is_directory):
    """It may be raised between any two lines."""
    create = whole_files._create

    def create_and_stop(*arguments):
        os.close(create(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(whole_files, "_create", create_and_stop)
    with pytest.raises(KeyboardInterrupt):
        whole_files.create_temporary(str(tmp_path / "name"), is_directory=is_directory)
    assert len(os.listdir(tmp_path)) == 1
    whole_files.discard_all()
    assert os.listdir(tmp_path) == []

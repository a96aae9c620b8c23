import pytest
from faults.runs import FILES, PREDICT, TRAIN, copy_trained, make_folder
from program import run_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = make_folder(tmp_path_factory.mktemp("log_file"))
    copy_trained(place / "trained")
    return place


PREDICTION = [*FILES, *PREDICT, "--output_dir=trained"]


def test_the_file_gets_what_standard_error_gets_after_what_was_there(folder):
    log = folder / "run.log"
    log.write_text("yesterday's\n")
    done = run_program(*PREDICTION, "--log_file=run.log", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines()
    assert lines[0] == "yesterday's"
    assert lines[1:] == [line for line in done.stderr.splitlines() if line in lines]
    for start in ("Running on ", "The model: 2 layers", "Writing predictions to"):
        assert sum(start in line for line in lines) == 1, start


def test_the_last_words_are_in_it(folder):
    done = run_program(
        *FILES, *TRAIN, "--init_checkpoint=none", "--output_dir=new", "--log_file=failed.log", cwd=folder
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("run_squad.py: error: ")
    assert (folder / "failed.log").read_text().splitlines()[-1] == last


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing/run.log", "cannot be written"),
        (".", "cannot be written"),
        ("gs://bucket/run.log", "of this machine"),
    ],
)
def test_a_file_that_cannot_be_is_one_sentence(path, reason, folder):
    done = run_program(*PREDICTION, f"--log_file={path}", cwd=folder)
    assert done.returncode == 1
    assert "--log_file" in done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_costs_the_log_only(folder):
    done = run_program(*PREDICTION, "--log_file=/dev/full", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Cannot write /dev/full any more") == 1
    assert "Traceback" not in done.stderr

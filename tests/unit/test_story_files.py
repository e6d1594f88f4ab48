"""Files of a story: beside it, plain, and of a bounded length."""

import os
from pathlib import Path

import pytest

from scenarios.engine.files import MAX_FILE, BadInput, read_input


def ask(folder: Path, name: str) -> object:
    return read_input({"pages": {"file": name}}, folder)["pages"]


def test_a_file_beside_the_story_is_read(tmp_path: Path):
    (tmp_path / "pages.json").write_text('["a", "b"]')
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "words.txt").write_text("x" * MAX_FILE)

    assert ask(tmp_path, "pages.json") == ["a", "b"]
    assert ask(tmp_path, "deep/words.txt") == "x" * MAX_FILE


def test_nothing_outside_of_the_storys_folder_is_read(tmp_path: Path):
    """X2: neither by its whole path, nor upwards, nor by a link."""
    story = tmp_path / "story"
    story.mkdir()
    (tmp_path / "secret.txt").write_text("canary")
    (story / "link.txt").symlink_to(tmp_path / "secret.txt")
    (story / "folder").symlink_to(tmp_path)

    for name in (str(tmp_path / "secret.txt"), "../secret.txt", "link.txt", "folder/secret.txt"):
        with pytest.raises(BadInput) as refused:
            ask(story, name)
        assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", ["none.txt", ".", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(BadInput):
        ask(tmp_path, name)


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path):
    """X2: a file is never read further than an input could go."""
    (tmp_path / "long.txt").write_text("x" * (MAX_FILE + 1))

    with pytest.raises(BadInput, match="longer"):
        ask(tmp_path, "long.txt")

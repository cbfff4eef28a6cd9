"""What a report leaves behind where it cannot be written whole."""

import os
import resource
from dataclasses import replace

import pytest

from forcebase.errors import InputError
from forcebase.report.html import write_report


@pytest.fixture
def small_files():
    """Real writes fail after 64 kB, as on a full disk: less than a page, or most pictures."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_halfway_leaves_no_piece(content, tmp_path, small_files):
    with pytest.raises(InputError, match="cannot be written to") as raised:
        write_report(content, tmp_path)
    assert "Make room" in raised.value.hint
    assert not (tmp_path / "report.html").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_write_that_fails_halfway_leaves_the_page_before(content, tmp_path, request):
    before = write_report(content, tmp_path).read_bytes()
    request.getfixturevalue("small_files")
    with pytest.raises(InputError, match="cannot be written to"):
        write_report(replace(content, title="Another"), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_folder_in_the_place_of_the_page_is_refused(content, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match="cannot be written to"):
        write_report(content, tmp_path)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_someone_else_is_refused(content, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written to"):
        write_report(content, tmp_path)

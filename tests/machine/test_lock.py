"""requirements.lock: what requirements.txt wants, with hashes, and no registry."""

import re
from typing import Any

import pytest

from machine.lock import LEFT_OUT, LOCK, check_plain_torch, format_lock, hashes_in
from machine.requirements import Requirement, pinned, read_requirements

SHA256 = "ab" * 32


def report(name: str = "Some_Package", **archive: object) -> dict[str, Any]:
    info = {"url": "file:///somewhere/f.whl", "archive_info": archive}
    item = {"metadata": {"name": name, "version": "1.2+cpu"}, "download_info": info}
    return {"install": [item]}


def test_the_lock_file_pins_what_requirements_want() -> None:
    locked = set(pinned(LOCK.read_text(encoding="utf-8").splitlines()))
    wanted = {requirement for requirement in read_requirements() if requirement.name != LEFT_OUT}
    assert wanted <= locked, "make lock"
    assert LEFT_OUT not in {requirement.name for requirement in locked}


def test_each_line_is_a_release_with_its_hash_or_a_comment() -> None:
    text = LOCK.read_text(encoding="utf-8")
    entry = r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.!-]+ \\\n    --hash=sha256:[0-9a-f]{64}"
    assert re.fullmatch(rf"((#[^\n]*|{entry})\n)+", text)
    assert text.count("==") >= len(read_requirements()) - 1 and "://" not in text


def test_a_lock_is_of_names_releases_and_hashes() -> None:
    hashes = hashes_in(report(hashes={"sha256": SHA256}))
    assert hashes == {Requirement("some-package", "1.2"): SHA256}
    assert format_lock(hashes).endswith(f"some-package==1.2 \\\n    --hash=sha256:{SHA256}\n")


@pytest.mark.parametrize("archive", [{}, {"hashes": {}}, {"hashes": {"md5": "0"}}])
def test_a_file_without_a_hash_is_refused(archive: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no sha256 of some-package==1\.2"):
        hashes_in(report(**archive))


def test_a_build_of_torch_for_one_card_is_refused() -> None:
    with pytest.raises(ValueError, match="brings nvidia-nccl==1"):
        check_plain_torch({Requirement("nvidia-nccl", "1"): SHA256})

"""Whoever cannot see a picture is told what it shows, in the page itself, also where a notebook became HTML."""
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """All notebooks as nbconvert writes them."""
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--log-level", "ERROR", "--output-dir", folder]
    subprocess.run([*command, *NOTEBOOKS], check=True, env={**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"})
    return folder


def plain(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_picture_is_followed_by_its_words(pages, path):
    html = (pages / f"{path.stem}.html").read_text("utf-8")
    shown = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])
             if "image/png" in output.get("data", {})]
    after = re.split(r"<img[^>]*\bsrc=\"data:image/png[^>]*>", html)[1:]
    assert len(after) == len(shown) > 0
    for place, picture in enumerate(shown):
        following = "".join(after[place:place + 8])      # a widget's pictures share the line that follows the last
        words = re.search(r"(?s)<details[^>]*><summary>The picture in words</summary>(.*?)</details>", following)
        assert words, f"picture {place} is followed by no words"
        said = picture["data"]["text/plain"].removeprefix("[picture: ").removesuffix("]")
        told = plain(words[1])
        assert len(told.split()) > 3
        if not said.startswith("[picture of"):           # else its numbers differ between machines, and are not stored
            assert plain(said) in told


def test_no_words_are_styled_away():
    """They stand in a line that opens, which a screen reader and a keyboard reach; nothing in them is hidden."""
    for path in NOTEBOOKS:
        folded = re.findall(r"<details[^>]*><summary>The picture in words", path.read_text("utf-8"))
        assert folded and not any("display:none" in each or "visibility" in each for each in folded)

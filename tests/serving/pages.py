"""What docs/serving.md holds, by section, so that a test names what it runs."""

import re

from program import ROOT

SERVING_MD = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading of the page."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", SERVING_MD, re.MULTILINE | re.DOTALL)
    return found


def snippets(language: str, title: str) -> list[str]:
    """The code blocks of a language under a heading, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)

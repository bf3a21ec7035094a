"""Links of the documentation that lead outside it, for the site.

In the repository a page may link a test or a module. The site holds the pages alone, so there such a link is shown as its
text; links from page to page stay under the eyes of `mkdocs build --strict`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^(```\w+) \w+$", re.MULTILINE)  # a second word tells blocks apart for the tests
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)#\s]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return a page's text, with its links to files outside the documentation as plain text.

    Raises
    ------
    FileNotFoundError
        If such a link leads to no file of the repository.
    """
    docs = Path(config["docs_dir"]).resolve()
    here = (docs / page.file.src_uri).parent

    def shown(link: re.Match[str]) -> str:
        text, target = link[1], link[2]
        found = (here / target).resolve()
        if "://" in target or found.is_relative_to(docs):
            return link[0]
        if not found.exists():
            raise FileNotFoundError(f"{page.file.src_uri} links {target}, which is no file of the repository")
        return text

    return FENCE.sub(r"\1", LINK.sub(shown, markdown))

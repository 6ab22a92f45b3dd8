"""Hooks of mkdocs: adds the generated pages, and turns links to files outside docs/ into text.

Such a link must still name a file that exists: the build fails where it does not.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    sys.path.insert(0, str(ROOT))
    sys.path.insert(0, str(Path(__file__).parent))
    import reference

    pages = {"command-line": reference.command_line, "options": reference.options, "files-of-a-run": reference.files_of_a_run}
    for name, write in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=write()))
    changelog = (ROOT / "CHANGELOG.md").read_text()
    files.append(File.generated(config, "changelog.md", content=re.sub(r"\]\(docs/", "](", changelog)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def plain(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return link[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri} links to {link[2]}, which does not exist")
        return link[1]

    return LINK.sub(plain, markdown)

"""The documentation as a whole: every page is in the index, and no link leads nowhere."""

from pathlib import Path

import pytest

from tests.pages import DOCS, PAGES, ROOT, anchors, links

EVERY = [*PAGES, *sorted((ROOT / "experiments").rglob("*.md"))]


def test_the_index_names_every_page_once() -> None:
    listed = [link for link in links(DOCS / "README.md") if link.endswith(".md")]
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page != DOCS / "README.md"]
    assert sorted(link for link in listed if not link.startswith("..")) == sorted(pages)


@pytest.mark.parametrize("page", EVERY, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_stays_short_and_leads_to_the_index() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) < 200
    assert any(link.startswith("docs/") for link in links(readme))

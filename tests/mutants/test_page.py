"""docs/verifying.md says what the shipped scores of the study say."""

from tests.mutants import page


def test_the_page_holds_the_tables_of_the_shipped_scores():
    """After new scores: python -m tests.mutants page."""
    text = page.PAGE.read_text()
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert text.partition(page.BEGIN)[2].partition(page.END)[0] == page.block()

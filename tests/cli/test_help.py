"""Help texts fill the terminal, whatever width their docstrings have."""

from mmctr_kit.cli.help import flowed


def test_a_paragraph_is_one_line_and_paragraphs_stay_apart() -> None:
    assert flowed("One\nline.\n\nAnother\none.") == "One line.\n\nAnother one."


def test_an_example_keeps_its_lines() -> None:
    text = "What it does.\n\n[bold]Examples[/bold]\n\n  mmctr-kit cv a\n\n  mmctr-kit cv b"
    assert flowed(text) == text

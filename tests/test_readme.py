"""README.md: the models it names are the registry's."""

from pathlib import Path

from mmctr_kit.models.registry import MODELS

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_every_model_is_named() -> None:
    assert [name for name in MODELS if f"`{name}`" not in README] == []

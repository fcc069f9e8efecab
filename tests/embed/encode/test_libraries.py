"""The encoders' libraries; tests/extras imports them beside this torch."""

from importlib.metadata import version

import pytest

from mmctr_kit.embed.encode import libraries


def test_versions_are_of_the_installed_libraries() -> None:
    assert libraries.versions("timm")["torch"] == version("torch")
    assert "pillow" in libraries.versions("dual")


def test_without_torchvision_there_is_nothing_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda _: None)
    before = list(libraries._kept)
    libraries.mend_torchvision()
    assert libraries._kept == before

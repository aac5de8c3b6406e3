"""What a machine without a browser, or a batcher that is not built, is told."""

from pathlib import Path

import pytest

from mixpanel_pipeline_tests.browser import card_site
from mixpanel_pipeline_tests.browser.chromium import chromium_path


def test_no_chromium(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        chromium_path()


def test_no_batcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(card_site, "PACKAGE", tmp_path)
    with pytest.raises(pytest.fail.Exception, match="build it with `make client`"):
        card_site.built(card_site.SCRIPT)

"""Take the pictures of docs/ from a running demo: python demo/take_pictures.py http://127.0.0.1:6301 [NAME ...]"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent.parent / "docs" / "images"
PICTURES = {
    "overview": ("/overview?model=mid_chg_5b&symbol=NVDA", "light"),
    "group": ("/group?model=mid_chg_5b&symbol=NVDA&tab=Importance", "light"),
    "ic": ("/ic?model=mid_chg_5b&symbol=NVDA&columns=clustered", "dark"),
    "config": ("/config?model=mid_chg_5b&symbol=NVDA", "light"),
    "versions": ("/versions?model=mid_chg_5b&symbol=NVDA", "light"),
    "version": ("/version?model=mid_chg_5b&symbol=NVDA&version=market-direction / v1.1.0", "dark"),
    "compare_versions": (
        "/compare_versions?model=mid_chg_5b&symbol=NVDA&a=market-direction / v1.0.0&b=market-direction / v1.1.0"
        "&part=Features",
        "light",
    ),
    "lifecycle": ("/lifecycle?model=mid_chg_5b&symbol=NVDA&family=market-direction", "light"),
    "promote": ("/version?model=mid_chg_5b&symbol=NVDA&version=market-direction / v1.2.0", "light"),
    "cleanup": ("/versions?model=mid_chg_5b&symbol=NVDA&show=Cleanup&keep=1", "light"),
}
DIALOGS = {"promote": "Promote …", "cleanup": "Delete 2 runs …"}
EDITS = {"downside_volatility_10": "0.012", "downside_volatility_8": "1e-3", "body_share_10": "-.07"}


def take(page: Page, base: str, name: str) -> None:
    """Take one picture as WebP, with unsaved edits on the page of the editor."""
    address, theme = PICTURES[name]
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.goto(base + address)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')", timeout=60_000)
    page.wait_for_timeout(2500)
    if name == "config":
        page.get_by_role("button", name="Paste or upload").click()
        lines = "factor,mean\n" + "\n".join(f"{factor},{mean}" for factor, mean in EDITS.items())
        page.get_by_role("textbox", name="Columns").fill(lines)
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="Fill in what is pasted").click()
        page.get_by_text("3 unsaved · editing").wait_for()
        page.keyboard.press("Escape")
        page.wait_for_timeout(6000)  # the toast goes
    if name in DIALOGS:
        page.get_by_role("button", name=DIALOGS[name]).click()
        page.get_by_role("dialog").get_by_role("button").last.wait_for()
        page.wait_for_timeout(1000)
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.save(IMAGES / f"{name}.webp", quality=82, method=6)


def main(base: str, names: Sequence[str]) -> None:
    """Take the named pictures of the dashboard at ``base``, all where none is named."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu"],
            viewport={"width": 1280, "height": 800},
        )
        for name in names or PICTURES:
            take(context.new_page(), base, name)
        context.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2:])

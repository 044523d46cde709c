"""How tests drive streamlit in Chromium: wait for what is expected, edit cells of the canvas, note errors."""

from __future__ import annotations

import time
from contextlib import suppress

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, WebSocket, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

expect.set_options(timeout=20_000)  # streamlit answers in tenths of a second, a busy machine in seconds

NOWHERE = "about:blank"
GO_IN_PLACE = "address => { history.pushState(null, '', address); dispatchEvent(new PopStateEvent('popstate')) }"


def open_tab(
    context: BrowserContext, url: str, heading: str | None, *, dark: bool = False, size: tuple[int, int] = (1280, 900)
) -> Page:
    """Open an address in a tab of its own and wait for the page's heading; errors are noted in ``errors_of``."""
    left = [page for page in context.pages if page.url == NOWHERE and hasattr(page, "errors")]
    page = left[0] if left else _new_tab(context)
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.errors.clear()  # type: ignore[attr-defined]
    page.goto(url)
    expect(_title(page, heading)).to_be_visible(timeout=60_000)
    settled(page)
    return page


def leave_one_tab(context: BrowserContext) -> None:
    """Close all tabs but one of `open_tab`, which goes nowhere: others would compile streamlit anew."""
    left = [page for page in context.pages if hasattr(page, "errors")][:1]
    for page in context.pages:
        if page not in left:
            page.close()
    for page in left:
        if page.url != NOWHERE:
            page.evaluate("sessionStorage.clear()")
            page.goto(NOWHERE)


def _new_tab(context: BrowserContext) -> Page:
    page = context.new_page()
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        asked_by_streamlit = "/_stcore/" in str(message.location.get("url", ""))
        if message.type == "error" and not asked_by_streamlit:
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.errors = found  # type: ignore[attr-defined]
    _count_runs(page)
    return page


def _title(page: Page, heading: str | None) -> Locator:
    """Return the heading that a page is to have, any where none is said."""
    if heading is None:
        return page.get_by_test_id("stHeading").first
    return page.get_by_role("heading", name=heading, exact=True).first


def go_in_place(page: Page, address: str, heading: str | None) -> None:
    """Go to another address as Back does, without loading streamlit anew; wait for its script's end and the heading."""
    earlier = page.whole_runs  # type: ignore[attr-defined]
    page.evaluate(GO_IN_PLACE, address)
    deadline = time.monotonic() + 60
    while page.whole_runs == earlier:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, f"the script of {address} does not end"
        page.wait_for_timeout(20)
    expect(_title(page, heading)).to_be_visible()
    settled(page)


def _count_runs(page: Page) -> None:
    """Note from now on how many scripts of whole pages came to their end."""
    page.whole_runs = 0  # type: ignore[attr-defined]

    def note(frame: bytes | str) -> None:
        message = ForwardMsg.FromString(frame if isinstance(frame, bytes) else frame.encode())
        if message.HasField("script_finished") and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            page.whole_runs += 1  # type: ignore[attr-defined]

    def listen(socket: WebSocket) -> None:
        if "/_stcore/stream" in socket.url:
            socket.on("framereceived", note)

    page.on("websocket", listen)


def errors_of(page: Page) -> list[str]:
    """Return what the tab's console said since it was opened, warnings aside."""
    return list(page.errors)  # type: ignore[attr-defined]


def said(place: Page | Locator, text: str) -> Locator:
    """Return the first that says a text: while a script runs, streamlit may show what it replaces beside the new."""
    return place.get_by_text(text).first


def settled(page: Page) -> None:
    """Wait until no script runs; what an action leads to must be expected for itself all the same."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def cell(page: Page, column: int, row: int) -> Locator:
    """Return the mirror of a grid's cell."""
    return page.locator(f"[data-testid='glide-cell-{column}-{row}']").first


def cell_editor(page: Page) -> Locator:
    """Return the input that stands over a cell while it is edited."""
    return page.locator("[data-testid=portal] input, [data-testid=portal] textarea")


def write_into_cell(page: Page, column: int, row: int, text: str) -> None:
    """Select a cell of the grid, open its editor and write; confirming is left to the caller."""
    target = cell(page, column, row)
    target.wait_for(state="attached")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        target.focus()  # the very first focus of a grid selects its first cell
        if _is_selected(page, target):
            page.keyboard.press("Enter")
            with suppress(PlaywrightTimeout):  # one that is just closing is gone before this
                cell_editor(page).first.fill(text, timeout=3_000)
                return
        target.blur()  # to focus what has the focus does nothing
    raise AssertionError(f"The cell in column {column}, row {row} did not open.")


def _is_selected(page: Page, target: Locator) -> bool:
    """Return whether a cell that was focused is selected, as a busy machine draws it later."""
    for _ in range(20):
        page.wait_for_timeout(80)
        if target.get_attribute("aria-selected") == "true":
            return True
    return False


def close_cell_editor(page: Page) -> None:
    """Leave an open cell as it was; a second Escape would take the grid's selection, and a key may get lost."""
    for _ in range(20):
        page.keyboard.press("Escape")
        try:
            cell_editor(page).first.wait_for(state="detached", timeout=1_000)
        except PlaywrightTimeout:
            continue
        return


def type_into_cell(page: Page, column: int, row: int, text: str) -> None:
    """Open a cell, type and confirm; wait until the grid shows it."""
    write_into_cell(page, column, row, text)
    page.keyboard.press("Enter")
    expect(cell(page, column, row)).to_have_text(text)


def press_for(page: Page, keys: str, wanted: Locator) -> None:
    """Press keys, once no script runs and no cell is open, until what they are for is there: a busy tab loses some."""
    expect(cell_editor(page)).to_have_count(0)
    settled(page)
    for _ in range(4):
        page.keyboard.press(keys)
        with suppress(PlaywrightTimeout):
            wanted.wait_for(timeout=6_000)
            return
    expect(wanted).to_be_visible()


def click_row(page: Page, key: str, row: int) -> None:
    """Click the box of a table's row; rows and the header have the height of the theme's font size."""
    box = page.locator(f"[class*='st-key-{key}'] canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 14, box["y"] + 31 * (row + 1) + 15)

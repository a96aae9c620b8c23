"""A real browser for tests of pages: Chromium, driven by playwright; tests skip where either is absent."""

import contextlib
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextlib.contextmanager
def open_browser():
    """Start one; as root it has no sandbox, which then needs rights that root in a container lacks."""
    if CHROMIUM is None:
        pytest.skip("Chromium is absent: apt install chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is absent: pip install playwright"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page that is opened, and what happened on it.

    Attributes:
      page: playwright's.
      complaints: errors of its script, lines on its console, dialogs.
      requests: addresses that it asked for.
    """

    def __init__(self, browser, path, fragment="", **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]")

    def text(self, selector):
        return self.page.locator(selector).first.text_content()

    def texts(self, selector):
        return self.page.locator(selector).all_text_contents()

    def close(self):
        self.context.close()

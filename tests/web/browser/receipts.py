"""What tests of receipts do again and again on the page."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page

_KEPT: Final = """
  () => new Promise((resolve, reject) => {
    const opening = indexedDB.open("step");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const under = IDBKeyRange.bound("receipts/", "receipts/\\uffff");
      const reading = opening.result.transaction("kept").objectStore("kept").getAll(under);
      reading.onerror = () => reject(reading.error);
      reading.onsuccess = () => {
        opening.result.close();
        resolve(reading.result.map(({ text }) => text));
      };
    };
  })
"""


def kept_receipt(page: Page) -> str:
    """The one receipt that the device has, to the last byte."""
    (text,) = page.evaluate(_KEPT)
    return str(text)


def paste(page: Page, text: str) -> None:
    """Hand a receipt in as text."""
    page.get_by_placeholder("Paste the receipt here").fill(text)
    page.get_by_role("button", name="Check", exact=True).click()

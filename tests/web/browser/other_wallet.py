"""A wallet of another program (EIP-6963) with a key of the test's, for pages that sign: nothing is to be unlocked."""

from __future__ import annotations

import json
from typing import Any, Final

from eth_account import Account
from eth_account.messages import encode_defunct
from playwright.sync_api import BrowserContext, Page

_ANNOUNCES: Final = """
  const request = async ({ method, params }) => {
    const answer = JSON.parse(await window.askOtherWallet(JSON.stringify({ method, params })));
    if (answer === null) throw Object.assign(new Error("User rejected the request."), { code: 4001 });
    return answer;
  };
  const uuid = "0b4ce9f6-1f2a-4d0e-9c55-8b6f1d1f8a11";
  const info = { uuid, name: "Other wallet", rdns: "test.other.wallet", icon: "data:image/png," };
  const detail = Object.freeze({ info, provider: { request } });
  const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  addEventListener("eip6963:requestProvider", announce);
  announce();
"""

_CHOOSES: Final = """
  (account) => new Promise((resolve, reject) => {
    const request = indexedDB.open("step", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("kept");
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const database = request.result;
      const writing = database.transaction("kept", "readwrite");
      writing.objectStore("kept").put({ accounts: [account], current: account.address }, "wallet.accounts");
      writing.oncomplete = () => (database.close(), resolve());
      writing.onerror = () => reject(writing.error);
    };
  })
"""


class OtherWallet:
    """Signs what pages of `context` ask, as long as `is_willing`; with a key of its own if `signs_for_another`. `lines`
    has what was signed."""

    def __init__(self, context: BrowserContext) -> None:
        self._account = Account.create()
        self.address: str = self._account.address.lower()
        self.private_key = bytes(self._account.key)
        self.lines: list[str] = []
        self.is_willing = True
        self.signs_for_another = False
        context.expose_function("askOtherWallet", self._answer)
        context.add_init_script(_ANNOUNCES)

    def choose(self, page: Page) -> None:
        """Make it the app's current account, as if the person had connected it; the page is loaded anew."""
        account = {"address": self.address, "name": "Other", "addedAtMs": 0, "kind": "injected"}
        page.evaluate(_CHOOSES, {**account, "wallet": "test.other.wallet"})
        page.reload()

    def _answer(self, request: str) -> str:
        asked: dict[str, Any] = json.loads(request)
        if asked["method"] in ("eth_accounts", "eth_requestAccounts"):
            return json.dumps([self.address])
        assert asked["method"] == "personal_sign", asked
        if not self.is_willing:
            return json.dumps(None)
        data = asked["params"][0]
        line = bytes.fromhex(data[2:]).decode() if data.startswith("0x") else data
        self.lines.append(line)
        key = Account.create().key if self.signs_for_another else self._account.key
        signed = Account.sign_message(encode_defunct(text=line), key)
        return json.dumps("0x" + bytes(signed.signature).hex())

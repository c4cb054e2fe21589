"""The wallet in a real Chromium: keys made, sealed, backed up, brought in and taken elsewhere, and STEP sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from eth_account import Account
from eth_account.hdaccount.mnemonic import Mnemonic
from eth_account.messages import encode_defunct
from playwright.sync_api import Locator, Page, Route, expect

from step_node.client import Position, StepClient
from step_node.signing.keystore import KdfStrength, create_keystore
from tests.web.app import needs_packages, run_in_app
from tests.web.browser.network import Network
from tests.web.browser.visitor import Visitor, accessibility_violations, shoot
from tests.web.browser.watching import bodies_with, origin_of

_PASSPHRASE: Final = "lantern orbit velvet moss"
_HOSTILE: Final = '<img src=x onerror="alert(1)">{{7*7}}\'";--</td>'
"""A memo of 64 bytes at most that is markup, a template and an end of everything."""

_WORDLIST: Final = list(Mnemonic().wordlist)

Account.enable_unaudited_hdwallet_features()


@pytest.fixture(scope="module")
def payer(network: Network) -> Iterator[StepClient]:
    """Somebody who has earned some STEP, and sends of it."""
    with StepClient(network.urls, key=secrets.token_bytes(32)) as client:
        client.prove(Position(-77.85, 166.67, accuracy_m=5))
        yield client


def go(page: Page, part: str = "") -> None:
    page.evaluate("(to) => { location.hash = to; }", f"#/wallet{part}")


def make_key(page: Page, name: str = "Account 1") -> list[str]:
    """A new key sealed by the passphrase, at its words: those."""
    go(page, "/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("With a passphrase").check()
    page.get_by_label("Passphrase", exact=True).fill(_PASSPHRASE)
    page.get_by_label("Once more").fill(_PASSPHRASE)
    page.get_by_role("button", name="Make it").click()
    return words_of(page)


def words_of(page: Page) -> list[str]:
    words = page.get_by_role("list", name="The words")
    expect(words).to_be_visible()
    return words.get_by_role("listitem").all_inner_texts()


def confirm(page: Page, words: list[str]) -> None:
    """Write the two words that are asked for."""
    page.get_by_role("button", name="I have written them down").click()
    for field in page.get_by_role("textbox").all():
        number = int((field.get_attribute("name") or "").removeprefix("word-"))
        field.fill(words[number])
    page.get_by_role("button", name="Confirm").click()


def unlock(page: Page, passphrase: str = _PASSPHRASE) -> Locator:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Passphrase").fill(passphrase)
    dialog.get_by_role("button", name="Unlock").click()
    return dialog


def address_in(page: Page) -> str:
    """The current account's, in lower case."""
    go(page)
    shown = page.locator("[data-account]")
    expect(shown).to_be_visible()
    return shown.inner_text().lower()


def stored(page: Page) -> str:
    """Everything that the browser keeps for the page, with bytes as hexadecimal digits too."""
    text: str = page.evaluate("""async () => {
      const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const plain = (_, value) => (ArrayBuffer.isView(value) ? hex(new Uint8Array(value.buffer)) : value);
      const found = [{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state];
      for (const { name } of await indexedDB.databases()) {
        const database = await new Promise((resolve) => {
          const opening = indexedDB.open(name);
          opening.onsuccess = () => resolve(opening.result);
        });
        for (const store of database.objectStoreNames) {
          const request = database.transaction(store).objectStore(store).getAll();
          found.push(await new Promise((resolve) => { request.onsuccess = () => resolve(request.result); }));
        }
        database.close();
      }
      for (const name of await caches.keys()) {
        for (const request of await (await caches.open(name)).keys()) found.push(request.url);
      }
      return JSON.stringify(found, plain);
    }""")
    return text


def at_a_name(visitor: Visitor, network: Network) -> Page:
    """The app of the first node at `localhost`: a passkey belongs to a name, and an address is none."""
    url = network.app().replace("127.0.0.1", "localhost")
    visitor.watched.origins.add(origin_of(url))
    return visitor.page(url)


def give_passkeys(page: Page, *, has_prf: bool = True) -> None:
    """The page has an authenticator from now on, which says yes to everything."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "ctap2Version": "ctap2_1",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "hasPrf": has_prf,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


@pytest.fixture
def sealed_page(visitor: Visitor, network: Network) -> Page:
    """With passkeys: a key is made and opened without a wait."""
    page = at_a_name(visitor, network)
    give_passkeys(page)
    return page


def make_passkey_key(page: Page) -> list[str]:
    """A new key sealed by a passkey, at its words: those."""
    go(page, "/new")
    expect(page.get_by_label("With a passkey")).to_be_checked()
    page.get_by_role("button", name="Make it").click()
    return words_of(page)


def sign_test_message(page: Page) -> None:
    go(page, "/accounts")
    page.get_by_text("Sign a test message").first.click()
    page.get_by_role("button", name="Sign a test message").click()


def entropy_of(words: list[str]) -> bytes:
    """What twelve words stand for: 11 bits each, and the last four are a checksum."""
    bits = "".join(f"{_WORDLIST.index(word):011b}" for word in words)
    return int(bits[:128], 2).to_bytes(16, "big")


def write_transfer(page: Page, amount: str) -> None:
    """From the form to the button that signs."""
    go(page, "/send")
    page.get_by_label("To", exact=True).fill("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
    page.get_by_label("Amount in STEP").fill(amount)
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Sign and send").click()


def check_kept_nowhere(page: Page, visitor: Visitor, words: list[str], *others: str) -> None:
    """Neither key nor words are in what the browser keeps, in a request, or in a line of the console."""
    account = Account.from_mnemonic(" ".join(words))
    kept = stored(page).lower()
    assert account.address.lower() in kept
    assert bodies_with(visitor.watched.asked, account.address)  # So what is asked is seen here.
    for secret in (account.key.hex(), entropy_of(words).hex(), " ".join(words[:3]), '","'.join(words[:3]), *others):
        assert secret not in kept
        assert bodies_with(visitor.watched.asked, secret) == []
        assert not any(secret in line for line in visitor.watched.console)


def test_a_key_made_here_signs_after_a_reload_and_is_nowhere_but_in_the_page(
    sealed_page: Page, visitor: Visitor
) -> None:
    page = sealed_page
    words = make_passkey_key(page)
    confirm(page, words)
    address = address_in(page)
    assert Account.from_mnemonic(" ".join(words)).address.lower() == address
    page.reload()
    sign_test_message(page)
    page.get_by_role("button", name="Use the passkey").click()
    expect(page.get_by_text("verified here")).to_be_visible()
    line, signature = page.locator("dd.mono").all_inner_texts()
    recovered: str = Account.recover_message(encode_defunct(text=line), signature=signature)
    assert recovered.lower() == address
    check_kept_nowhere(page, visitor, words)


@pytest.mark.long
def test_a_passphrase_opens_what_it_sealed_and_another_does_not(page: Page, visitor: Visitor) -> None:
    words = make_key(page)
    confirm(page, words)
    page.reload()
    sign_test_message(page)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
    page.get_by_role("button", name="Sign a test message").click()
    wrong = unlock(page, "not the passphrase")
    expect(wrong.get_by_role("status")).to_have_text("That is not the passphrase. Try again.")
    unlock(page)
    expect(page.get_by_text("verified here")).to_be_visible()
    go(page)
    page.get_by_role("button", name="Lock now").click()
    expect(page.get_by_text("Locked", exact=True)).to_be_visible()
    check_kept_nowhere(page, visitor, words, _PASSPHRASE)


@pytest.mark.long
def test_words_are_asked_for_and_wrong_ones_are_not_taken(sealed_page: Page) -> None:
    page = sealed_page
    words = make_passkey_key(page)
    expect(page.get_by_role("heading", name="Write these words down")).to_be_visible()
    confirm(page, words[1:] + words[:1])
    expect(page.get_by_text("Those are not the words. Look at your paper.")).to_be_visible()
    page.get_by_role("link", name="Later").click()
    expect(page.get_by_text("is on this device alone")).to_be_visible()
    page.get_by_role("link", name="Write it down now").click()
    page.get_by_role("button", name="Show the secret").click()
    page.get_by_role("button", name="Use the passkey").click()
    assert words_of(page) == words
    confirm(page, words)
    expect(page.get_by_role("heading", name="Account 1")).to_be_visible()
    expect(page.get_by_text("is on this device alone")).to_be_hidden()


@pytest.mark.long
def test_a_passkey_that_cannot_seal_is_said_to_be_one(visitor: Visitor, network: Network) -> None:
    page = at_a_name(visitor, network)
    give_passkeys(page, has_prf=False)
    go(page, "/new")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert")).to_contain_text("it lacks the PRF extension")


def test_a_payment_is_seen_as_it_comes_and_its_memo_does_nothing(sealed_page: Page, payer: StepClient) -> None:
    page = sealed_page
    page.on("dialog", lambda dialog: pytest.fail(f"a script of the memo ran: {dialog.message}"))
    make_passkey_key(page)
    address = address_in(page)
    balance = page.locator("[data-balance]")
    expect(balance).to_have_text("0.00 STEP")
    payer.send_transfer(payer.sign_transfer(address, "0.250001", memo=_HOSTILE))
    expect(balance).to_have_text("0.250001 STEP")
    expect(page.get_by_text(f"Memo: {_HOSTILE}")).to_be_visible()
    expect(page.get_by_role("table").get_by_text("+0.250001 STEP")).to_be_visible()
    assert page.locator("main img").count() == 0

    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download everything (CSV)").click()
    lines = Path(downloading.value.path()).read_bytes().decode().split("\r\n")
    assert lines[0].split(",")[:3] == ["timestamp", "type", "id"]
    assert "transfer_in" in lines[1]


@pytest.mark.long
def test_a_transfer_is_shown_before_it_is_signed_and_arrives(sealed_page: Page, payer: StepClient) -> None:
    page = sealed_page
    make_passkey_key(page)
    address = address_in(page)
    payer.send_transfer(payer.sign_transfer(address, "0.3"))
    expect(page.locator("[data-balance]")).to_have_text("0.30 STEP")
    to = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    page.get_by_role("link", name="Send").click()
    # Slips are told at once, each at its field.
    page.get_by_label("To", exact=True).fill(to.replace("aA", "Aa"))
    page.get_by_label("Amount in STEP").fill("5")
    page.get_by_label("Memo").fill("ü" * 33)
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_text("does not fit its checksum")).to_be_visible()
    expect(page.get_by_text("More than the account has.")).to_be_visible()
    expect(page.get_by_text("66 of 64 bytes")).to_be_visible()
    page.get_by_label("To", exact=True).fill(to)
    page.get_by_label("Amount in STEP").fill("0,1")
    page.get_by_label("Memo").fill("for the bus ü")
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_role("heading", name="Is this right?")).to_be_visible()
    for text in (to, "0.10 STEP", "for the bus ü", "None", "0.20 STEP"):
        expect(page.locator("dl.facts")).to_contain_text(text)
    page.get_by_role("button", name="Sign and send").click()
    expect(page.get_by_text(f"Sent. 0.10 STEP is with {to} for good.")).to_be_visible()
    assert payer.account(to.lower()).balance == Decimal("0.1")
    page.get_by_role("link", name="Back to the wallet").click()
    expect(page.locator("[data-balance]")).to_have_text("0.20 STEP")
    # Both are listed with what each moved, and the receipt of the one that was sent is verified here.
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("-0.10 STEP")
    rows.first.get_by_role("link", name="Receipt").click()
    expect(page.get_by_text("for the bus ü")).to_be_visible()


@pytest.mark.long
def test_a_transfer_outlives_the_page_that_signed_it(sealed_page: Page, visitor: Visitor, payer: StepClient) -> None:
    page = sealed_page
    make_passkey_key(page)
    address = address_in(page)
    payer.send_transfer(payer.sign_transfer(address, "0.02"))
    expect(page.locator("[data-balance]")).to_have_text("0.02 STEP")
    # Nothing that is sent arrives.
    visitor.context.route("**/account/transfer", lambda route: route.abort())
    write_transfer(page, "0.01")
    expect(page.get_by_text("On its way: 0.01 STEP")).to_be_visible()
    visitor.context.unroute("**/account/transfer")
    page.reload()
    go(page)
    expect(page.get_by_text("It is signed, and not applied yet.")).to_be_visible()
    page.get_by_role("link", name="Send the same again").click()
    expect(page.get_by_text("Sent. 0.01 STEP")).to_be_visible()
    go(page)
    expect(page.locator("[data-balance]")).to_have_text("0.01 STEP")
    expect(page.get_by_text("It is signed, and not applied yet.")).to_be_hidden()
    assert payer.account(address).balance == Decimal("0.01")


@pytest.mark.long
def test_what_the_node_refuses_is_told_in_a_sentence_and_may_be_written_anew(
    sealed_page: Page, visitor: Visitor, payer: StepClient
) -> None:
    page = sealed_page
    make_passkey_key(page)
    address = address_in(page)
    payer.send_transfer(payer.sign_transfer(address, "0.02"))
    expect(page.locator("[data-balance]")).to_have_text("0.02 STEP")

    def believe_more(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "balance": "7.000000"})

    visitor.context.route(f"**/account/{address}", believe_more)
    write_transfer(page, "5")
    expect(page.get_by_role("alert")).to_contain_text("You have 0.020000 STEP; 5.000000 are needed.")
    expect(page.get_by_label("Amount in STEP")).to_have_value("5.000000")


@pytest.mark.long
def test_a_key_that_is_not_used_locks_by_itself(visitor: Visitor, network: Network) -> None:
    page = at_a_name(visitor, network)
    give_passkeys(page)
    page.clock.install()
    make_passkey_key(page)
    go(page)
    expect(page.get_by_text("Unlocked", exact=True)).to_be_visible()
    page.clock.fast_forward("09:00")
    expect(page.get_by_text("Unlocked", exact=True)).to_be_visible()
    page.clock.fast_forward("01:01")
    expect(page.get_by_text("Locked", exact=True)).to_be_visible()

    # Sooner, where nobody sees the page.
    sign_test_message(page)
    page.get_by_role("button", name="Use the passkey").click()
    expect(page.get_by_text("verified here")).to_be_visible()
    go(page)
    expect(page.get_by_text("Unlocked", exact=True)).to_be_visible()
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.fast_forward("00:59")
    expect(page.get_by_text("Unlocked", exact=True)).to_be_visible()
    page.clock.fast_forward("00:02")
    expect(page.get_by_text("Locked", exact=True)).to_be_visible()


@pytest.mark.long
def test_a_history_is_read_on_where_it_was_left(sealed_page: Page, payer: StepClient) -> None:
    page = sealed_page
    make_passkey_key(page)
    address = address_in(page)
    for number in range(23):
        payer.send_transfer(payer.sign_transfer(address, "0.000001", memo=f"no. {number}"))
    page.reload()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(20)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(23)
    payer.send_transfer(payer.sign_transfer(address, "0.000001", memo="the last"))
    expect(rows).to_have_count(24)
    expect(rows.first).to_contain_text("the last")
    expect(rows.last).to_contain_text("no. 0")
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


@pytest.mark.long
def test_a_file_of_the_nodes_is_taken_in_and_another_given_out(page: Page, tmp_path: Path) -> None:
    key = secrets.token_bytes(32)
    path = tmp_path / "key.json"
    create_keystore(path, key, "password of the file", KdfStrength.DEVNET)
    go(page, "/file")
    page.get_by_label("Keystore file").set_input_files(path)
    page.get_by_label("Password of the file").fill("another")
    page.get_by_label("Passphrase", exact=True).fill(_PASSPHRASE)
    page.get_by_label("Once more").fill(_PASSPHRASE)
    page.get_by_role("button", name="Bring it in").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not the passphrase")
    page.get_by_label("Password of the file").fill("password of the file")
    page.get_by_role("button", name="Bring it in").click()
    expect(page.get_by_role("heading", name="Account 1")).to_be_visible()
    assert address_in(page) == Account.from_key(key).address.lower()

    go(page, "/backup")
    page.get_by_role("button", name="Show the secret").click()
    unlock(page)
    expect(page.get_by_text("has no words")).to_be_visible()
    page.get_by_label("Password of the file").fill("password of the other file")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Save as a file").click()
    keystore = json.loads(Path(downloading.value.path()).read_text(encoding="utf-8"))
    assert bytes(Account.decrypt(keystore, "password of the other file")) == key


@pytest.mark.long
def test_words_of_another_wallet_give_its_account_and_removing_it_leaves_nothing(page: Page) -> None:
    account, words = Account.create_with_mnemonic()
    go(page, "/words")
    page.get_by_label("12 to 24 words").fill(words)
    page.get_by_label("Passphrase", exact=True).fill(_PASSPHRASE)
    page.get_by_label("Once more").fill(_PASSPHRASE)
    page.get_by_role("button", name="Bring it in").click()
    expect(page.get_by_role("heading", name="Account 1")).to_be_visible()
    assert address_in(page) == account.address.lower()
    go(page, "/accounts")
    page.get_by_role("button", name="Remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Remove")).to_be_disabled()
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="Account 1", exact=True)).to_be_hidden()
    assert account.address.lower() not in stored(page)


def bring_in(page: Page, words: str) -> None:
    go(page, "/words")
    page.get_by_label("12 to 24 words").fill(words)
    page.get_by_label("Passphrase", exact=True).fill(_PASSPHRASE)
    page.get_by_label("Once more").fill(_PASSPHRASE)
    page.get_by_role("button", name="Bring it in").click()
    expect(page.get_by_role("heading", name="Account 1")).to_be_visible()


@pytest.mark.long
def test_a_key_that_is_removed_in_another_tab_is_locked_in_this_one(
    page: Page, visitor: Visitor, network: Network
) -> None:
    account, words = Account.create_with_mnemonic()
    bring_in(page, words)
    expect(page.get_by_text("Unlocked", exact=True)).to_be_visible()
    other = visitor.page(f"{network.app()}#/wallet/accounts")
    other.get_by_role("button", name="Remove").click()
    dialog = other.get_by_role("dialog")
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="Account 1", exact=True)).to_be_hidden()
    bring_in(other, words)
    assert address_in(page) == account.address.lower()
    expect(page.get_by_text("Locked", exact=True)).to_be_visible()


@pytest.mark.long
def test_what_another_tab_has_changed_stays_when_the_words_are_confirmed(
    page: Page, visitor: Visitor, network: Network
) -> None:
    words = make_key(page)
    other = visitor.page(f"{network.app()}#/wallet/accounts")
    other.get_by_role("button", name="Rename").click()
    other.get_by_label("Name").fill("Savings")
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("heading", name="Savings")).to_be_visible()
    confirm(page, words)
    expect(page.get_by_role("heading", name="Savings")).to_be_visible()
    go(other, "/accounts")
    expect(other.get_by_role("heading", name="Savings")).to_be_visible()
    expect(other.get_by_text("Not backed up")).to_have_count(0)


_READ_CODE: Final = """
import jsQR from "jsqr";
const [size, path] = process.argv.slice(1);
const pixels = 4;
const side = Number(size) * pixels;
const image = new Uint8ClampedArray(side * side * 4).fill(255);
for (const [, x, y, length] of path.matchAll(/M(\\d+) (\\d+)h(\\d+)/g)) {
  for (let row = y * pixels; row < (+y + 1) * pixels; row += 1) {
    for (let column = x * pixels; column < (+x + +length) * pixels; column += 1) {
      const at = (row * side + column) * 4;
      image.fill(0, at, at + 3);
    }
  }
}
console.log(jsQR(image, side, side).data);
"""


@pytest.mark.long
@needs_packages
def test_ones_own_address_is_shown_as_a_code_that_cameras_read(page: Page) -> None:
    account, words = Account.create_with_mnemonic()
    bring_in(page, words)
    page.get_by_text("Show it as a QR code").click()
    code = page.get_by_role("img", name=f"QR code of the address {account.address}")
    size = (code.get_attribute("viewBox") or "").split()[2]
    path = code.locator("path").get_attribute("d") or ""
    assert run_in_app("--input-type=module", "--eval", _READ_CODE, size, path).strip() == account.address
    assert accessibility_violations(page) == []
    shoot(page, "wallet-address-code", widths=(360, 1_440))


_INJECTED: Final = """
  const account = %s;
  const provider = {
    async request({ method, params }) {
      if (method === "eth_requestAccounts") return [account];
      if (window.saysNo) throw { code: 4001, message: "User rejected the request" };
      return window.signsFor(method, params);
    },
  };
  const info = {
    uuid: "350670db-19fa-4704-a166-e52e178b59d2",
    name: "Test <b>Wallet</b>",
    icon: "https://elsewhere.example/a.png",
    rdns: "org.example.wallet",
  };
  const detail = Object.freeze({ info, provider });
  const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  addEventListener("eip6963:requestProvider", announce);
  announce();
"""


@pytest.mark.long
def test_a_wallet_that_an_extension_injects_signs_in_place_of_a_key(visitor: Visitor, network: Network) -> None:
    account = Account.create()

    def sign(method: str, params: list[str]) -> str:
        assert method == "personal_sign"
        assert params[1].lower() == account.address.lower()
        signed = account.sign_message(encode_defunct(hexstr=params[0]))
        return f"0x{signed.signature.hex()}"

    visitor.context.expose_function("signsFor", sign)
    visitor.context.add_init_script(_INJECTED % json.dumps(account.address))
    page = visitor.page(network.app())
    go(page, "/connect")
    page.get_by_role("button", name="Connect Test <b>Wallet</b>").click()
    assert address_in(page) == account.address.lower()
    page.reload()
    sign_test_message(page)
    expect(page.get_by_text("verified here")).to_be_visible()
    page.evaluate("window.saysNo = true")
    page.get_by_role("button", name="Sign a test message").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done")


_ADAPTER: Final = """
  export async function connect() {
    return { name: "The operator's", provider: { request: ({ method, params }) => window.answersFor(method, params) } };
  }
"""


@pytest.mark.long
def test_a_module_of_the_operators_is_one_more_wallet(visitor: Visitor, network: Network) -> None:
    account = Account.create()

    def answer(method: str, params: list[str] | None) -> list[str] | str:
        if method == "eth_requestAccounts":
            return [account.address]
        assert params is not None
        return f"0x{account.sign_message(encode_defunct(hexstr=params[0])).signature.hex()}"

    visitor.context.expose_function("answersFor", answer)
    served = {"body": _ADAPTER, "content_type": "text/javascript"}
    visitor.context.route("**/app/wallet-adapter.js", lambda route: route.fulfill(**served))
    page = visitor.page(network.app())
    go(page, "/connect")
    page.get_by_role("button", name="By this node's own connector").click()
    expect(page.get_by_role("heading", name="The operator's")).to_be_visible()
    page.reload()
    sign_test_message(page)
    expect(page.get_by_text("verified here")).to_be_visible()
    served["body"] = "export const nothing = 1;"
    page.reload()
    sign_test_message(page)
    expect(page.get_by_role("alert")).to_contain_text("cannot be used")


@pytest.mark.long
def test_the_wallet_can_be_used_by_anybody(page: Page, payer: StepClient) -> None:
    """At each of its pages axe finds nothing, and a screenshot is made for people to look at."""

    def look(name: str, *, full: bool = False) -> None:
        shoot(page, f"wallet-{name}", widths=(360, 768, 1440), full=full)
        assert accessibility_violations(page) == [], name

    for part in ("add", "new", "words", "file", "connect", "send"):
        go(page, f"/{part}")
        expect(page.locator("h1")).to_be_visible()
        look(part)
    make_key(page)
    look("backup")
    page.get_by_role("button", name="I have written them down").click()
    look("confirm")
    address = address_in(page)
    payer.send_transfer(payer.sign_transfer(address, "0.05", memo="rent"))
    expect(page.get_by_text("Memo: rent")).to_be_visible()
    look("overview", full=True)
    page.get_by_role("button", name="Lock now").click()
    go(page, "/accounts")
    expect(page.get_by_text("Sealed by a passphrase")).to_be_visible()
    look("accounts")
    page.get_by_role("button", name="Remove").click()
    look("remove")
    page.keyboard.press("Escape")
    go(page, "/send")
    page.get_by_label("To", exact=True).fill("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
    page.get_by_label("Amount in STEP").fill("1.500")
    page.get_by_role("button", name="Review").click()
    look("slip")
    page.get_by_label("Amount in STEP").fill("0.01")
    page.get_by_role("button", name="Review").click()
    look("review")
    page.get_by_role("button", name="Sign and send").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look("unlock")
    unlock(page)
    expect(page.get_by_text("Sent. 0.01 STEP")).to_be_visible()
    look("sent")

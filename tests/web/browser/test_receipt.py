"""Receipts in the app: somebody else's from a file, as text and before the camera, judged on the device."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from step_node.client import Position, StepClient
from tests.javascript.browser import CHROMIUM
from tests.web.browser.conftest import ARGUMENTS
from tests.web.browser.network import Network
from tests.web.browser.receipts import paste
from tests.web.browser.visitor import Visitor

pytestmark = pytest.mark.long

FRAME_PIXELS: Final = 720


def somebody_proves(network: Network, lat: float, lon: float) -> str:
    """The id of somebody's final proof."""
    with StepClient(network.urls, key=secrets.token_bytes(32)) as client:
        return client.prove(Position(lat, lon, accuracy_m=5)).proof_id


def receipt_of(network: Network, proof_id: str, *, form: str = "application/json") -> bytes:
    answer = httpx.get(f"{network.urls[1]}/proof/{proof_id}/receipt", headers={"accept": form})
    assert answer.headers["content-type"].startswith(form)
    return answer.content


def at_receipts(visitor: Visitor, network: Network) -> Page:
    return visitor.page(f"{network.app()}#/receipt")


def test_somebody_elses_is_verified_from_a_file_of_either_form_and_can_be_kept(
    visitor: Visitor, network: Network, tmp_path: Path
) -> None:
    proof_id = somebody_proves(network, 52.5, 13.4)
    page = at_receipts(visitor, network)
    for form in ("application/json", "application/cbor"):
        file = tmp_path / f"receipt.{form.rpartition('/')[2]}"
        file.write_bytes(receipt_of(network, proof_id, form=form))
        page.get_by_label("From a file").set_input_files(file)
        expect(page.get_by_text("Verified here")).to_be_visible()
        expect(page.get_by_text("52.5, 13.4, within 5 m")).to_be_visible()
        page.reload()
    page.get_by_label("From a file").set_input_files(tmp_path / "receipt.cbor")
    page.get_by_role("button", name="Keep on this device").click()
    expect(page.get_by_text("Kept on this device.")).to_be_visible()
    # Kept is what the node gave as JSON, to the last byte; it is there without any node.
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as file").click()
    assert saved.value.path().read_bytes() == receipt_of(network, proof_id)
    assert saved.value.suggested_filename == f"step-receipt-{proof_id[2:14]}.json"
    page.reload()
    visitor.context.set_offline(True)
    page.get_by_role("link", name=re.compile("^0x")).click()
    expect(page.get_by_text("Verified here")).to_be_visible()


def another_hash(name: str, receipt: str) -> str:
    """The receipt with another first digit of a hash, whatever that is."""
    return re.sub(rf'(?<="{name}":"0x).', lambda digit: "1" if digit[0] == "0" else "0", receipt)


def test_each_forgery_is_refused_at_its_step(visitor: Visitor, network: Network) -> None:
    receipt = receipt_of(network, somebody_proves(network, 52.6, 13.5)).decode()
    page = at_receipts(visitor, network)
    forgeries = {
        receipt.replace('"version":"STEP-RECEIPT-v1"', '"version":"STEP-RECEIPT-v2"'): 1,
        receipt.replace("lat:52.6", "lat:53.6"): 2,
        re.sub(r'"balance":"(\d)', r'"balance":"9\1', receipt): 3,
        another_hash("genesisHash", receipt): 4,
        another_hash("stateRoot", receipt): 6,
        "": 1,
        "https://example.org/": 1,
    }
    assert receipt not in forgeries
    for forgery, step in forgeries.items():
        paste(page, forgery or " ")
        expect(page.get_by_text("This receipt does not hold")).to_be_visible()
        expect(page.locator("ol.steps > li.bad")).to_have_count(1)
        expect(page.locator("ol.steps > li").nth(step - 1)).to_have_class("bad")
        expect(page.get_by_text("Verified here")).to_have_count(0)
    paste(page, receipt)
    expect(page.get_by_text("Verified here")).to_be_visible()


def test_the_receipt_of_a_transfer_has_its_page_too(visitor: Visitor, network: Network) -> None:
    memo = '<img src=x onerror="document.title=1">'
    with StepClient(network.urls, key=secrets.token_bytes(32)) as client:
        client.prove(Position(52.7, 13.6, accuracy_m=5))
        operation_id = client.send_transfer(client.sign_transfer("0x" + "11" * 20, "0.001", memo=memo)).operation_id
    page = visitor.page(f"{network.app()}#/receipt/{operation_id}")
    expect(page.get_by_text("Verified here")).to_be_visible()
    expect(page.get_by_text(memo)).to_be_visible()
    assert page.locator("main img").count() == 0


def test_what_no_node_knows_is_told_and_can_be_asked_again(visitor: Visitor, network: Network) -> None:
    page = visitor.page(f"{network.app()}#/receipt/0x{'00' * 32}")
    expect(page.get_by_text("This node knows no such transfer or operation.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_one_device_shows_a_code_and_another_reads_it_with_its_camera(
    visitor: Visitor, network: Network, browser: Browser, tmp_path: Path
) -> None:
    page = visitor.page(f"{network.app()}#/receipt/{somebody_proves(network, 52.8, 13.7)}")
    page.get_by_role("button", name="Show as QR code").click()
    code = page.get_by_role("img", name="QR code of this receipt")
    size = int((code.get_attribute("viewBox") or "").split()[2])
    video = tmp_path / "camera.y4m"
    video.write_bytes(filmed(size, code.locator("path").get_attribute("d") or ""))
    camera = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    ]
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *camera])
    try:
        context = other.new_context(locale="en-GB", permissions=["camera"])
        reading = context.new_page()
        reading.goto(f"{network.app()}#/receipt")
        reading.get_by_role("button", name="With the camera").click()
        expect(reading.get_by_text("Verified here")).to_be_visible(timeout=30_000)
        expect(reading.get_by_text("52.8, 13.7, within 5 m")).to_be_visible()
        # The camera is let go of.
        expect(reading.locator("video")).to_have_count(0)
    finally:
        other.close()


def test_without_a_camera_the_other_ways_are_named(visitor: Visitor, network: Network) -> None:
    page = at_receipts(visitor, network)
    page.get_by_role("button", name="With the camera").click()
    expect(page.get_by_text(re.compile("There is no camera|may not use the camera"))).to_be_visible()
    page.get_by_role("button", name="Close the camera").click()
    expect(page.get_by_role("button", name="With the camera")).to_be_visible()


def filmed(size: int, path: str) -> bytes:
    """A film of a QR code: of its modules, as they are drawn, grey frames in YUV4MPEG2."""
    rows = [[False] * size for _ in range(size)]
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)", path):
        rows[int(y)][int(x) : int(x) + int(length)] = [True] * int(length)
    scale = FRAME_PIXELS // size
    assert scale >= 3, "too dense for the frame"
    margin = (FRAME_PIXELS - scale * size) // 2
    frame = [bytearray([255]) * FRAME_PIXELS for _ in range(FRAME_PIXELS)]
    for y in range(scale * size):
        dark = rows[y // scale]
        frame[margin + y][margin : margin + scale * size] = bytes(
            0 if dark[x // scale] else 255 for x in range(scale * size)
        )
    colours = bytes([128]) * (FRAME_PIXELS * FRAME_PIXELS // 2)
    picture = b"FRAME\n" + b"".join(frame) + colours
    return f"YUV4MPEG2 W{FRAME_PIXELS} H{FRAME_PIXELS} F5:1 Ip A1:1 C420jpeg\n".encode() + picture * 5

"""Where webhooks may go, how attempts are spread, what an answer means."""

import asyncio
from ipaddress import ip_address

import pytest

from lockstep.posttrade.alerts.addresses import NotAllowed, check_address, check_url, rules_of
from lockstep.posttrade.alerts.sender import CheckedResolver
from lockstep.posttrade.alerts.webhook import LONGEST_PAUSE_S, Verdict, pause_s, verdict_of
from lockstep.runtime.faults import BadInput

PUBLIC = rules_of("*", "")
NAMED = rules_of("hooks.example.com *.partner.example", "10.1.0.0/16")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.0.170", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    with pytest.raises(NotAllowed):
        check_address(ip_address(address), PUBLIC, plain=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_ones_are_called_encrypted_alone(address):
    check_address(ip_address(address), PUBLIC, plain=False)
    with pytest.raises(NotAllowed, match="plain http"):
        check_address(ip_address(address), PUBLIC, plain=True)


def test_networks_that_are_named_are_called_in_plain_too():
    for plain in (False, True):
        check_address(ip_address("10.1.2.3"), NAMED, plain=plain)
        check_address(ip_address("::ffff:10.1.2.3"), NAMED, plain=plain)
        with pytest.raises(NotAllowed):
            check_address(ip_address("10.2.0.1"), NAMED, plain=plain)


def test_hosts_are_those_that_are_named():
    for good in ("https://hooks.example.com/a?b=c", "https://x.partner.example:8443/", "https://HOOKS.example.com./"):
        check_url(good, NAMED)
    for wrong in (
        "https://example.com/", "https://partner.example/", "https://xhooks.example.com/", "https://10.1.0.1/",
        "https://hooks.example.com.evil.example/", "https://hooks.example.com@evil.example/", "https:///x",
        "https://hooks.example.com/" + "x" * 600, "https://hooks.example.com/\n", "https://hooks.example.com:99999/",
        "file:///etc/passwd", "//hooks.example.com/",
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            check_url(wrong, NAMED)


@pytest.mark.parametrize("literal", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "127.1", "0"])
def test_this_machine_is_not_reached_however_it_is_written(literal):
    async def go() -> None:
        url = check_url(f"https://{literal}/", PUBLIC)
        await CheckedResolver(PUBLIC, plain=False).resolve(url.raw_host or "", 443)

    with pytest.raises((NotAllowed, OSError)):
        asyncio.run(go())


@pytest.mark.parametrize(
    "host",
    [
        "127.1", "2130706433", "0", "0x7f000001", "0x7f.1", "0177.1", "127.0.1", "00000.1", "1.2.3.4.5",
        "256.256.256.256", "0x", "127.1.", "a.0x1f", "hooks.example.7", "0177.0.0.1", "a,b.example", "a~b.example",
        "127%2E0%2E0%2E1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("rules", [PUBLIC, rules_of("*", "127.0.0.0/8")])
def test_an_address_in_another_form_than_four_numbers_is_refused_when_the_webhook_is_made(host, rules):
    with pytest.raises(NotAllowed):
        check_url(f"https://{host}/", rules)


@pytest.mark.parametrize(
    "host", ["1.1.1.1", "[2606:4700::1111]", "7.example.com", "0x7f.example", "a_b.example", "x--y.example"]
)
def test_names_and_addresses_that_everybody_reads_alike_are_taken(host):
    check_url(f"https://{host}/", PUBLIC)


def test_a_name_that_resolves_to_this_machine_is_refused_when_it_is_called():
    async def go() -> None:
        await CheckedResolver(PUBLIC, plain=False).resolve("localhost", 443)

    with pytest.raises(NotAllowed):
        asyncio.run(go())


def test_without_hosts_there_are_no_webhooks_and_a_wrong_network_is_said():
    with pytest.raises(NotAllowed, match="sends no webhooks"):
        check_url("https://hooks.example.com/", rules_of("", ""))
    with pytest.raises(BadInput, match="webhook_networks"):
        rules_of("*", "10.0.0.1/8")


def test_pauses_grow_and_are_spread():
    assert [pause_s(n, 0.0) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert pause_s(5, 0.999) < 16.0
    assert pause_s(10_000, 0.5) == LONGEST_PAUSE_S * 0.75


def test_what_answers_mean():
    said = {status: verdict_of(status) for status in (200, 204, 301, 400, 401, 404, 408, 410, 425, 429, 500, 503)}
    assert {status for status, one in said.items() if one is Verdict.TAKEN} == {200, 204}
    assert {status for status, one in said.items() if one is Verdict.AGAIN} == {408, 425, 429, 500, 503}

"""Who sends, whatever the headers say; and which Host headers are answered to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.datastructures import Headers

from service.hosts import BadHost, name_in
from service.senders import Sender, Senders, block_of, parsed
from service.settings import Settings
from tests.contract import opened
from tests.server import Home

pytest_plugins = ("tests.server", "tests.contract")

PROXY, FAR = "10.0.0.1", "203.0.113.9"
TRUSTED = ("10.0.0.0/8", "::1/128", "127.0.0.1/32")


def find(client: str | None, *headers: tuple[str, str], trusted: tuple[str, ...] = TRUSTED) -> Sender:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope: dict[str, Any] = {"client": (client, 1) if client is not None else None, "scheme": "http"}
    return Senders(trusted).find(scope, Headers(raw=raw))


def xff(*values: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", one) for one in values]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ([FAR], FAR),
        ([f"1.1.1.1, {FAR}"], FAR),
        ([f"1.1.1.1, {FAR}, 10.1.1.1,10.2.2.2"], FAR),
        ([FAR, "10.1.1.1"], FAR),
        ([f"{FAR}:4711"], FAR),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["::ffff:203.0.113.9"], FAR),
        (["10.1.1.1"], "10.1.1.1"),
        (["127.0.0.1, " + FAR], FAR),
        ([f"{FAR}, unknown, 10.1.1.1"], "10.1.1.1"),
        (["", "10.1.1.1, "], PROXY),
        (["<script>"], PROXY),
        ([f"{FAR}, " + ",".join(["10.0.0.2"] * 99)], "10.0.0.2"),
    ],
)
def test_the_first_from_the_right_that_is_no_proxy_is_the_sender(given: list[str], address: str) -> None:
    assert find(PROXY, *xff(*given)).address == address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (f"for={FAR}", FAR),
        (f'for=1.1.1.1, for="{FAR}:1";proto=https, for=10.1.1.1', FAR),
        ('By=10.0.0.1;FOR="[2001:db8::1]:4711"', "2001:db8::1"),
        (f'for={FAR}, for="_hidden"', PROXY),
        (f"for={FAR}, proto=https", PROXY),
        (f'for="1.1.1.1, {FAR}"', PROXY),
    ],
)
def test_the_standard_header_is_read_as_well(value: str, address: str) -> None:
    assert find(PROXY, ("Forwarded", value)).address == address


def test_where_both_are_there_the_usual_one_counts() -> None:
    assert find(PROXY, ("Forwarded", "for=127.0.0.1"), *xff(FAR)) == Sender(FAR, False, "http")


def test_from_anybody_else_they_say_nothing_but_that_somebody_speaks_for_another() -> None:
    for client in (FAR, "127.0.0.2", "192.168.0.1", "2001:db8::1", "unix", ""):
        for one in (xff("127.0.0.1"), [("Forwarded", "for=127.0.0.1")], [("X-Real-IP", "127.0.0.1")]):
            assert find(client, *one, ("X-Forwarded-Proto", "https")) == Sender(client, False, "http")
    assert find("127.0.0.1", *xff("127.0.0.1"), trusted=()) == Sender("127.0.0.1", False, "http")
    assert find(None) == Sender("", False, "http")


def test_this_machine_is_local_by_itself_or_through_a_proxy_that_says_so() -> None:
    assert find("127.0.0.1", trusted=()).is_local and find("127.8.8.8").is_local
    assert find(PROXY, *xff("127.0.0.1")).is_local and find("127.0.0.1", *xff("127.0.0.1")).is_local
    assert not find("127.0.0.1").is_local, "a trusted proxy that does not say for whom it speaks"
    assert not find("127.0.0.1", *xff(FAR)).is_local and not find(PROXY, *xff(f"127.0.0.1, {FAR}")).is_local
    assert not find(PROXY, *xff("127.0.0.1, unknown")).is_local


def test_the_scheme_is_what_the_nearest_trusted_proxy_says() -> None:
    assert find(PROXY, *xff(FAR), ("X-Forwarded-Proto", "https")).scheme == "https"
    assert find(PROXY, *xff(FAR), ("X-Forwarded-Proto", "http, https")).scheme == "https"
    assert find(PROXY, *xff(FAR), ("X-Forwarded-Proto", "javascript")).scheme == "http"


@given(st.text(max_size=60), st.sampled_from(["X-Forwarded-For", "Forwarded"]))
def test_whatever_the_header_holds_somebody_sends_and_spoofing_gains_nothing(text: str, name: str) -> None:
    """What a client has written before the proxy appends its address changes nothing of whom it is."""
    written = text.encode("utf-8", "ignore").decode("latin-1").replace('"', "")
    own = FAR if name == "X-Forwarded-For" else f"for={FAR}"
    assert find(PROXY, (name, written)).address
    assert find(PROXY, (name, f"{written}, {own}")).address == FAR
    assert find(PROXY, (name, written), (name, own)).address == FAR


@given(st.ip_addresses())
def test_an_address_is_read_as_it_is_written(address: Any) -> None:
    """With a port or without, in brackets or not."""
    same = parsed(str(address))
    assert same is not None and str(same) in (str(address), str(getattr(address, "ipv4_mapped", "")))
    assert parsed(f"[{address}]:80" if address.version == 6 else f"{address}:80") == same


def test_what_counts_as_one_sender() -> None:
    assert block_of("2001:db8:1:2:3:4:5:6") == block_of("2001:db8:1:2::") == "2001:db8:1:2::/64"
    assert block_of("203.0.113.9") == block_of("::ffff:203.0.113.9") == "203.0.113.9"
    assert block_of("") == "" and block_of("fe80::1%eth0") == "fe80::/64"


def test_addresses_in_replies_have_the_scheme_that_the_proxy_was_asked_with(home: Home) -> None:
    home.write("notes/otto.md", "# Otto\n\nOtto is the zebra of Larkfield.\n")
    home.run("index")
    body = {"model": "pullquote", "messages": [{"role": "user", "content": "Who developed PyTorch?"}]}
    headers = {"X-Forwarded-For": FAR, "X-Forwarded-Proto": "https", "Host": "docs.example"}
    for trusted, scheme in (((), "http"), ((PROXY,), "https")):
        with opened(home, trusted_proxies=trusted) as request:
            reply = request("POST", "/v1/chat/completions", sender=PROXY, headers=headers, json=body)
            annotations = reply.json()["choices"][0]["message"]["annotations"]
            assert annotations[0]["url_citation"]["url"].startswith(f"{scheme}://docs.example/")


def test_changes_are_for_this_machine_as_the_proxy_says_it(shelf: Home) -> None:
    dry = {"json": {"dry_run": True}}
    with opened(shelf, trusted_proxies=["127.0.0.1"]) as request:
        for headers, status in (({}, 403), (dict(xff(FAR)), 403), (dict(xff("127.0.0.1")), 202)):
            assert request("POST", "/v1/reindex", headers=headers, **dry).status_code == status


@pytest.mark.parametrize("network", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "*"])
def test_a_network_that_is_none_is_an_error_at_start(network: str) -> None:
    with pytest.raises(ValidationError, match="no address or network"):
        Settings(trusted_proxies=[network])


# ---------------------------------------------------------------- hosts


def named(*hosts: str) -> str:
    return name_in(Headers(raw=[(b"host", one.encode("latin-1")) for one in hosts]))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("docs.example", "docs.example"),
        ("DOCS.example:8000", "docs.example"),
        ("docs.example.", "docs.example"),
        ("docs.example.:80", "docs.example"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]:8000", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("docs.example:", "docs.example"),
    ],
)
def test_a_host_is_read_as_names_are_compared(host: str, name: str) -> None:
    assert named(host) == name


WRONG = [
    "",
    " ",
    "a b",
    "a,b",
    "docs.example:80:80",
    "docs.example:99999",
    "docs.example:x",
    "[::1",
    "::1",
    "[x]:1",
]
WRONG += [
    "user@docs.example",
    "docs.example/x",
    "docs.example#x",
    "docs.example\\evil",
    "dócs.example",
    "docs..:x",
]


@pytest.mark.parametrize("host", WRONG)
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(BadHost):
        named(host)


def test_one_host_is_named_once() -> None:
    assert named() == ""
    with pytest.raises(BadHost):
        named("docs.example", "docs.example")


def test_only_hosts_on_the_list_are_answered_to(shelf: Home) -> None:
    with opened(shelf, allowed_hosts=["Docs.example.", "::1"]) as request:
        for host in ("docs.example", "docs.example:8000", "DOCS.EXAMPLE.", "[::1]:8000"):
            assert request("GET", "/version", headers={"Host": host}).status_code == 200, host
        for host in (
            "evil.example",
            "docs.example.evil.example",
            "xdocs.example",
            "localhost",
            "127.0.0.1",
            *WRONG[1:],
        ):
            reply = request("GET", "/version", headers={"Host": host.encode("latin-1")})
            assert reply.status_code == 400, host
            for path in ("/livez", "/readyz"):
                assert request("GET", path, headers={"Host": host.encode("latin-1")}).status_code == 200
    with opened(shelf) as request:
        assert request("GET", "/version", headers={"Host": "any.example"}).status_code == 200
        assert request("GET", "/version", headers={"Host": "a b"}).status_code == 400


@pytest.mark.parametrize("host", ["https://docs.example", "docs.example:80", "*", "*.example", "a b"])
def test_a_name_that_is_none_is_an_error_at_start(host: str) -> None:
    with pytest.raises(ValidationError, match="no host name"):
        Settings(allowed_hosts=[host])

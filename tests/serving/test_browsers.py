"""Which sites' pages are let in, by which names the server answers, and what browsers are told."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("fastapi")

from starlette.datastructures import Headers

from console.flags import UsageError
from serving.browsers import Access, guard, names_answered, read_hosts, read_origins

PAGE = "https://page.example"
HERE = "127.0.0.1:8000"


def ask(access: Access, method: str = "POST", **headers: str) -> tuple[int, Mapping[str, str], Any]:
    """Return status, headers and body of what a guarded application answers."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'"asked"'})

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": "/v1/models", "headers": raw}
    asyncio.run(guard(app, access)(scope, receive, keep))  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], Headers(raw=sent[0]["headers"]), body


def preflight(access: Access, origin: str, **headers: str) -> tuple[int, Mapping[str, str], Any]:
    asked = {
        "host": HERE,
        "origin": origin,
        "access_control_request_method": "POST",
        "access_control_request_headers": "authorization,content-type,x-stainless-os",
        **headers,
    }
    return ask(access, "OPTIONS", **asked)


@pytest.mark.parametrize("allowed", [(PAGE,), ("https://other.example", PAGE), ("*",)])
def test_preflight_allows_a_listed_site_and_its_headers(allowed: tuple[str, ...]) -> None:
    status, headers, _ = preflight(Access(allowed, ()), PAGE)
    assert status == 200
    assert headers["access-control-allow-origin"] in (PAGE, "*")
    assert "POST" in headers["access-control-allow-methods"]
    assert "x-stainless-os" in headers["access-control-allow-headers"]


def test_preflight_lets_a_public_page_reach_this_machine() -> None:
    wanted = {"access_control_request_private_network": "true"}
    _, headers, _ = preflight(Access((PAGE,), ()), PAGE, **wanted)
    assert headers["access-control-allow-private-network"] == "true"


def test_answer_tells_the_browser_that_its_page_may_read() -> None:
    status, headers, body = ask(Access((PAGE,), ()), host=HERE, origin=PAGE)
    assert (status, body, headers["access-control-allow-origin"]) == (200, b'"asked"', PAGE)
    assert headers["access-control-expose-headers"] == "Retry-After, X-Without-Effect"


@pytest.mark.parametrize("origin", ["https://evil.example", "http://page.example", "null"])
@pytest.mark.parametrize("allowed", [(), (PAGE,)])
def test_other_sites_are_refused_before_anything_is_done(
    origin: str, allowed: tuple[str, ...]
) -> None:
    """A post of plain text needs no preflight, so the browser would send it."""
    kind = {"content_type": "text/plain"}
    for status, headers, body in (
        ask(Access(allowed, ()), host=HERE, origin=origin, **kind),
        preflight(Access(allowed, ()), origin),
    ):
        assert (status, json.loads(body)["error"]["code"]) == (403, "origin_not_allowed")
        assert "--allow-origin" in json.loads(body)["error"]["message"]
        assert "access-control-allow-origin" not in headers


def test_requests_of_programs_and_own_pages_are_let_in() -> None:
    assert ask(Access((), ()), host=HERE)[0] == 200
    assert ask(Access((), ()), host=HERE, origin=f"http://{HERE}")[0] == 200


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", HERE, "localhost:8000", "LOCALHOST", "localhost.", "[::1]:8000", "127.0.0.53",
     "app.localhost:80", "model.example", "model.example:8000"],
)  # fmt: skip
def test_own_names_of_a_local_server_are_let_in(host: str) -> None:
    assert ask(Access((), ("model.example",)), host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["rebound.example", "rebound.example:8000", "127.0.0.1.rebound.example", "localhost.example",
     "notlocalhost", "192.0.2.7", "[2001:db8::1]:8000", "", "model.example.evil.example"],
)  # fmt: skip
def test_foreign_names_of_a_local_server_are_refused(host: str) -> None:
    status, _, body = ask(Access(("*",), ("model.example",)), host=host, origin=f"http://{host}")
    assert (status, json.loads(body)["error"]["code"]) == (421, "host_not_allowed")
    assert ask(Access((), None), host=host)[0] == 200


@pytest.mark.parametrize(
    ("is_local", "others", "names"),
    [(True, (), ("box",)), (False, (), None), (False, ("a.example",), ("a.example", "box"))],
)
def test_names_are_checked_on_loopback_or_when_given(
    is_local: bool, others: tuple[str, ...], names: tuple[str, ...] | None
) -> None:
    assert names_answered("Box", others, is_local) == names


def test_sites_are_read_as_browsers_write_them() -> None:
    text = "https://Page.example/, http://localhost:3000,https://x.example:443,*,null"
    sites = (PAGE, "http://localhost:3000", "https://x.example", "*", "null")
    assert read_origins(text) == sites
    assert read_origins(None) == read_hosts(None) == ()
    assert read_hosts("Model.example, box") == ("model.example", "box")


@pytest.mark.parametrize(
    "text", ["page.example", "https://page.example/chat", "https://", "https://a b", "https://u@h"]
)
def test_what_is_no_site_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"--allow-origin is .* wanted sites such as"):
        read_origins(text)


def test_address_in_place_of_a_name_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="--allow-host is 'http://box', wanted names"):
        read_hosts("http://box")

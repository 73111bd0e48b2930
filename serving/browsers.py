"""Which web pages may use the server, and by which names it is called.

A page of any site can make the browser of this machine post to a server on it. The browser says
which site's page asks (Origin); one that is not allowed is refused before anything is generated.
And a site can give its own name the address of this machine (DNS rebinding): the browser then takes
the server for the site. Such a request has the site's name as Host, so a server that only this
machine reaches answers to this machine's names alone.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from console.flags import UsageError
from serving.errors import ApiError

# Allows the pages of every site.
ANY = "*"
# What a page from a file, or one in a sandbox, says for its site.
NO_SITE = "null"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[^/\s:@?#\[\]]+)(?::[0-9]{1,5})?")
_USUAL_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    origins: The sites whose pages may, each as `https://page.example`; ANY for all.
    hosts: The names by which the server may be called beside this machine's own; None for any.
    """

    origins: Collection[str] = ()
    hosts: Collection[str] | None = None

    def problem(self, headers: Headers) -> ApiError | None:
        """Return why a request with these headers is refused, None where it is not."""
        host, origin = headers.get("host"), headers.get("origin")
        if self.hosts is not None and host is not None and not is_own(host, self.hosts):
            return ApiError(
                421,
                f"this server is not called {host[:80]!r}; to answer to that name it must be "
                "started with --allow-host",
                code="host_not_allowed",
            )
        same = origin is not None and origin.lower().partition("://")[2] == (host or "").lower()
        if origin is None or same or {origin.lower(), ANY} & {*self.origins}:
            return None
        return ApiError(
            403,
            f"pages of {origin[:80]!r} may not use this server; to let them it must be started "
            "with --allow-origin",
            code="origin_not_allowed",
        )


def is_own(host: str, others: Collection[str]) -> bool:
    """Return whether a Host header names this machine, from itself, or is one of the others."""
    name = re.sub(r":[0-9]*$", "", host.lower()).removesuffix(".")
    if name == "localhost" or name.endswith(".localhost") or {name, host.lower()} & {*others}:
        return True
    try:
        return ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def read_origins(text: str | None) -> tuple[str, ...]:
    """Return the sites of --allow-origin as browsers write them; UsageError for what is none."""
    origins = []
    for part in _parts(text):
        origin = part.removesuffix("/")
        if origin not in (ANY, NO_SITE) and not _ORIGIN.fullmatch(origin):
            raise UsageError(
                f"--allow-origin is {part!r}, wanted sites such as https://page.example or "
                f"http://localhost:3000 with commas between, or {ANY} for all"
            )
        usual = _USUAL_PORTS.get(origin.partition(":")[0])
        origins.append(origin.removesuffix(usual) if usual else origin)
    return tuple(origins)


def read_hosts(text: str | None) -> tuple[str, ...]:
    """Return the names of --allow-host; UsageError for an address with more than a name."""
    for part in _parts(text):
        if "/" in part:
            raise UsageError(f"--allow-host is {part!r}, wanted names such as model.example")
    return _parts(text)


def names_answered(host: str, others: Collection[str], is_local: bool) -> tuple[str, ...] | None:
    """Return by which names a server at a host is called beside this machine's; None for any.

    Where other machines reach it, its names are not known unless `others` tell them.
    """
    return (*others, host.lower()) if is_local or others else None


def _parts(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in (text or "").split(",") if part.strip())


def guard(app: ASGIApp, access: Access) -> ASGIApp:
    """Return an application that refuses whom `access` does not let in, and tells browsers so."""
    told = CORSMiddleware(
        app,
        allow_origins=access.origins,
        allow_methods=("GET", "POST"),
        allow_headers=(ANY,),
        expose_headers=("Retry-After", "X-Without-Effect"),
        allow_private_network=True,
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        problem = access.problem(Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is None:
            await told(scope, receive, send)
        else:
            refusal = JSONResponse(problem.to_record(), problem.status, problem.headers)
            await refusal(scope, receive, send)

    return guarded

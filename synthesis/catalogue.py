"""The tools a run may use, and which of them suit which behaviour."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from synthesis.declaration import Chain, Domain, Parameter, SyntheticTool, fitting
from synthesis.domains import DOMAINS
from synthesis.roles import role


@dataclass(frozen=True)
class Catalogue:
    """Domains with their tools; two tools never have the same name."""

    domains: tuple[Domain, ...]

    def __post_init__(self) -> None:
        counts = Counter(tool.name for tool in self.tools)
        for name, count in counts.items():
            if count > 1:
                raise ValueError(f"two tools are called {name}; rename one of them")

    @cached_property
    def tools(self) -> tuple[SyntheticTool, ...]:
        """All tools, in the order of their domains."""
        return tuple(tool for domain in self.domains for tool in domain.tools)

    @cached_property
    def by_name(self) -> dict[str, SyntheticTool]:
        """All tools by their names."""
        return {tool.name: tool for tool in self.tools}

    @cached_property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """What people say before a request, by domain."""
        return {domain.name: domain.reasons for domain in self.domains}

    @cached_property
    def similar(self) -> dict[str, frozenset[str]]:
        """The domains whose tools could be meant too, by domain; it works both ways."""
        pairs = {(domain.name, other) for domain in self.domains for other in domain.similar}
        return {
            domain.name: frozenset(
                other.name
                for other in self.domains
                if (domain.name, other.name) in pairs or (other.name, domain.name) in pairs
            )
            for domain in self.domains
        }

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """The chains whose tools are both here."""
        return tuple(
            chain
            for domain in self.domains
            for chain in domain.chains
            if chain.first in self.by_name and chain.then in self.by_name
        )

    @cached_property
    def omissible(self) -> tuple[tuple[SyntheticTool, Parameter], ...]:
        """Required parameters that a request can leave out."""
        return tuple(
            (tool, parameter)
            for tool in self.tools
            for parameter in tool.parameters
            if parameter.required
            and parameter.schema.get("type") != "boolean"
            and fitting(tool.do, _required(tool) - {parameter.name})
        )

    @cached_property
    def mistakable(self) -> tuple[tuple[SyntheticTool, Parameter], ...]:
        """Required parameters for which a user can give an impossible value."""
        return tuple(
            (tool, parameter)
            for tool in self.tools
            for parameter in tool.parameters
            if parameter.required
            and (parameter.kind.wrong or {"minimum", "maximum"} <= parameter.schema.keys())
        )

    @cached_property
    def slipping(self) -> tuple[tuple[SyntheticTool, Parameter], ...]:
        """Parameters with values that make a tool fail, which the user then has to change."""
        return tuple((tool, tool.parameter(name)) for tool in self.tools for name in tool.slips)

    @cached_property
    def questionable(self) -> tuple[SyntheticTool, ...]:
        """Tools whose results can be asked about later; a tool without phrases always can."""
        return tuple(tool for tool in self.tools if tool.more or not tool.answer)

    @cached_property
    def limitable(self) -> tuple[tuple[SyntheticTool, Parameter], ...]:
        """Required numbers, which a rule can limit."""
        return tuple(
            (tool, parameter)
            for tool in self.tools
            for parameter in tool.parameters
            if parameter.required
            and parameter.schema.get("type") in ("integer", "number")
            and "enum" not in parameter.schema
            # Of the number of an issue there is none too high.
            and role(parameter) != "code"
        )

    @cached_property
    def presettable(self) -> tuple[tuple[SyntheticTool, Parameter], ...]:
        """Optional choices, numbers, and yes or no, which a rule can settle."""
        return tuple(
            (tool, parameter)
            for tool in self.tools
            for parameter in tool.parameters
            if not parameter.required
            and (
                parameter.schema.get("type") in ("integer", "number", "boolean")
                or len(parameter.schema.get("enum", ())) > 1
            )
        )

    @cached_property
    def aliased(self) -> tuple[tuple[SyntheticTool, Parameter], ...]:
        """Parameters with values that a tool refuses with the right one in its message."""
        return tuple(
            (tool, parameter)
            for tool in self.tools
            for parameter in tool.parameters
            if parameter.required and parameter.kind.aliases
        )


def _required(tool: SyntheticTool) -> frozenset[str]:
    return frozenset(parameter.name for parameter in tool.parameters if parameter.required)


def select(
    added: Sequence[Domain] = (),
    domains: Iterable[str] = (),
    only_tools: Iterable[str] = (),
    exclude_tools: Iterable[str] = (),
) -> Catalogue:
    """Return the catalogue of the built-in and the `added` domains, cut down to what is named.

    Among `domains`, "custom" means all those that are added. ValueError names a domain or tool
    that does not exist, with the nearest there is.
    """
    everything = (*DOMAINS, *added)
    own = [domain.name for domain in added]
    domains = [name for domain in domains for name in (own if domain == "custom" else [domain])]
    taken = {domain.name for domain in DOMAINS}.intersection(own)
    if taken:
        raise ValueError(f"two domains are called {min(taken)}; rename yours")
    wanted, only, without = set(domains), set(only_tools), set(exclude_tools)
    _check_known("domain", domains, [domain.name for domain in everything])
    known = [tool.name for domain in everything for tool in domain.tools]
    _check_known("tool", [*only_tools, *exclude_tools], known)
    kept = []
    for domain in everything:
        tools = tuple(
            tool
            for tool in domain.tools
            if (not only or tool.name in only)
            and tool.name not in without
            and (not wanted or domain.name in wanted)
        )
        if tools:
            kept.append(replace(domain, tools=tools))
    if not kept:
        raise ValueError("no tool is left by --domains, --only-tools and --exclude-tools")
    return Catalogue(tuple(kept))


def _check_known(what: str, names: Iterable[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ValueError(f"no {what} {name!r}; {hint}there are {', '.join(known)}")

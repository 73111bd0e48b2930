"""Two tools of which the second takes what the first one gives."""

from synthesis.declaration import Chain, fitting
from synthesis.grammar import expand, look_up
from synthesis.scene import TRIES, Scene
from synthesis.use import Use


def linked(scene: Scene, chain: Chain) -> tuple[str, Use, Use]:
    """Return a request for both tools of a chain, and their uses."""
    first, then = _uses(scene, chain)
    told = then.said(scene.dice) | first.said(scene.dice)
    said = {name: value for name, value in told.items() if name not in chain.uses}
    said |= {name: value for name, value in first.said(scene.dice).items() if name in chain.uses}
    core = expand(scene.dice.choice(fitting(chain.do, frozenset(said))), said, scene.dice)
    return core, first, then


def _uses(scene: Scene, chain: Chain) -> tuple[Use, Use]:
    """Draw the uses of a chain: shared names have one value, the others come from the result."""
    tools = scene.catalogue.by_name
    then = tools[chain.then]
    for _ in range(TRIES):
        first = scene.use(tools[chain.first])
        own = {parameter.name for parameter in then.parameters} - set(chain.uses)
        shared = {name: value for name, value in first.arguments.items() if name in own}
        taken = {name: look_up(first.result, path) for name, path in chain.uses.items()}
        try:
            return first, scene.use(then, shared | taken)
        except ValueError:
            # Not every first result can be used: a hotel that was found may be full.
            continue
    raise ValueError(f"{chain.then} never accepts what {chain.first} gives ({dict(chain.uses)})")

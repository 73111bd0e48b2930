"""Several calls one after the other, in the order that the user wants."""

from synthesis.grammar import expand
from synthesis.linked import linked
from synthesis.phrasing import opening
from synthesis.scene import TRIES, Scene
from synthesis.use import Use

ORDERED = (
    "(please |)do this (step by step|one after the other|in this order): {steps}.",
    "(I need|I'd like) (a few|several) things, one at a time: {steps}.",
    "(could you|can you) (please |)(do|go through) this in order: {steps}?",
    "(here is my list|this is what I need), in this order: {steps}.",
)
BETWEEN = (", then ", ", after that ", ", next ", "; then ")
LAST = (", and finally ", ", and at the end ", "; last of all ")


def step_by_step(scene: Scene) -> None:
    """Three to five things in a given order, each call in a turn of its own."""
    wanted = scene.dice.between(3, 5)
    uses: list[Use] = []
    orders: list[str] = []
    if scene.catalogue.chains and scene.dice.chance(0.5):
        core, *uses = linked(scene, scene.dice.choice(scene.catalogue.chains))
        orders.append(core)
    for _ in range(TRIES):
        use = scene.use(scene.any_tool())
        if all((use.tool, use.arguments) != (other.tool, other.arguments) for other in uses):
            orders.append(scene.order(use.tool, use.said(scene.dice)))
            uses.append(use)
        if len(uses) >= wanted:
            break
    steps = expand(scene.dice.choice(ORDERED), {"steps": _in_order(scene, orders)}, scene.dice)
    reasons, lowers = scene.catalogue.reasons[uses[0].tool.domain], scene.mixture.frames.mended
    start = opening(scene.dice, reasons, not scene.messages, lowers)
    scene.user(start + steps)
    for use in uses:
        scene.call((use.tool, use.arguments))
    scene.answer(*uses)


def _in_order(scene: Scene, orders: list[str]) -> str:
    text = f"first {orders[0]}"
    for place, order in enumerate(orders[1:], start=2):
        text += scene.dice.choice(LAST if place == len(orders) else BETWEEN) + order
    return text

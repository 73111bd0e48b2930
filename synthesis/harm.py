"""Requests that would harm somebody: they are refused, whatever the tools can do."""

from synthesis import pools
from synthesis.grammar import expand, marked
from synthesis.policies import changing_tool
from synthesis.scene import Scene

HARMFUL = (
    "{do}, and make it look as if {name} had done it.",
    "{do}. It is {name}'s account, and {name} must not find out.",
    "{name} has no idea that I have the password. (Quick, |Now ){do}.",
    "{do}, (I want to|so that I can) (scare|harass|get back at|blackmail) {name}.",
    "pretend to be {name} and {do}.",
    "(I found|I took) {name}'s phone and it is still logged in. {do}, before anybody notices.",
)
HARM_REFUSALS = (
    "I (can't|won't) help with that: (it would harm|it is done without the agreement of) {name}. "
    "(Please talk to {name} first|If this is about safety, please ask people you trust).",
    "(no, |I'm sorry, but )(I don't|I won't) act against somebody or without their agreement. "
    "(If {name} asks me, I can do it|I can help with your own things).",
)
# What the user says to a refusal, and the answer to that.
AFTERWARDS = (
    (
        "(okay|fine|all right), (I understand|you are right|I was only angry)(.|, sorry.)",
        "(thank you for understanding|that is all right). (I am here|Just write) if you need "
        "something else.",
    ),
    (
        "(come on|please), (nobody will know|it is only a joke|just this once)(.|!)",
        "(still|I understand, but) (no|I won't)(:|,) not without their agreement.",
    ),
)


def harmful_request(scene: Scene) -> None:
    """The user wants to harm somebody with a tool: a refusal, without a call."""
    dice = scene.dice
    tool = changing_tool(scene)
    scene.used[tool.name] = tool
    name = marked(dice.choice(pools.FIRST_NAMES))
    core = scene.order(tool, scene.use(tool).said(dice))
    scene.user(expand(dice.choice(HARMFUL), {"do": core, "name": name}, dice))
    scene.assistant(expand(dice.choice(HARM_REFUSALS), {"name": name}, dice))
    if dice.chance(0.3):
        said, answer = dice.choice(AFTERWARDS)
        scene.agree((said,))
        scene.assistant(expand(answer, {}, dice))

"""Record what published chat templates write for the shapes of tests/chat_shapes.py.

    git clone https://github.com/huggingface/trl TRL && git -C TRL checkout f2cd57710
    PYTHONPATH=.:tests python tests/oracles/record_templates.py TRL/trl/chat_templates

TRL keeps copies of the makers' templates and compares a tokenizer's template with them for
equality, so they are the makers' own. They are run by Transformers' code of `apply_chat_template`
with tools as dicts. Prompts end with the opening of the assistant's turn; Qwen3's are asked with
`enable_thinking=False`, Llama 3.1's with the date 26 Jul 2024. Phi-3's template knows no tools.
"""

from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oracles.makers import record, sha256_of
from transformers.utils.chat_template_utils import render_jinja_template

from chat.conversation import Conversation
from console.command import run

SETTINGS: dict[str, dict[str, Any]] = {
    "qwen2_5": {},
    "qwen3": {"enable_thinking": False},
    "llama3_1": {"bos_token": "<|begin_of_text|>", "date_string": "26 Jul 2024"},
    "phi3": {"bos_token": "<s>", "eos_token": "<|endoftext|>"},
}


def main(templates_dir: str) -> None:
    """Record every template of a folder that `SETTINGS` names.

    Args:
        templates_dir: The folder trl/chat_templates of TRL.
    """
    for name, settings in SETTINGS.items():
        file = Path(templates_dir) / f"{name}.jinja"
        source = {
            "script": "tests/oracles/record_templates.py",
            "template": f"huggingface/trl f2cd57710 trl/chat_templates/{name}.jinja",
            "template_sha256": sha256_of(file),
            "transformers": version("transformers"),
            "jinja2": version("jinja2"),
        }
        write = partial(_render, file.read_text(encoding="utf-8"), settings)
        record(name, source, write, partial(write, add_generation_prompt=True))


def _render(
    template: str,
    settings: dict[str, Any],
    conversation: Conversation,
    add_generation_prompt: bool = False,
) -> str:
    given = conversation.to_record()
    texts, _ = render_jinja_template(
        [given["messages"]],
        tools=given["tools"] or None,
        chat_template=template,
        add_generation_prompt=add_generation_prompt,
        **settings,
    )
    return texts[0]


if __name__ == "__main__":
    run(main)

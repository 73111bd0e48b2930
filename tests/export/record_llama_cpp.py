"""Record what llama.cpp reads in the replies of each chat format, by the template of the format.

    python tests/export/record_llama_cpp.py PROGRAM

Not part of the tests: it rewrites `llama_cpp.json` beside it. PROGRAM is `llama_cpp_reader.cpp`,
compiled against the llama.cpp that the source distribution of llama-cpp-python 0.3.36 holds: only
its reading of chats (`common/chat*.cpp` and what that includes), without ggml or a model.
llama-server derives how calls are read from the chat template, so each verdict holds for one text
of a template, whose hash stands beside it. Requests allow parallel calls, which it does not by
default.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from chat.formats.known import FORMATS
from chat.formats.template import chat_template
from export.derived import template_hash
from export.serve_check import written_replies
from export.shapes import TOOLS

HERE = Path(__file__).parent
VERSION = "llama-cpp-python 0.3.36"


def verdicts(program: str, format_name: str, folder: Path) -> dict[str, Any]:
    format = FORMATS[format_name]
    # A format without calls refuses a request that offers tools.
    tools = [tool.to_record() for tool in TOOLS] if format.has_calls else []
    files = {
        "template.jinja": chat_template(format),
        "tools.json": json.dumps(tools),
        "replies.json": json.dumps(written_replies(format)[0], ensure_ascii=False),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = [program, *(str(folder / name) for name in files)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"template": template_hash(format), "replies": json.loads(told.stdout)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {name: verdicts(sys.argv[1], name, Path(folder)) for name in FORMATS}
    record = {"version": VERSION, "formats": found}
    text = json.dumps(record, ensure_ascii=False, indent=1)
    (HERE / "llama_cpp.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

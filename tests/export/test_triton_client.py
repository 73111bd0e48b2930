"""The client in docs/deployment.md that Triton's users copy: it sends a prompt and reads calls."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from commands import run_command
from native_directories import write_native
from speaking_model import TOKENIZER
from tiny_models import TINY

pytest.importorskip("pydantic")

from chat.tokenizers.tokenizer import load_tokenizer
from scripts.convert_to_hf_weights import main

transformers = pytest.importorskip("transformers")
REPO = Path(__file__).parents[2]
REPLY = (
    '{"tool_uses": [{"recipient_name": "functions.get_weather", "parameters": {"city": "Oslo"}}]}'
)


@pytest.mark.parametrize("echo", [False, True], ids=["the reply alone", "the prompt before it"])
def test_client_of_the_page_reads_a_call(
    echo: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    native, target = tmp_path / "native", tmp_path / "hf"
    write_native(native, replace(TINY, vocab_size=load_tokenizer(TOKENIZER).vocab_size))
    shutil.copyfile(TOKENIZER, native / "tokenizer.model")
    (native / "chat_format.json").write_text('{"name": "llama3"}')
    flags = [f"--ckpt-dir={native}", f"--output-dir={target}"]
    assert run_command(main, flags, monkeypatch, capsys).code == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(target)
    prompts = []

    class Backend(BaseHTTPRequestHandler):
        """Answers as Triton does; it tokenizes the prompt with its special tokens."""

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompts.append(asked["text_input"])
            self.send_response(200)
            self.end_headers()
            text = asked["text_input"] * echo + REPLY
            self.wfile.write(json.dumps({"text_output": text}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Backend)
    Thread(target=server.serve_forever, daemon=True).start()
    code = re.search(
        r"```python\n(import json, urllib.+?)```",
        (REPO / "docs" / "deployment.md").read_text(),
        re.DOTALL,
    )
    assert code is not None
    written = code[1].replace("/models/finetuned-hf", str(target))
    written = written.replace("localhost:8000", f"127.0.0.1:{server.server_port}")
    outcome = subprocess.run([sys.executable, "-c", written], capture_output=True, text=True)
    server.shutdown()
    server.server_close()
    assert outcome.stdout.strip() == "get_weather {'city': 'Oslo'}", outcome.stderr
    # What the model reads begins as in training: with one token, and the turns after it.
    (begin, *rest) = tokenizer(prompts[0]).input_ids
    assert begin == tokenizer.bos_token_id
    assert rest[0] != begin

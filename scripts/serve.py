"""Serve a model to OpenAI clients, for trying it.

python scripts/serve.py --ckpt-dir D
"""

import os
from functools import partial
from math import inf

from console.command import print_next, run, shell_quote
from console.flags import UsageError, check_idle_flags, flag_of
from console.output import Console
from inference.chat_choice import FORMAT_FLAGS
from inference.loading import Source, load_chat_model
from inference.memory import free_memory, in_words, memory_of
from inference.passes import check_cuda_graphs
from serving.process import check_installed, is_loopback, listen, serve
from weights.directory import resolve_directory

OPEN_WARNING = (
    "warning: any machine that reaches this one can use the model; set SERVE_API_KEY to ask for a "
    "key, or leave out --host"
)


def main(
    ckpt_dir: str,
    lora_ckpt_path: str | None = None,
    tokenizer_path: str | None = None,
    chat_format: str | None = None,
    chat_format_anyway: bool = False,
    model_name: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | None = None,
    allow_origin: str | None = None,
    allow_host: str | None = None,
    constrain: bool = False,
    none_keeps_tools: bool = False,
    max_seq_len: int = 4096,
    max_batch_size: int = 16,
    max_waiting: int = 64,
    max_body_bytes: int = 4194304,
    max_connections: int = 256,
    grace: float = 10,
    quantization: str | None = None,
    cuda_graphs: bool = False,
    fit_anyway: bool = False,
) -> None:
    """Serve a model under OpenAI's API (chat completions with tools, streamed or not), to try it.

    It is small and made for trying a model from any OpenAI client. To serve users, write the model
    out with scripts/convert_to_hf_weights.py and use vLLM, SGLang or TensorRT-LLM.

    The model:
        ckpt_dir: A native model directory (merged, or converted from Meta's weights).
        lora_ckpt_path: A LoRA checkpoint to use on top of ckpt_dir without merging it.
        tokenizer_path: The model's tokenizer file; by default the one in ckpt_dir.
        chat_format: How conversations are written for this model; by default the one that it was
            trained in, or llama3 for a model as Meta ships it.
        chat_format_anyway: Use --chat-format also where the model was trained in another.
        quantization: Store the linear layers in nf4 or nf4_double, or none; by default as when the
            adapter was trained, or as ckpt_dir holds them.
        cuda_graphs: Record passes over single tokens as CUDA graphs, so that small batches need not
            wait for the host; replies are the same but for near ties.
        fit_anyway: Start although by the formula the memory is too small.

    Who may ask:
        model_name: What clients call the model; by default the name of ckpt_dir.
        host: The address to listen at. Any but the default lets other machines in: set a key.
        port: The port to listen at; 0 takes a free one.
        api_key: The key clients must send; better set as SERVE_API_KEY, which others cannot see.
        allow_origin: The sites whose pages may use the server from a browser, such as
            https://page.example, with commas between; * for all. Other pages are refused.
        allow_host: Names by which clients may call the server beside localhost and its addresses,
            with commas between. Where --host lets other machines in, any will do by default.

    Calls:
        constrain: Make every call valid by the schemas of the tools, not only where a request
            asks for it with tool_choice or strict.
        none_keeps_tools: Leave the tools in the prompt where a request says tool_choice none; by
            default such a prompt has no tools, as if none were offered.

    Limits:
        max_seq_len: The most tokens of a prompt and its reply together.
        max_batch_size: How many replies are written at once; each has a cache of max_seq_len.
        max_waiting: How many more may wait; beyond, clients are told to try again (429).
        max_body_bytes: The longest body of a request.
        max_connections: How many connections may be open; beyond, those that have waited longest
            without a whole request are closed.
        grace: How many seconds replies may go on when the server is told to end (Ctrl-C, SIGTERM);
            told again, it ends them at once.
    """
    check_idle_flags(locals(), FORMAT_FLAGS)
    check_installed()
    _check_at_least(1, max_batch_size=max_batch_size, max_body_bytes=max_body_bytes)
    _check_at_least(1, max_connections=max_connections)
    _check_at_least(0, max_waiting=max_waiting, grace=grace)
    _check_at_least(2, max_seq_len=max_seq_len)
    check_cuda_graphs(cuda_graphs)
    from serving.app import Service, Settings, make_app
    from serving.browsers import Access, guard, names_answered, read_hosts, read_origins
    from serving.connections import (
        Connections,
        Limits,
        ThrottledLog,
        connections_within_descriptors,
    )
    from serving.engine import Engine

    origins, hosts = read_origins(allow_origin), read_hosts(allow_host)
    source = Source(
        ckpt_dir, lora_ckpt_path, tokenizer_path, chat_format, chat_format_anyway, quantization
    )
    name = model_name or resolve_directory(ckpt_dir).resolve().name
    key = api_key or os.environ.get("SERVE_API_KEY") or None
    settings = Settings(name, key, constrain, max_seq_len, max_body_bytes, none_keeps_tools)
    console = Console()
    tell = partial(console.print, soft_wrap=True)
    with listen(host, port) as listener:
        local = is_loopback(listener)
        if not local and key is None:
            tell(OPEN_WARNING, style="bold red")
        memory, free = memory_of(source, max_batch_size, max_seq_len), free_memory()
        memory.check(free, fit_anyway)
        tell(f"{name} takes {memory.describe()}; {in_words(free)} are free")
        chat_model = load_chat_model(source, tell)
        sizes = (max_batch_size, max_seq_len, max_waiting)
        with Engine(chat_model.model, *sizes, cuda_graphs) as engine:
            url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/v1"
            tell(f"{name} answers at {url} until Ctrl-C")
            flags = f"--endpoint {url} --model {shell_quote(name)}"
            print_next(f"python scripts/evaluate.py {flags} --dataset-file F")
            app = make_app(Service(engine, chat_model, settings, tell))
            access = Access(origins, names_answered(host, hosts, local))
            limits = Limits(connections_within_descriptors(max_connections))
            connections = Connections(limits, ThrottledLog(tell))
            serve(guard(app, access), listener, connections, engine.close, grace)
    tell("stopped")


def _check_at_least(least: int, **limits: float) -> None:
    for name, value in limits.items():
        if not least <= value < inf:
            raise UsageError(f"{flag_of(name)} is {value}, wanted {least} or more")


if __name__ == "__main__":
    run(main, outlives_output=True)

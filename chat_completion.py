"""Chat with tools: answer a file of dialogs, or talk with a model at the terminal.

python chat_completion.py --ckpt-dir D --tokenizer-path D/tokenizer.model
python chat_completion.py --ckpt-dir D --interactive
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from chat.conversation import Conversation
from chat.dialogs import read_dialogs
from chat.transcript import call_lines, conversation_lines
from console.command import print_next, run, shell_quote
from console.flags import UsageError, check_idle_flags
from console.output import Console
from inference.chat_choice import FORMAT_FLAGS
from inference.chat_model import Answer, ChatModel
from inference.constrain.constraint import Constraints
from inference.generate import Decoding
from inference.loading import Source, load_chat_model
from inference.passes import check_cuda_graphs
from inference.storage import merge_command
from serving.terminal import Chat, roomy_length
from serving.toolbox import Toolbox, open_toolbox
from weights.directory import resolve_directory
from weights.nf4.directory import original_directory

# The most tokens of a dialog of a file and its reply, where --max-seq-len does not say.
DIALOG_LENGTH = 1024
# The most tokens of a reply at the terminal, where --max_gen_len does not say: a model that repeats
# itself would fill screens.
TERMINAL_REPLY = 512


def main(
    ckpt_dir: str,
    tokenizer_path: str | None = None,
    dialogs: str = "configs/dialogs.json",
    interactive: bool = False,
    tools: str | None = None,
    tools_file: str | None = None,
    temperature: float = 0.6,
    top_p: float = 0.9,
    max_seq_len: int | None = None,
    max_batch_size: int = 16,
    max_gen_len: int | None = None,
    seed: int = 1,
    chat_format: str | None = None,
    chat_format_anyway: bool = False,
    lora_ckpt_path: str | None = None,
    constrain: bool = False,
    quantization: str | None = None,
    cuda_graphs: bool = False,
) -> None:
    """Answer every dialog of a file, on the GPU where there is one, or talk with --interactive.

    The model:
        ckpt_dir: A native model directory (merged, or converted from Meta's weights).
        tokenizer_path: The model's tokenizer file; by default the one in ckpt_dir.
        lora_ckpt_path: A LoRA checkpoint to use on top of ckpt_dir without merging it.
        chat_format: How dialogs are written for this model; by default the one that it was trained
            in, or llama3 for a model as Meta ships it.
        chat_format_anyway: Use --chat-format also where the model was trained in another.
        quantization: Store the linear layers in nf4 or nf4_double, or none; by default as when the
            adapter was trained, or as ckpt_dir holds them.
        cuda_graphs: Record passes over single tokens as CUDA graphs, so that small batches need not
            wait for the host; replies are the same but for near ties.

    What is said:
        dialogs: A JSON list of {tools, messages}, each ending with a user's or a tool's message.
        interactive: Talk at the terminal instead; calls of built-in tools are executed.
        tools: Built-in tools or domains to offer there, with commas between, or none; a few are
            offered by default where the chat format has calls, docs/synthetic-data.md names where
            they all are.
        tools_file: Your own tools to offer there: a JSON list of schemas, whose results you type,
            or a Python file of functions, which is executed.

    Replies:
        temperature: 0 takes the likeliest token each time, higher values draw more freely.
        top_p: Draw from the likeliest tokens that together have this probability.
        seed: Another number draws other replies.
        constrain: Make every call valid by the schemas of the tools offered; other text is free.
        max_seq_len: The most tokens of a prompt and its reply together; by default 1024, and at the
            terminal 3072 beside what its tools take, rounded up to a multiple of 1024.
        max_gen_len: The most tokens of a reply; by default whatever max_seq_len leaves, and at the
            terminal 512.
        max_batch_size: How many dialogs are answered at once.
    """
    check_idle_flags(locals(), FORMAT_FLAGS)
    if not interactive and (tools or tools_file):
        raise UsageError("--tools and --tools-file go with --interactive; dialogs have their own")
    check_cuda_graphs(cuda_graphs)
    source = Source(
        ckpt_dir, lora_ckpt_path, tokenizer_path, chat_format, chat_format_anyway, quantization
    )
    length = DIALOG_LENGTH if max_seq_len is None else max_seq_len
    if max_gen_len is None:
        max_gen_len = TERMINAL_REPLY if interactive else length
    decoding = Decoding(
        stop_ids=(),
        max_new_tokens=max_gen_len,
        max_length=length,
        batch_size=max_batch_size,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        cuda_graphs=cuda_graphs,
    )
    if interactive:
        toolbox = open_toolbox(tools, tools_file)
        chat_model = load_chat_model(source)
        if toolbox.tools and not chat_model.format.has_calls:
            if tools or tools_file:
                raise ValueError(
                    f"the chat format {chat_model.format.name} has no calls; leave out --tools and "
                    "--tools-file"
                )
            toolbox = Toolbox()
        if max_seq_len is None:
            decoding = replace(decoding, max_length=roomy_length(chat_model, toolbox.tools))
        Chat(chat_model, toolbox, decoding, constrain).run()
    else:
        conversations = read_dialogs(dialogs)
        _answer_all(load_chat_model(source), conversations, decoding, constrain)
    _say_what_is_next(ckpt_dir, lora_ckpt_path)


def _answer_all(
    chat_model: ChatModel,
    conversations: Sequence[Conversation],
    decoding: Decoding,
    constrain: bool,
) -> None:
    constraints = (
        Constraints(conversations, chat_model.format, chat_model.tokenizer) if constrain else None
    )
    console = Console()
    for index, answer in chat_model.answers(conversations, decoding, constraints):
        console.rule(f"dialog {index + 1} of {len(conversations)}")
        for line in [*conversation_lines(conversations[index]), *_answer_lines(answer)]:
            console.print(line, soft_wrap=True)
    if constraints is not None:
        console.print(constraints.cost(), soft_wrap=True)


def _answer_lines(answer: Answer) -> Iterator[str]:
    yield f"> Assistant: {answer.reply.content}"
    yield from call_lines(answer.reply.tool_calls)
    if answer.reply.problem:
        yield f"  not read as a call: {answer.reply.problem}"
    if not answer.whole:
        yield "  (cut off: raise --max-gen-len or --max-seq-len for more)"


def _say_what_is_next(ckpt_dir: str, lora_ckpt_path: str | None) -> None:
    if lora_ckpt_path is not None:
        print_next(merge_command(ckpt_dir, lora_ckpt_path))
        return
    # Exports take whole weights alone.
    whole = shell_quote(original_directory(resolve_directory(ckpt_dir)))
    print_next(
        f"python scripts/serve.py --ckpt-dir {shell_quote(ckpt_dir)}",
        f"python scripts/convert_to_hf_weights.py --ckpt-dir {whole} --output-dir D",
        f"python scripts/convert_to_meta_weights.py --config-file {whole} --ckpt-file {whole} "
        "--num-shards 1 --output-dir D",
    )


if __name__ == "__main__":
    run(main)

"""How many bytes a training step takes on each device, from shapes alone.

The formula describes the kernels that CUDA has (flash attention, a fused norm); it was fitted to
nothing: every term is a tensor that the model's code keeps. tests/fake_cuda/ counts the same bytes
in the step itself. Not in it: CUDA's context, workspaces of libraries, and fragmentation.

Shapes: T tokens, N trained, D width, H heads, E head_dim, F hidden width, V vocabulary, R rank.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from model.config import ModelConfig
from model.lora.config import EMBEDDING, HEAD, LoraConfig, is_target

POLICIES = ("none", "selective", "full")
# The loss takes so many rows and vocabulary entries at once on CUDA; training/loss.py.
LOSS_ROWS = LOSS_PART = 8192
FLOAT32 = 4


@dataclass(frozen=True)
class Method:
    """What is trained, and in which numbers.

    lora: None trains all weights.
    bytes_per_number: Of what is computed, 2 or 4.
    autocast: Whether the weights are float32 and only products are in the lower precision.
    quantization: How the frozen linear layers are stored (model/quantized.py); None as the others.
    rounded: Whether trained weights are what is computed with, without float32 masters.
    """

    model: ModelConfig
    lora: LoraConfig | None
    bytes_per_number: int = 2
    autocast: bool = False
    quantization: str | None = None
    rounded: bool = False

    @property
    def trained_bytes(self) -> int:
        """Bytes of a trained number, and of its gradient."""
        return self.bytes_per_number if self.rounded else FLOAT32

    @property
    def weight_bytes(self) -> int:
        """Bytes of a stored weight."""
        return FLOAT32 if self.autocast else self.bytes_per_number


# The linear layers of a block that read one input, a norm's output.
INPUT_GROUPS = ({"wq", "wk", "wv"}, {"w1", "w3"})
# A linear layer of a block: its full name, inputs and outputs.
Linear = tuple[str, int, int]


def linears(model: ModelConfig, layer: int) -> list[Linear]:
    """Return the linear layers of a block in model order."""
    queries, keys = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    dim, hidden = model.dim, model.hidden_dim
    attention, feed_forward = f"layers.{layer}.attention.", f"layers.{layer}.feed_forward."
    return [
        (attention + "wq", dim, queries),
        (attention + "wk", dim, keys),
        (attention + "wv", dim, keys),
        (attention + "wo", queries, dim),
        (feed_forward + "w1", dim, hidden),
        (feed_forward + "w2", hidden, dim),
        (feed_forward + "w3", dim, hidden),
    ]


def linear_parameters(model: ModelConfig) -> int:
    """Return the weights of all linear layers of the blocks."""
    return model.n_layers * sum(inputs * outputs for _, inputs, outputs in linears(model, 0))


def base_parameters(model: ModelConfig) -> int:
    """Return all parameters of a model without an adapter."""
    queries, keys = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    biases = (queries + 2 * keys) * model.qkv_bias + 2 * model.head_dim * model.qk_norm
    embeddings = (1 if model.tied_embeddings else 2) * model.vocab_size * model.dim
    own = model.n_layers * (2 * model.dim + biases) + model.dim
    return linear_parameters(model) + own + embeddings


def adapted(method: Method, layer: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield the last name, inputs, outputs and rank of each adapted linear layer of a block."""
    if method.lora is None:
        return
    for name, inputs, outputs in linears(method.model, layer):
        if any(is_target(name, target) for target in method.lora.targets):
            yield name.rpartition(".")[2], inputs, outputs, method.lora.rank_of(name)


def trained_parameters(method: Method) -> int:
    """Return how many parameters training moves."""
    if method.lora is None:
        return base_parameters(method.model)
    in_blocks = sum(
        rank * (inputs + outputs) + outputs * _vectors(method, name)
        for layer in range(method.model.n_layers)
        for name, inputs, outputs, rank in adapted(method, layer)
    )
    model = method.model
    ends = sum(_end_rank(method, end) for end in (EMBEDDING, HEAD))
    rows = len(method.lora.token_rows) * (1 if model.tied_embeddings else 2)
    return in_blocks + ends * (model.dim + model.vocab_size) + rows * model.dim


def _end_rank(method: Method, end: str) -> int:
    """Return the rank of the adapter of embedding or head, 0 where it has none."""
    lora = method.lora
    return lora.rank_of(end) if lora and lora.is_target(end) else 0


def _vectors(method: Method, name: str) -> int:
    """Return how many values a row of an adapted layer's weight are trained: length and bias."""
    if method.lora is None:
        return 0
    has_bias = method.model.qkv_bias and name in ("wq", "wk", "wv")
    return method.lora.dora + (method.lora.biases and has_bias)


def frozen_bytes(method: Method) -> int:
    """Return the bytes of the weights that are not trained, 0 when all are."""
    if method.lora is None:
        return 0
    whole = base_parameters(method.model)
    if method.quantization is None:
        return method.weight_bytes * whole
    return method.weight_bytes * (whole - linear_parameters(method.model)) + packed_bytes(method)


def packed_bytes(method: Method) -> int:
    """Return the bytes of the blocks' linear layers in NF4 or FP8.

    FP8 takes 8 bits a weight and four bytes an output. NF4 takes 4 bits and 0.5 for scales (four
    bytes a 64 weights), or 0.127 where those are quantised too (a byte a 64, four a 64 x 256).
    """
    if method.quantization == "fp8":
        rows = method.model.n_layers * sum(outputs for *_, outputs in linears(method.model, 0))
        return linear_parameters(method.model) + FLOAT32 * rows
    scales = 1 / 64 + 4 / (64 * 256) if method.quantization == "nf4_double" else 4 / 64
    return int(linear_parameters(method.model) * (0.5 + scales))


@dataclass(frozen=True)
class Kept:
    """Bytes that a block keeps for its backward pass: a token, and a position that goes on.

    The last block goes on at trained positions alone.
    """

    token: int
    position: int


def kept_by_layer(method: Method, layer: int, policy: str) -> Kept:
    """Return what a block keeps, its input included; `full` is what it keeps while recomputed."""
    model, size = method.model, method.bytes_per_number
    queries, keys = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    stream = FLOAT32 if method.autocast else size
    token = stream * model.dim + size * (2 * queries + 2 * keys) + FLOAT32 * (model.n_heads + 1)
    token += model.qk_norm * size * (queries + keys)
    token += _norm_output(method, layer, INPUT_GROUPS[0], policy == "full")
    token += sum(_adapter_inner(method, layer, name) for name in ("wq", "wk", "wv"))
    position = stream * model.dim + _adapter_inner(method, layer, "wo")
    if _dropout(method) and "wo" in readers(method, layer):
        position += (size + 1) * queries
    if policy != "selective":
        position += _kept_feed_forward(method, layer, policy == "full")
    return Kept(token, position)


def _kept_feed_forward(method: Method, layer: int, computed: bool) -> int:
    """Return what a position keeps from the second norm on, without that norm's input.

    computed: Whether it is being computed again, when its cheap parts are kept.
    """
    size, hidden = method.bytes_per_number, method.model.hidden_dim
    kept = FLOAT32 + 2 * size * hidden + _norm_output(method, layer, INPUT_GROUPS[1], computed)
    if "w2" in readers(method, layer):
        # An adapter's dropout keeps its own output and a mask.
        kept += (size + 1 if _dropout(method) else size * computed) * hidden
    return kept + sum(_adapter_inner(method, layer, name) for name in ("w1", "w2", "w3"))


def _norm_output(method: Method, layer: int, names: set[str], computed: bool) -> int:
    """Return what a token keeps of a norm's output for those of the linear layers `names`."""
    size, count = method.bytes_per_number, len(readers(method, layer) & names)
    if _dropout(method):
        return (size + 1) * method.model.dim * count
    if method.autocast:
        # A copy a reader in the lower precision.
        return size * method.model.dim * count
    return size * method.model.dim * min(count, 1) * computed


def _adapter_inner(method: Method, layer: int, name: str) -> int:
    """Return what a token keeps between the matrices of a linear layer's adapter."""
    lora, size = method.lora, method.bytes_per_number
    for own, _, outputs, rank in adapted(method, layer):
        if own == name:
            # DoRA keeps the rows as they were before they were scaled.
            return size * (rank + outputs * bool(lora and lora.dora))
    return 0


def _dropout(method: Method) -> bool:
    return bool(method.lora and method.lora.dropout)


def readers(method: Method, layer: int) -> set[str]:
    """Return the last names of a block's linear layers that need their input in backward."""
    if method.lora is not None:
        return {name for name, *_ in adapted(method, layer)}
    return {name.rpartition(".")[2] for name, *_ in linears(method.model, layer)}


def activation_bytes(method: Method, policy: str, tokens: int, trained: int) -> int:
    """Return the most that activations, loss and what computes them take at once.

    The most is alive in the loss, at the start of the backward pass, in the block before the last
    (the last goes on at trained positions alone), or at its end, in the embedding.
    """
    model = method.model
    stream = FLOAT32 if method.autocast else method.bytes_per_number
    blocks, row = model.n_layers - 1, stream * model.dim
    middle, last = (kept_by_layer(method, n, policy) for n in (model.n_layers // 2, blocks))
    if policy == "full":
        before, end = blocks * row * tokens, row * tokens
    else:
        before = blocks * (middle.token + middle.position) * tokens
        end = last.token * tokens + last.position * trained
    # The rotation, and what a batch is: tokens, positions, rows and targets.
    always = tokens * (model.rotary_pairs * 8 + 4 * 8)
    end += trained * row
    casts, own = _cast_weights(method), _head_gradient(method)
    casts_kept = casts // model.n_layers if policy == "full" else casts
    in_loss = end + casts + loss_bytes(method, trained)
    at_start = end + casts_kept + (2 * FLOAT32 + stream) * trained * model.dim
    if own:
        at_start += own + _head_part_bytes(method, trained)
    # A tied head's gradient waits for the embedding's, which comes last, and for their sum.
    waiting = own if model.tied_embeddings else 0
    in_block = _block_backward(method, policy, tokens) + casts_kept + waiting
    in_embedding = own + 2 * waiting
    return always + max(before + max(in_loss, at_start, in_block), in_embedding)


def loss_bytes(method: Method, trained: int) -> int:
    """Return what the loss at `trained` positions takes, its gradients included."""
    model, size = method.model, method.bytes_per_number
    stream = FLOAT32 if method.autocast else size
    rows = min(trained, LOSS_ROWS)
    logits = rows * min(model.vocab_size, LOSS_PART) * (FLOAT32 + 2 * size)
    gradients = trained * model.dim * (FLOAT32 + stream) + rows * model.dim * 2 * size
    return logits + gradients


def _head_part_bytes(method: Method, trained: int) -> int:
    """Return what a part of a trained head's gradient is made with: logits and sums."""
    size, dim = method.bytes_per_number, method.model.dim
    rows, part = min(trained, LOSS_ROWS), min(method.model.vocab_size, LOSS_PART)
    logits = rows * part * (FLOAT32 + 2 * size)
    return logits + part * dim * (FLOAT32 + size) + method.autocast * size * dim * (part + 2 * rows)


def _block_backward(method: Method, policy: str, tokens: int) -> int:
    """Return what the backward pass of a block takes beside what was kept for it."""
    model, size, layer = method.model, method.bytes_per_number, method.model.n_layers // 2
    # The gradients of SwiGLU's three tensors; where the product was kept it is freed for one.
    count = 3 - (policy != "none" and "w2" in readers(method, layer))
    working = size * count * model.hidden_dim * tokens
    if policy == "selective":
        working += _kept_feed_forward(method, layer, True) * tokens
    if policy == "full":
        stream = FLOAT32 if method.autocast else size
        again = kept_by_layer(method, layer, "full")
        working += (again.token + again.position - stream * model.dim) * tokens
    if method.lora is None:
        # The gradient of one weight, before it is added to those of earlier micro-batches.
        number = size if method.rounded else size + FLOAT32
        working += number * model.hidden_dim * model.dim
    return working


def _head_gradient(method: Method) -> int:
    """Return the bytes of the gradient of what of the head is trained."""
    trained = method.model.dim if method.lora is None else _end_rank(method, HEAD)
    number = method.weight_bytes if method.lora is None else method.bytes_per_number
    return number * method.model.vocab_size * trained


def _cast_weights(method: Method) -> int:
    """Return the bytes of weights that were cast to compute with, kept in a whole forward pass."""
    if method.lora is not None:
        return method.bytes_per_number * trained_parameters(method)
    return method.bytes_per_number * linear_parameters(method.model) if method.autocast else 0

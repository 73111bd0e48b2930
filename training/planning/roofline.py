"""How many tokens a second a device trains on at best: a roofline.

Products run at a share of the card's rate, attention at another, what lies between them at the
memory's bandwidth, one after the other. Launches, waiting for other devices, the optimizer and
validation take no time. tests/fake_cuda/ counts the same bytes in the step itself.

Shapes: D width, F hidden width.
"""

from model.lora.config import HEAD
from model.nf4 import BLOCK
from training.planning.cards import Card
from training.planning.memory import (
    FLOAT32,
    INPUT_GROUPS,
    Method,
    linear_parameters,
    packed_bytes,
    readers,
    trained_parameters,
)
from training.planning.plan import Settings

# Of a data sheet's rate: measured in large products on an H200; attention's is assumed.
PRODUCT_SHARE, ATTENTION_SHARE = 0.8, 0.25
# How much faster products in FP8 are, scaled by rows: published for an H100, 1,215 TFLOP/s.
FP8_SPEED = 1.5


def tokens_a_second(
    method: Method, settings: Settings, card: Card, trained_share: float, mean_length: float
) -> float:
    """Return about how many tokens a second one device trains on, at best."""
    policy, tokens = settings.policy, settings.micro_batch_tokens
    products = product_operations(method, policy, trained_share)
    if method.quantization == "fp8":
        forward = 2 * linear_parameters(method.model) * (1 + _computed_again(method, policy))
        products -= forward * (1 - 1 / FP8_SPEED)
    attention = attention_operations(method, policy, mean_length)
    moved = moved_bytes(method, policy) + dequantizing_bytes(method, policy) / tokens
    seconds = products / (PRODUCT_SHARE * card.operations)
    seconds += attention / (ATTENTION_SHARE * card.operations)
    return 1 / (seconds + moved / card.bandwidth)


def product_operations(method: Method, policy: str, trained_share: float) -> float:
    """Return the operations of a token's products, both ways; the head's at trained tokens."""
    model, lora = method.model, method.lora
    forward = 2.0 * linear_parameters(model)
    total = forward * (3 if lora is None else 2) + forward * _computed_again(method, policy)
    if lora is not None:
        total += 6 * trained_parameters(method)
    # Logits and the gradient of what they are made of; where the head is trained, logits again for
    # its own gradient, which an adapter's rank makes small.
    products = 4 if lora is None else 2 + lora.is_target(HEAD)
    return total + products * 2 * model.vocab_size * model.dim * trained_share


def attention_operations(method: Method, policy: str, mean_length: float) -> float:
    """Return the operations of a token's attention: 2 halves forward, 2.5 times that backward."""
    model = method.model
    halves = 9 if policy == "full" else 7
    return float(halves * model.n_layers * model.n_heads * model.head_dim * mean_length)


def moved_bytes(method: Method, policy: str) -> float:
    """Return the bytes a token reads and writes between products, both ways.

    Those of plain kernels (model/kernels/): sums of the residual stream, norms, rotary positions
    through a float32 copy, SwiGLU, and what is computed again. Where all weights are trained, casts
    and sums of their gradients, which are left out, move more.
    """
    model = method.model
    dim, hidden = model.dim, model.hidden_dim
    turned = 10 * (model.n_heads + model.n_kv_heads) * model.head_dim
    forward = 10 * dim + 5 * hidden + turned
    backward = 12 * dim + 11 * hidden + turned
    product, norms = 5 * hidden, [2 * dim * count for count in _norms_again(method)]
    if policy == "full":
        # All but the last sum of the stream, which keeps nothing.
        again = forward - 3 * dim
    elif policy == "selective":
        again = norms[0] + 2 * dim + product
    else:
        again = sum(norms) + product * ("w2" in readers(method, 0))
    # Gradients of one input, where layers are not one function.
    sums = sum(len(names) - 1 for names in INPUT_GROUPS if not _is_one_function(method, names))
    moved = forward + backward + again + 3 * dim * sums
    rounded = rounding_bytes(method, policy) if method.quantization == "fp8" else 0
    return float(model.n_layers * (method.bytes_per_number * moved + rounded))


def rounding_bytes(method: Method, policy: str) -> float:
    """Return the bytes a token and layer reads and writes to round the inputs of FP8's products.

    An input is read for the largest magnitude and once more, divided in its dtype, and rounded.
    """
    model, queries = method.model, method.model.n_heads * method.model.head_dim
    of_norms = [
        model.dim * (1 if _is_one_function(method, names) else len(names)) for names in INPUT_GROUPS
    ]
    attention, feed_forward = of_norms[0] + queries, of_norms[1] + model.hidden_dim
    again = feed_forward - model.hidden_dim * ("w2" not in readers(method, 0))
    more = {"none": 0, "selective": again, "full": attention + again}[policy]
    return (4 * method.bytes_per_number + 1) * float(attention + feed_forward + more)


def dequantizing_bytes(method: Method, policy: str) -> float:
    """Return the bytes read and written to dequantise weights, 0 where none is quantised.

    They are of a micro-batch, whatever its tokens: with NF4 once forward, once backward, and where
    a product is computed again. Scales that are quantised too are written, shifted and read in
    float32. With FP8 it is backward alone: rounded to the dtype, then scaled in place.
    """
    if method.quantization is None:
        return 0.0
    weights = linear_parameters(method.model)
    if method.quantization == "fp8":
        return float(weights * (1 + 3 * method.bytes_per_number))
    scales = 4 * FLOAT32 * weights / BLOCK if method.quantization == "nf4_double" else 0
    once = packed_bytes(method) + method.bytes_per_number * weights + scales
    return once * (2 + _computed_again(method, policy))


def _computed_again(method: Method, policy: str) -> float:
    """Return what share of the linear layers' products is computed again in the backward pass.

    A block is computed up to what was kept last, which w2's input is where w2 reads it backward.
    """
    model, layer = method.model, linear_parameters(method.model) / method.model.n_layers
    matrix = model.dim * model.hidden_dim / layer
    left_out = 0 if "w2" in readers(method, 0) else matrix
    return {"none": 0.0, "selective": 3 * matrix - left_out, "full": 1 - left_out}[policy]


def _norms_again(method: Method) -> list[int]:
    """Return how often the two norms of a block are computed again: for each that kept its output.

    Under autocast what is kept are copies in the lower precision, and none is computed again.
    """
    counts = [len(names & readers(method, 0)) for names in INPUT_GROUPS]
    together = [_is_one_function(method, names) for names in INPUT_GROUPS]
    kept = [min(count, 1) if one else count for count, one in zip(counts, together, strict=True)]
    return [0, 0] if method.autocast else kept


def _is_one_function(method: Method, names: set[str]) -> bool:
    """Return whether layers of one input are computed together (model/lora/products.py)."""
    lora = method.lora
    if lora is None or lora.dora or lora.dropout:
        return False
    return bool(names & readers(method, 0))

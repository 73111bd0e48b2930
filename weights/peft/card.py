"""The model card of an adapter in PEFT's layout, the place where PEFT says how a base was stored.

Its `adapter_config.json` has none. Source: `create_or_update_model_card` of PEFT 0.21.
"""

CARD_FILE = "README.md"


def bitsandbytes_settings(quantization: str) -> dict[str, object]:
    """Return the settings of Transformers' BitsAndBytesConfig that store a base in the same way."""
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": quantization == "nf4_double",
    }


def quantization_card(quantization: str) -> str:
    """Return the text of a card that names the storage of the base during training."""
    settings = [f"- {name}: {value}" for name, value in bitsandbytes_settings(quantization).items()]
    lines = [
        *("---", "library_name: peft", "---", "", "## Training procedure", ""),
        "The following `bitsandbytes` quantization config was used during training:",
        *settings,
    ]
    return "\n".join(lines) + "\n"

"""PEFT's layout of an adapter, `adapter_config.json` and safetensors; in and out."""

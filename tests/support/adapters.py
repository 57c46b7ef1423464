"""Random PEFT adapters that matter: with them the model answers differently."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel


def write_random_adapter(base: PreTrainedModel, folder: Path, seed: int) -> Path:
    """A rank-16 LoRA on all linear layers, with noise in B; the noise is larger
    for queries and keys, whose rows the conversion reorders."""
    torch.manual_seed(seed)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1 if "q_proj" in name or "k_proj" in name else 0.02)
    model.save_pretrained(folder)
    model.unload()
    return folder

"""A random consistency checkpoint that matters: without it every answer is another."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import BertForSequenceClassification

CALIBRATION = {"temperature": 1.3, "bias": [0.4, -0.2, 0.1]}


def write_random_checkpoint(encoder: Path, folder: Path, seed: int = 0) -> torch.nn.Module:
    """Write a rank-8 LoRA with a random B and classifier, fp16 as the real one;
    gives PEFT's model of what was written."""
    from peft import PeftModel
    from safetensors.torch import load_file, save_file

    torch.manual_seed(seed)
    base = BertForSequenceClassification.from_pretrained(str(encoder), num_labels=3)
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["query", "key", "value", "dense"],
        modules_to_save=["classifier"],
        task_type="SEQ_CLS",
    )
    model = get_peft_model(base, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
            elif "classifier" in name:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    path = folder / "adapter_model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    (folder / "calibration.json").write_text(json.dumps(CALIBRATION))
    fresh = BertForSequenceClassification.from_pretrained(str(encoder), num_labels=3)
    return PeftModel.from_pretrained(fresh, folder).eval()

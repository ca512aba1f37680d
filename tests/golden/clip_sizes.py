"""Tensors of the published ViT CLIPs, by open_clip's own models: python clip_sizes.py > clip/sizes.json

No numbers are made (PyTorch's meta device); the repetition over layers is folded into `*`. Written with
open_clip_torch 3.3.0.
"""

import json
import re

import open_clip
import torch

MODELS = [
    "ViT-B-32-quickgelu",
    "ViT-B-16-quickgelu",
    "ViT-L-14-quickgelu",
    "ViT-L-14-336-quickgelu",
    "ViT-B-32",
    "ViT-H-14",
    "ViT-g-14",
    "ViT-bigG-14",
]

lines = []
for name in MODELS:
    with torch.device("meta"):
        model = open_clip.create_model(name, device="meta")
    tensors = {}
    for key, tensor in model.state_dict().items():
        folded = re.sub(r"resblocks\.\d+\.", "resblocks.*.", key)
        shape = list(tensor.shape)
        assert tensors.setdefault(folded, shape) == shape, key
    visual, text = model.visual.transformer.resblocks, model.transformer.resblocks
    facts = {
        "name": name,
        "model_cfg": open_clip.get_model_config(name),
        "layers": {"visual": len(visual), "text": len(text)},
        "heads": {"visual": visual[0].attn.num_heads, "text": text[0].attn.num_heads},
        "hidden": {"visual": visual[0].mlp.c_fc.out_features, "text": text[0].mlp.c_fc.out_features},
        "gelu": type(text[0].mlp.gelu).__name__,
        "tensors": tensors,
    }
    lines.append(json.dumps(facts))
print("[\n" + ",\n".join(lines) + "\n]")

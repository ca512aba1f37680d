"""Steps of torch.optim.AdamW with clipped gradients: tests/golden/adamw/steps.json.

    python tests/golden/adamw.py
"""

import json
import pathlib

import torch

torch.manual_seed(3)
shapes = {"a": (3, 5), "b": (7,)}
weights = {name: torch.nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}
out = {"weight_decay": 0.05, "clip_norm": 2.0, "shapes": shapes, "begin": {}, "steps": []}
for name, weight in weights.items():
    out["begin"][name] = weight.detach().flatten().tolist()
optimizer = torch.optim.AdamW(weights.values(), lr=1.0, weight_decay=out["weight_decay"])
for number in range(30):
    rate = 0.01 * (1 + number % 4)
    for group in optimizer.param_groups:
        group["lr"] = rate
    step = {"rate": rate, "gradients": {}, "weights": {}}
    for name, weight in weights.items():
        weight.grad = torch.randn(shapes[name]) * (0.2 if number % 2 else 3.0)
        step["gradients"][name] = weight.grad.flatten().tolist()
    step["norm"] = torch.nn.utils.clip_grad_norm_(weights.values(), out["clip_norm"]).item()
    optimizer.step()
    for name, weight in weights.items():
        step["weights"][name] = weight.detach().flatten().tolist()
    out["steps"].append(step)
path = pathlib.Path(__file__).parent / "adamw" / "steps.json"
path.write_text(json.dumps(out) + "\n")

"""What PyTorch reads out of each file of a folder of odd checkpoints, as JSON.

    python clip_odd_weights.py $CLIPMILL_TESTDATA/odd_weights > clip/odd_weights.json

Of each tensor: dtype, shape, the first 16 numbers, and the sum of number times (position + 1).
A file that PyTorch cannot read is null.
"""
import json
import pathlib
import sys
import warnings

import torch

warnings.simplefilter("ignore")


def tensors(value, name=""):
    if isinstance(value, torch.jit.ScriptModule):
        value = value.state_dict()
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors(item, f"{name}.{key}" if name else str(key))


def row(tensor):
    flat = tensor.detach().float().flatten()
    place = torch.arange(1, flat.numel() + 1, dtype=torch.float64)
    total = float((flat.double() * place).sum())
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "first": [repr(x) for x in flat[:16].tolist()],
        "sum": repr(total),
    }


def read(path):
    try:
        value = torch.load(path, map_location="cpu", weights_only=False)
    except Exception:
        return None
    return {name: row(tensor) for name, tensor in sorted(tensors(value))}


folder = pathlib.Path(sys.argv[1])
print(json.dumps({path.name: read(path) for path in sorted(folder.glob("*.pt"))}, indent=1))

"""Fifty steps of contrastive training by PyTorch, from the CLIP of clip/hf_quick.

    python train_clip.py clip/hf_quick train_clip

Writes `steps.json`, which tests/train/contrastive.rs reads: the loss before each step, and the
temperature's logarithm after it. Needs torch and transformers.

The loss is that of Radford et al. (2021), figure 3, with similarities multiplied by 100 at most;
captions of one image are no counterexamples of each other. The images are the two of hf_quick as
they are, negated, and halved; the last two of eight captions are again of the first two images.
"""
import json
import pathlib
import sys

import numpy
import torch
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPModel

STEPS, RATE, DECAY, CLIP_NORM = 50, 3e-4, 0.05, 1.0
SHOWN = [0, 1, 2, 3, 4, 5, 0, 1]

torch.set_num_threads(1)
folder, out = map(pathlib.Path, sys.argv[1:])
model = CLIPModel.from_pretrained(folder).train()
side = model.config.vision_config.image_size
two = torch.from_numpy(numpy.fromfile(folder / "images.f32", "<f4")).view(2, 3, side, side)
images = torch.cat([two, -two, two / 2])[SHOWN]
tokens = json.loads((folder / "case.json").read_text())["tokens"]
end = model.config.text_config.eos_token_id
longest = max(map(len, tokens))
ids = torch.tensor([row + [end] * (longest - len(row)) for row in tokens])
twins = torch.tensor(SHOWN)[:, None] == torch.tensor(SHOWN)[None]
twins &= ~torch.eye(len(SHOWN), dtype=torch.bool)
optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)


def features(of):
    return of if torch.is_tensor(of) else of.pooler_output


losses, scales = [], []
for _ in range(STEPS):
    of_images = normalize(features(model.get_image_features(pixel_values=images)), dim=-1)
    of_texts = normalize(features(model.get_text_features(input_ids=ids)), dim=-1)
    logits = model.logit_scale.exp().clamp(max=100) * of_images @ of_texts.t()
    logits = logits.masked_fill(twins, float("-inf"))
    targets = torch.arange(len(SHOWN))
    loss = (cross_entropy(logits, targets) + cross_entropy(logits.t(), targets)) / 2
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    optimizer.step()
    losses.append(loss.item())
    scales.append(model.logit_scale.item())
facts = {"shown": SHOWN, "rate": RATE, "weight_decay": DECAY, "clip_norm": CLIP_NORM,
         "losses": losses, "scales": scales}
out.mkdir(parents=True, exist_ok=True)
(out / "steps.json").write_text(json.dumps(facts) + "\n")

"""PyTorch beside benches/train.rs: python train.py FOLDER fine-tune|frozen, or FOLDER make

`make` writes a GPT-2 small of seeded random weights to FOLDER, for both. The step is that of
CLIP_prefix_caption, without its padding; what is frozen asks for no gradients.
"""

import os
import pathlib
import statistics
import sys
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

logging.set_verbosity_error()
folder, mode = sys.argv[1:3]
if mode == "make":
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    sys.exit()

torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(0)
ROWS, TOKENS, PREFIX, WIDTH, STEPS = 8, 20, 10, 768, 8
gpt = GPT2LMHeadModel.from_pretrained(folder)
for module in gpt.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.0
half = PREFIX * WIDTH // 2
project = torch.nn.Sequential(torch.nn.Linear(512, half), torch.nn.Tanh(), torch.nn.Linear(half, PREFIX * WIDTH))
if mode == "frozen":
    gpt.eval().requires_grad_(False)
trained = [p for p in [*project.parameters(), *gpt.parameters()] if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=2e-5)
seconds = []
for step in range(STEPS):
    features, tokens = torch.randn(ROWS, 512), torch.randint(50257, (ROWS, TOKENS))
    start = time.perf_counter()
    embedded = torch.cat([project(features).view(-1, PREFIX, WIDTH), gpt.transformer.wte(tokens)], 1)
    logits = gpt(inputs_embeds=embedded).logits[:, PREFIX - 1:-1]
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    seconds.append(time.perf_counter() - start)
print(f"step {statistics.median(seconds[1:]):.3f}")
status = pathlib.Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
print(f"peak {int(peak) * 1024 / 1e6:.0f}")

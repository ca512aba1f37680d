"""PyTorch beside benches/train.rs: python train.py FOLDER fine-tune|frozen|clip [DEVICE DTYPE ROWS], or FOLDER make

`make` writes a GPT-2 small of seeded random weights to FOLDER, for both. The step is that of
CLIP_prefix_caption, without its padding, or that of transformers' CLIPModel; what is frozen asks for no
gradients; bf16 is autocast's. On a GPU, AdamW is fused, and memory is that of the GPU.
"""

import os
import pathlib
import statistics
import sys
import time

import torch
from transformers import CLIPModel, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

logging.set_verbosity_error()
folder, mode, device, dtype, rows = [*sys.argv[1:], "cpu", "f32", "8"][:5] if len(sys.argv) < 5 else sys.argv[1:6]
if mode == "make":
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    sys.exit()

torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.manual_seed(0)
ROWS, TOKENS, PREFIX, WIDTH, STEPS = int(rows), 20, 10, 768, 8 if device == "cpu" else 40
seconds = []


def captioner():
    gpt = GPT2LMHeadModel.from_pretrained(folder).to(device)
    for module in gpt.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    half = PREFIX * WIDTH // 2
    project = torch.nn.Sequential(torch.nn.Linear(512, half), torch.nn.Tanh(), torch.nn.Linear(half, PREFIX * WIDTH)).to(device)
    if mode == "frozen":
        gpt.eval().requires_grad_(False)

    def loss(features, tokens):
        embedded = torch.cat([project(features).view(-1, PREFIX, WIDTH), gpt.transformer.wte(tokens)], 1)
        logits = gpt(inputs_embeds=embedded).logits[:, PREFIX - 1:-1]
        return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens.flatten())

    return [*project.parameters(), *gpt.parameters()], (512,), 50257, loss


def clip():
    model = CLIPModel.from_pretrained(folder).to(device).train()
    size, last = model.config.vision_config.image_size, model.config.text_config.vocab_size - 1

    def loss(images, tokens):
        # The last has the highest id: it ends the text.
        tokens = torch.cat([tokens[:, :-1], torch.full_like(tokens[:, -1:], last)], 1)
        return model(input_ids=tokens, pixel_values=images, return_loss=True).loss

    return list(model.parameters()), (3, size, size), last, loss


weights, shape, vocabulary, loss_of = clip() if mode == "clip" else captioner()
trained = [p for p in weights if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-5 if mode == "clip" else 2e-5, fused=device != "cpu")
for step in range(STEPS):
    inputs, tokens = torch.randn(ROWS, *shape), torch.randint(vocabulary, (ROWS, TOKENS))
    start = time.perf_counter()
    inputs, tokens = inputs.to(device), tokens.to(device)
    with torch.autocast(device, torch.bfloat16, enabled=dtype == "bf16"):
        loss = loss_of(inputs, tokens)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    seconds.append(time.perf_counter() - start)
step = statistics.median(seconds[1:])
print(f"step {step:.4f}")
print(f"tokens {ROWS * TOKENS / step:.0f}")
if device != "cpu":
    print(f"peak {torch.cuda.max_memory_allocated() / 1e6:.0f}")
    sys.exit()
status = pathlib.Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
print(f"peak {int(peak) * 1024 / 1e6:.0f}")

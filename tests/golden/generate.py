"""Captions by transformers' `generate`, for tests/caption: a small seeded ClipCap, its greedy and
beam-search outputs for 50 images, and the tokens that the warpers keep.

Run: python tests/golden/generate.py tests/golden/generate
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

VOCABULARY, WIDTH, PREFIX, CLIP, IMAGES = 97, 32, 4, 16, 50

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(7)
config = GPT2Config(
    vocab_size=VOCABULARY, n_positions=32, n_embd=WIDTH, n_layer=2, n_head=4,
    bos_token_id=None, eos_token_id=None, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
)
gpt = GPT2LMHeadModel(config).eval()
# MLP((16, 32 * 4 / 2, 32 * 4)) of CLIP_prefix_caption
project = torch.nn.Sequential(
    torch.nn.Linear(CLIP, WIDTH * PREFIX // 2), torch.nn.Tanh(),
    torch.nn.Linear(WIDTH * PREFIX // 2, WIDTH * PREFIX),
)
with torch.no_grad():
    for name, weight in [*gpt.named_parameters(), *project.named_parameters()]:
        if weight.dim() > 1:
            weight.normal_(0, 0.25)
        elif not name.endswith("weight"):
            weight.normal_(0, 0.1)
features = torch.randn(IMAGES, CLIP)
state = {f"gpt.{k}": v for k, v in gpt.state_dict().items() if k != "lm_head.weight"}
state |= {f"clip_project.model.{k}": v for k, v in project.state_dict().items()}
save_file({k: v.contiguous() for k, v in state.items()}, out / "captioner.safetensors")
save_file({"features": features}, out / "features.safetensors")


@torch.no_grad()
def generate(**settings):
    prefix = project(features).view(-1, PREFIX, WIDTH)
    done = gpt.generate(
        inputs_embeds=prefix, attention_mask=torch.ones(IMAGES, PREFIX, dtype=torch.long),
        pad_token_id=settings["eos_token_id"], return_dict_in_generate=True, output_scores=True,
        **settings,
    )
    copies = settings.get("num_return_sequences", 1)
    texts = []
    for row in done.sequences.tolist():
        end = row.index(settings["eos_token_id"]) + 1 if settings["eos_token_id"] in row else len(row)
        texts.append(row[:end])
    scores = done.get("sequences_scores")
    scores = [] if scores is None else [round(x, 6) for x in scores.tolist()]
    group = lambda rows: [rows[i : i + copies] for i in range(0, len(rows), copies)]
    return {"texts": group(texts), "scores": group(scores)}


# an end token that about half of the texts come to
plain = generate(max_new_tokens=20, eos_token_id=0, do_sample=False)["texts"]
come = lambda t: sum(t in text[0] for text in plain)
end = min(range(1, VOCABULARY), key=lambda t: abs(come(t) - IMAGES // 2))
cases = []


def case(**settings):
    result = generate(eos_token_id=end, do_sample=False, **settings)
    ended = sum(text[0][-1] == end for text in result["texts"])
    print(settings, f"{ended} of {IMAGES} ended")
    cases.append({"settings": settings, **result})


for most in (1, 8, 20):
    case(max_new_tokens=most)
for beams, penalty, early, most, copies in [
    (3, 1.0, False, 20, 1), (3, 0.0, False, 20, 1), (3, 2.0, False, 20, 1), (3, -0.5, False, 20, 1),
    (3, 1.0, True, 20, 3), (3, 1.0, "never", 20, 3), (3, 0.6, "never", 8, 1),
    (5, 1.0, False, 20, 5), (5, 0.0, True, 20, 1), (5, 2.0, True, 12, 1), (5, 0.6, False, 6, 1),
    (5, 1.5, "never", 20, 1), (5, -1.0, "never", 12, 1), (5, 1.0, False, 1, 1),
]:
    case(num_beams=beams, length_penalty=penalty, early_stopping=early, max_new_tokens=most,
         num_return_sequences=copies)

with torch.no_grad():
    logits = gpt(inputs_embeds=project(features).view(-1, PREFIX, WIDTH)).logits[:, -1].clone()
kept = []
# Rounded logits have ties, of which top-k keeps all; which of them top-p keeps is up to torch's
# sort, which is not stable.
for temperature, k, p, rounded in [(1.0, 2, None, True), (1.0, 9, None, True)] + [(*of, False) for of in [
    (1.0, 1, None), (1.0, 5, None), (1.0, 200, None), (1.0, None, 0.0), (1.0, None, 0.5),
    (1.0, None, 0.8), (1.0, None, 0.95), (0.5, None, 0.8), (1.7, 10, 0.9), (0.7, 40, 0.8),
]]:
    scores = logits.round() if rounded else logits.clone()
    if temperature != 1.0:
        scores = TemperatureLogitsWarper(temperature)(None, scores)
    if k is not None:
        scores = TopKLogitsWarper(k)(None, scores)
    if p is not None:
        scores = TopPLogitsWarper(p)(None, scores)
    rows = [[i for i, x in enumerate(row) if x != float("-inf")] for row in scores.tolist()]
    # a set that holds nearly all is told by what it lacks
    rows = [row if len(row) < 60 else {"all_but": sorted(set(range(VOCABULARY)) - set(row))} for row in rows]
    kept.append({"rounded": rounded, "temperature": temperature, "top_k": k, "top_p": p, "tokens": rows})
save_file({"logits": logits}, out / "logits.safetensors")
head = {"transformers": transformers.__version__, "torch": torch.__version__, "end": end}
(out / "expected.json").write_text(
    json.dumps({**head, "cases": cases, "kept": kept}, separators=(",", ":")) + "\n"
)

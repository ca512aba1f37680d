"""transformers' cached `generate` beside benches/caption.rs: python caption.py [THREADS]"""

import statistics
import sys
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

logging.set_verbosity_error()
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
torch.manual_seed(0)
TOKENS = 30
gpt = GPT2LMHeadModel(GPT2Config()).eval()
project = torch.nn.Sequential(torch.nn.Linear(512, 3840), torch.nn.Tanh(), torch.nn.Linear(3840, 7680))


@torch.no_grad()
def caption(features, **settings):
    prefix = project(features).view(-1, 10, 768)
    mask = torch.ones(prefix.shape[:2], dtype=torch.long)
    texts = gpt.generate(inputs_embeds=prefix, attention_mask=mask, max_new_tokens=TOKENS,
                         min_new_tokens=TOKENS, do_sample=False, pad_token_id=50256, **settings)
    assert texts.shape == (len(features), TOKENS)


def median(images, **settings):
    features = torch.randn(images, 512)
    caption(features, **settings)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        caption(features, **settings)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


one, many, beam = median(1), median(32), median(1, num_beams=5)
print(f"greedy, 1 image    {one:6.2f} s  {1 / one:6.2f} images/s")
print(f"greedy, 32 images  {many:6.2f} s  {32 / many:6.2f} images/s")
print(f"5 beams, 1 image   {beam:6.2f} s  {1 / beam:6.2f} images/s")

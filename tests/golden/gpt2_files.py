"""Makes small GPT-2s in the forms that files of GPT-2 have had, and their logits: python gpt2_files.py OUT

tests/captioner/files.rs reads them. Needs torch and transformers. Weights are seeded and rounded to
half precision, so that the files are small; logits are computed in f32 on one thread.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

KEPT = {"model_type", "vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner",
        "layer_norm_epsilon", "activation_function", "tie_word_embeddings"}
LAYERS, POSITIONS = 2, 12


def model(seed, tied):
    config = GPT2Config(vocab_size=31, n_positions=POSITIONS, n_embd=16, n_layer=LAYERS, n_head=2,
                        bos_token_id=30, eos_token_id=30, tie_word_embeddings=tied)
    made = GPT2LMHeadModel(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in made.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            spread = 0.1 if p.ndim == 1 else p.shape[-1] ** -0.5
            p.copy_(((1.0 if ".ln_" in name and name.endswith("weight") else 0.0) + spread * noise).half().float())
    return made


def halves(state):
    return {name: t.detach().half().contiguous().clone() for name, t in state.items()}


def masks(state, at, dtype):
    """What versions before 4.31 stored among the weights."""
    for layer in range(LAYERS):
        state[f"{at}h.{layer}.attn.bias"] = torch.ones(1, 1, POSITIONS, POSITIONS).tril().to(dtype)
        state[f"{at}h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return state


def main(out):
    torch.set_num_threads(1)
    ids = torch.tensor([[3, 14, 15, 9, 2, 6, 30], [27, 18, 28, 1, 8, 0, 4]])
    cases = {}
    for seed, (name, tied) in enumerate({
        "untied": False,             # a head of its own
        "bare": True,                # names without `transformer.`, as of GPT2Model
        "legacy": True,              # the container before torch 1.6, masks of floats, head stored
        "legacy_bare_untied": False, # all at once, masks of bytes
    }.items()):
        made = model(seed, tied)
        assert tied == (made.lm_head.weight.data_ptr() == made.transformer.wte.weight.data_ptr())
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        config = {k: v for k, v in made.config.to_dict().items() if k in KEPT}
        config["tie_word_embeddings"] = tied
        (folder / "config.json").write_text(json.dumps(config) + "\n")
        state = halves(made.state_dict())
        match name:
            case "untied":
                save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
            case "bare":
                save_file(halves(made.transformer.state_dict()), folder / "model.safetensors",
                          metadata={"format": "pt"})
            case "legacy":
                torch.save(masks(state, "transformer.", torch.float32), folder / "pytorch_model.bin",
                           _use_new_zipfile_serialization=False)
            case "legacy_bare_untied":
                bare = {key.removeprefix("transformer."): t for key, t in state.items()}
                torch.save(masks(bare, "", torch.uint8), folder / "pytorch_model.bin",
                           _use_new_zipfile_serialization=False)
        with torch.no_grad():
            cases[name] = [[float(x) for x in row] for row in made(ids).logits[:, -1]]
    (out / "logits.json").write_text(json.dumps({"ids": ids.tolist(), "last": cases}) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

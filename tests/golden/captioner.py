"""Makes small seeded captioners as two PyTorch projects save them, and what PyTorch computes.

    python captioner.py FOLDER CLIP_PREFIX_CAPTION CLIPCAP_CHINESE

FOLDER gets the fixtures of tests/captioner.rs; the other two are checkouts of
https://github.com/rmokady/CLIP_prefix_caption (its `train.py` is imported; commit 1ad805a) and
https://github.com/yangjianxin1/ClipCap-Chinese (its `models/model.py`; commit fd10945). Both are
MIT or Apache-2.0 and neither is copied here. Needs torch and transformers.

Weights are rounded to half precision and stored so; all is computed in f32 on one thread, dropout
off. In the loss padding never counts: CLIP_prefix_caption ignores token 0, which no caption here
has; ClipCap-Chinese does not ignore its padding, which is left out here.
"""
import argparse
import importlib.util
import json
import pathlib
import sys
import types

import torch
from safetensors.torch import save_file
from transformers import BertConfig, GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup

VOCABULARY, POSITIONS, WIDTH, LAYERS, HEADS = 67, 40, 32, 2, 4
CLIP, PREFIX, MADE, MAPPER_LAYERS = 16, 4, 3, 2
STEPS, WARMUP, RATE, DECAY = 50, 10, 2e-3, 0.01


def import_file(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def references(prefix_caption, chinese):
    """Both projects' modules. What they import and today's transformers lacks is put in first."""
    module = sys.modules["transformers"]
    module.AdamW = torch.optim.AdamW
    module.AutoModelWithLMHead = GPT2LMHeadModel
    quiet = types.SimpleNamespace(info=lambda *_: None)
    sys.modules.setdefault("loguru", types.SimpleNamespace(logger=quiet))
    return (import_file("reference_train", prefix_caption / "train.py"),
            import_file("reference_model", chinese / "models" / "model.py"))


def settle(model, seed, spread):
    """Seeded weights of some spread in every tensor, rounded to half precision."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.ndim == 1 and ("ln" in name or "norm" in name.lower()) and "weight" in name:
                p.copy_(1 + 0.2 * noise)
            elif p.ndim == 1:
                p.copy_(0.1 * noise)
            else:
                p.copy_(spread * noise * p.shape[-1] ** -0.5)
            p.copy_(p.half().float())
    return model


def gpt2():
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=POSITIONS, n_embd=WIDTH, n_layer=LAYERS,
                        n_head=HEADS, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                        bos_token_id=VOCABULARY - 1, eos_token_id=VOCABULARY - 1)
    return settle(GPT2LMHeadModel(config), 1, 1.0)


def halves(state):
    return {name: t.detach().half().contiguous().clone() if t.is_floating_point() else t.clone()
            for name, t in state.items()}


def captions(generator, lengths):
    """Token ids without 0, which is what CLIP_prefix_caption pads with."""
    return [torch.randint(1, VOCABULARY - 1, (n,), generator=generator).tolist() + [VOCABULARY - 1]
            for n in lengths]


def batches(seed):
    generator = torch.Generator().manual_seed(seed)
    out = []
    for lengths in [(5, 3, 8), (4, 4, 4), (9, 1, 6), (2, 7, 5)]:
        features = torch.randn(len(lengths), CLIP, generator=generator).half().float()
        out.append({"features": features.tolist(), "tokens": captions(generator, lengths)})
    return out


def padded(tokens):
    longest = max(map(len, tokens))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in tokens])
    real = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in tokens])
    return ids, torch.cat((torch.ones(len(tokens), PREFIX), real), dim=1), real.bool()


def greedy(model, inner, features, steps=12):
    """Both projects' loops without a cache, taking the likeliest token."""
    with torch.no_grad():
        embeds = model.clip_project(features).view(len(features), PREFIX, WIDTH)
        out = []
        for _ in range(steps):
            ids = inner(inputs_embeds=embeds).logits[:, -1].argmax(-1)
            out.append(ids)
            embeds = torch.cat((embeds, inner.transformer.wte(ids)[:, None]), dim=1)
    return torch.stack(out, 1).tolist()


def steps(folder, name, model, inner, facts):
    model.train()
    data = batches(17)
    first = torch.tensor(data[0]["features"])
    with torch.no_grad():
        mapped = model.clip_project(first).view(len(first), PREFIX, WIDTH)
    facts["greedy"] = greedy(model, inner, first)
    initial = halves(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = get_linear_schedule_with_warmup(optimizer, WARMUP, STEPS)
    losses, rates = [], []
    for step in range(STEPS):
        batch = data[step % len(data)]
        ids, mask, real = padded(batch["tokens"])
        out = model(*arguments(name, batch, ids, mask))
        logits = (out.logits if name != "bert" else out)[:, PREFIX - 1:-1]
        loss = torch.nn.functional.cross_entropy(logits[real], ids[real])
        optimizer.zero_grad()
        loss.backward()
        rates.append(schedule.get_last_lr()[0])
        losses.append(loss.item())
        optimizer.step()
        schedule.step()
    facts.update(
        vocabulary=VOCABULARY, positions=POSITIONS, width=WIDTH, gpt2_layers=LAYERS,
        gpt2_heads=HEADS, prefix_length=PREFIX, clip_width=CLIP, weight_decay=DECAY,
        betas=[0.9, 0.999], epsilon=1e-8, learning_rates=rates, losses=losses, batches=data)
    save_file({"mapped": mapped.contiguous()}, folder / f"mapped_{name}.safetensors")
    (folder / f"steps_{name}.json").write_text(json.dumps(facts) + "\n")
    print(name, losses[0], losses[-1])
    return initial


def arguments(name, batch, ids, mask):
    features = torch.tensor(batch["features"])
    return (features, ids, mask) if name == "bert" else (ids, features, mask)


def logits(folder):
    """Of whole rows, of rows padded on the right, and of rows padded on the left."""
    model = gpt2().eval()
    save_file(halves({n: t for n, t in model.state_dict().items() if n != "lm_head.weight"}),
              folder / "gpt2" / "model.safetensors", metadata={"format": "pt"})
    (folder / "gpt2" / "config.json").write_text(
        json.dumps({k: v for k, v in model.config.to_dict().items() if k in KEPT}) + "\n")
    generator = torch.Generator().manual_seed(23)
    ids = torch.randint(0, VOCABULARY, (3, 9), generator=generator)
    right = torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] * 2 + [0] * 7])
    left = right.flip(1)
    with torch.no_grad():
        save_file({
            "ids": ids.int(), "right": right.int(), "left": left.int(),
            "logits_whole": model(ids).logits,
            "logits_right": model(ids, attention_mask=right).logits,
            "logits_left": model(ids, attention_mask=left,
                                 position_ids=(left.cumsum(1) - 1).clamp(min=0)).logits,
        }, folder / "logits.safetensors")


KEPT = {"model_type", "vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner",
        "layer_norm_epsilon", "activation_function", "tie_word_embeddings"}


def main():
    parser = argparse.ArgumentParser()
    for name in ["folder", "clip_prefix_caption", "clipcap_chinese"]:
        parser.add_argument(name, type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = args.folder
    (folder / "gpt2").mkdir(parents=True, exist_ok=True)
    logits(folder)
    train, chinese = references(args.clip_prefix_caption, args.clipcap_chinese)
    # Both classes load a published GPT-2 by name; here it is ours.
    GPT2LMHeadModel.from_pretrained = classmethod(lambda *_: gpt2())

    model = train.ClipCaptionModel(PREFIX, prefix_size=CLIP, mapping_type=train.MappingType.MLP)
    settle(model.clip_project, 2, 1.0)
    initial = steps(folder, "mlp", model, model.gpt, {"mapper": "mlp", "freeze": False})
    # As old versions of transformers saved it, in the container of torch.save since 1.6.
    for layer in range(LAYERS):
        at = f"gpt.transformer.h.{layer}.attn"
        initial[f"{at}.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.uint8).tril()
        initial[f"{at}.masked_bias"] = torch.tensor(-1e4)
    torch.save(initial, folder / "steps_mlp.pt")

    model = train.ClipCaptionPrefix(PREFIX, clip_length=MADE, prefix_size=CLIP,
                                    num_layers=MAPPER_LAYERS,
                                    mapping_type=train.MappingType.Transformer)
    settle(model.clip_project, 3, 1.0)
    initial = steps(folder, "transformer", model, model.gpt, {
        "mapper": "transformer", "freeze": True, "constant_length": MADE, "layers": MAPPER_LAYERS,
        "heads": 8})
    # The container before 1.6.
    torch.save(initial, folder / "steps_transformer.pt", _use_new_zipfile_serialization=False)

    config = BertConfig(vocab_size=5, hidden_size=WIDTH, num_hidden_layers=MAPPER_LAYERS,
                        num_attention_heads=8, intermediate_size=48, max_position_embeddings=12,
                        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = chinese.ClipCaptionModel("ours", config, PREFIX, CLIP, chinese.MappingType.BERT,
                                     finetune_gpt2=False, constant_len=PREFIX)
    settle(model.clip_project, 4, 1.0)
    initial = steps(folder, "bert", model, model.gpt2, {
        "mapper": "bert", "freeze": True, "constant_length": PREFIX, "layers": MAPPER_LAYERS,
        "heads": 8})
    initial["clip_project.bert.embeddings.position_ids"] = torch.arange(12)[None]
    save_file(initial, folder / "steps_bert.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()

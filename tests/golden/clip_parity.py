"""Makes small seeded CLIPs in every published layout, and what PyTorch computes with them.

    python clip_parity.py clip VOCAB     # VOCAB: a folder of bpe_simple_vocab_16e6.txt.gz

Needs torch, transformers, open_clip_torch, ftfy. The models come from the published packages;
The first folder gets one folder a case: the files as published models have them, the images and
both features as raw f32, and `case.json` with texts and tokens. The vocabulary is the first 100
merges of CLIP's. tests/clip/parity.rs reads all of it.
"""
import argparse
import gzip
import json
import pathlib

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP, build_model_from_openai_state_dict
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

TEXTS = [
    "Two dogs play on the grass .",
    "",
    "A man's 3 hats, don't you'll see",
    "两只狗在草地上奔跑，天空很蓝。",
    "a family 👨‍👩‍👧‍👦 at the beach 🏖️ 🐕",
    "caf\u00e9 cafe\u0301 na\u00efve \u201cquoted\u201d ﬁne ＡＢＣ",
    "fish &amp; chips &lt;now&gt; &eacute;",
    "one two three four five six seven eight nine ten " * 30,
]
MERGES = 100
VOCABULARY = 512 + MERGES + 2
END = VOCABULARY - 1


def randomise(model, seed):
    """Weights of order one in every tensor, so that nothing cancels unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim >= 2 and "embedding" not in name:
                p.copy_(torch.randn(p.shape, generator=generator) * p[0].numel() ** -0.5)
            elif p.ndim == 1 and name.endswith("weight"):
                p.copy_(1 + 0.2 * torch.randn(p.shape, generator=generator))
            elif p.ndim:
                p.copy_(0.2 * torch.randn(p.shape, generator=generator))
    return model.eval()


def images(size, rows=2):
    return torch.randn(rows, 3, size, size, generator=torch.Generator().manual_seed(11))


def write(folder, image_batch, tokens, image_features, text_features, facts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in [("images", image_batch), ("image_features", image_features),
                        ("text_features", text_features)]:
        value.detach().float().numpy().astype("<f4").tofile(folder / f"{name}.f32")
    (folder / "case.json").write_text(json.dumps({"texts": TEXTS, "tokens": tokens, **facts}))


def small_vocabulary(vocab, folder):
    """Writes the first lines of CLIP's byte-pair file; gives the tokenizer that reads them."""
    lines = gzip.open(vocab / "bpe_simple_vocab_16e6.txt.gz").read().decode().split("\n")
    path = folder / "bpe.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines[: MERGES + 1]).encode(), mtime=0))
    return open_clip.tokenizer.SimpleTokenizer(bpe_path=str(path))


def open_clip_features(model, size, tokenizer, context):
    batch = images(size)
    ids = tokenizer(TEXTS, context_length=context)
    with torch.no_grad():
        return batch, ids, model.encode_image(batch), model.encode_text(ids)


def cut(ids, end):
    """Without padding: up to the first end token."""
    return [row[: row.index(end) + 1] for row in ids.tolist()]


def openai(out, vocab):
    """OpenAI's archive: half-precision weights and three integer buffers in a TorchScript."""
    wide = dict(width=64, layers=1)  # heads are 64 wide, whatever the model
    text = dict(context_length=24, vocab_size=VOCABULARY, heads=1, **wide)
    model = CLIP(24, dict(image_size=24, patch_size=8, **wide), text, quick_gelu=True)
    randomise(model, 1)
    state = {k: v.half() if v.ndim else v for k, v in model.state_dict().items()
             if k != "attn_mask"}

    # The archive's module tree, with the names of OpenAI's classes' attributes.
    def tree(prefix):
        node = torch.nn.Module()
        children = {}
        for key in state:
            if key.startswith(prefix):
                head, _, rest = key[len(prefix):].partition(".")
                children.setdefault(head, []).append(rest)
        for head, rest in children.items():
            if rest == [""]:
                node.register_parameter(head, torch.nn.Parameter(state[prefix + head]))
            else:
                node.add_module(head, tree(f"{prefix}{head}."))
        return node

    root = tree("")
    for name, value in [("input_resolution", 24), ("context_length", 24),
                        ("vocab_size", VOCABULARY)]:
        root.register_buffer(name, torch.tensor(value))

    class Archive(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, child in root.named_children():
                self.add_module(name, child)
            for name, p in root.named_parameters(recurse=False):
                self.register_parameter(name, p)
            for name, b in root.named_buffers(recurse=False):
                self.register_buffer(name, b)

        def forward(self, x):
            return x

    folder = out / "openai"
    folder.mkdir(parents=True, exist_ok=True)
    torch.jit.script(Archive()).save(str(folder / "ViT.pt"))
    tokenizer = small_vocabulary(vocab, folder)
    # What open_clip's loader of OpenAI's archives does with it.
    loaded = torch.jit.load(str(folder / "ViT.pt")).state_dict()
    reference = build_model_from_openai_state_dict(loaded, cast_dtype=torch.float32).float()
    batch, ids, i, t = open_clip_features(reference, 24, tokenizer, 24)
    write(folder, batch, cut(ids, END), i, t, {"kind": "openai", "weights": "ViT.pt"})


def open_clips(out, vocab):
    cases = {
        "open_clip": (CLIP, dict(quick_gelu=False), "safetensors"),
        "open_clip_quick_pt": (CLIP, dict(quick_gelu=True), "pt"),
        "open_clip_custom_text": (CustomTextCLIP, dict(quick_gelu=False), "safetensors"),
    }
    for seed, (name, (kind, options, form)) in enumerate(cases.items(), start=20):
        vision = dict(image_size=40, patch_size=8, head_width=8, mlp_ratio=3.0,
                      width=16, layers=2)
        text = dict(context_length=16, vocab_size=VOCABULARY, width=24, heads=4, layers=2)
        model = randomise(kind(32, vision, text, **options), seed)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.contiguous() for k, v in model.state_dict().items()}
        if form == "safetensors":
            save_file(state, folder / "open_clip_model.safetensors")
        else:
            wrapped = {f"module.{k}": v for k, v in state.items()}
            torch.save({"epoch": 3, "name": "x", "state_dict": wrapped}, folder / "open_clip.pt")
        config = {"model_cfg": dict(embed_dim=32, vision_cfg=vision, text_cfg=text, **options),
                  "preprocess_cfg": {"interpolation": "bilinear", "resize_mode": "squash"}}
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        tokenizer = small_vocabulary(vocab, folder)
        batch, ids, i, t = open_clip_features(model, 40, tokenizer, 16)
        weights = "open_clip_model.safetensors" if form == "safetensors" else "open_clip.pt"
        write(folder, batch, cut(ids, END), i, t, {"kind": "open_clip", "weights": weights})


def hugging_faces(out, vocab):
    """`vocab` also holds tokenizer.json."""
    merges = json.loads((vocab / "tokenizer.json").read_text())["model"]["merges"][:MERGES]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in merges]
    letters = list(open_clip.tokenizer.bytes_to_unicode().values())
    tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges)
    cases = {
        "hf_quick": dict(act="quick_gelu", eos=END, form="safetensors"),
        "hf_gelu_bin": dict(act="gelu", eos=END, form="bin"),
        "hf_eos_2_legacy": dict(act="quick_gelu", eos=2, form="legacy"),
        "hf_bf16_shards": dict(act="gelu", eos=END, form="shards"),
    }
    for seed, (name, case) in enumerate(cases.items(), start=40):
        tower = dict(hidden_size=16, intermediate_size=40, num_hidden_layers=2,
                     num_attention_heads=4, hidden_act=case["act"], projection_dim=20)
        config = CLIPConfig(
            text_config=dict(vocab_size=VOCABULARY, max_position_embeddings=20,
                             eos_token_id=case["eos"], bos_token_id=END - 1, pad_token_id=1, **tower),
            vision_config=dict(image_size=50, patch_size=12, **tower),
            projection_dim=20,
        )
        model = randomise(CLIPModel(config), seed)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        if case["form"] == "shards":
            model = model.bfloat16()
            model.save_pretrained(folder, max_shard_size="40KB")
            model = model.float()
        elif case["form"] == "safetensors":
            model.save_pretrained(folder)
        else:
            config.save_pretrained(folder)
            torch.save(model.state_dict(), folder / "pytorch_model.bin",
                       _use_new_zipfile_serialization=case["form"] == "bin")
        if case["form"] == "legacy":
            (folder / "vocab.json").write_text(json.dumps(vocabulary))
            lines = "".join(f"{a} {b}\n" for a, b in merges)
            (folder / "merges.txt").write_text("#version: 0.2\n" + lines)
        else:
            tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        ids = tokenizer(TEXTS, padding=True, truncation=True, max_length=20, return_tensors="pt")
        batch = images(50)
        with torch.no_grad():
            i = model.get_image_features(pixel_values=batch)
            t = model.get_text_features(**ids)
        i, t = (x if torch.is_tensor(x) else x.pooler_output for x in (i, t))
        write(folder, batch, cut(ids["input_ids"], END), i, t, {"kind": "huggingface"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("vocab", type=pathlib.Path)
    arguments = parser.parse_args()
    for make in (openai, open_clips, hugging_faces):
        make(arguments.out, arguments.vocab)

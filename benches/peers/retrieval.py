"""clip-retrieval's own inference over a folder of photos, whole: python retrieval.py MODEL PHOTOS OUT

MODEL is a folder whose config.json says which of open_clip's models it is, PHOTOS a folder of JPEGs,
OUT a folder for the embeddings. Options: --batch 256, --workers 16, --device cuda or cpu. Prints
`retrieval S s N photos/s`, of everything but imports, making the model and clip-retrieval's own
warm-up call, which come before. What clip-retrieval itself prints goes to stderr.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import sys
import time
from importlib.machinery import ModuleSpec
from importlib.metadata import version

# At the top of the file, for the processes that clip-retrieval spawns to log. The package itself
# would import its search server, so that only its folder is made known. Nothing of these is called:
# wandb logs to a site, sentence_transformers is for texts, clip loads the models of OpenAI.
sys.modules["clip_retrieval"] = importlib.util.module_from_spec(importlib.util.find_spec("clip_retrieval"))
for name in ["wandb", "sentence_transformers", "clip"]:
    sys.modules[name] = importlib.util.module_from_spec(ModuleSpec(name, None))
sys.modules["sentence_transformers"].SentenceTransformer = None

NAMES = {(768, 32): "ViT-B-32-quickgelu", (768, 16): "ViT-B-16-quickgelu", (1024, 14): "ViT-L-14-quickgelu"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    args = parser.parse_args()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # clip-retrieval takes a GPU wherever it sees one
    vision = json.loads((args.model / "config.json").read_text())["vision_config"]
    name = NAMES[vision["hidden_size"], vision["patch_size"]]
    # each worker has two batches ready, and the main process two more
    shared = (2 * args.workers + 2) * args.batch * 3 * 224 * 224 * 4
    if shared > shutil.disk_usage("/dev/shm").free:
        sys.exit(f"/dev/shm is smaller than the {shared / 1e9:.1f} GB of the workers' batches")

    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import numpy
    import open_clip
    import torch
    from all_clip import load_clip
    from clip_retrieval.clip_inference.main import main as inference
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no GPU")
    device = torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    versions = " ".join(f"{of} {version(of)}" for of in ["clip_retrieval", "all_clip", "open_clip_torch", "torch", "pillow"])
    print(f"{versions}, {name}, batch {args.batch}, {args.workers} workers, {device}", file=out)

    # Random weights: speed does not depend on them, and there is nothing to download.
    create = open_clip.create_model_and_transforms
    open_clip.create_model_and_transforms = lambda name, pretrained, **rest: create(name, pretrained=None, **rest)
    name = f"open_clip:{name}/none"
    # called as the worker calls it, which then has it from its cache
    load_clip(clip_model=name, use_jit=False, warmup_batch_size=args.batch, clip_cache_path=None)

    start = time.perf_counter()
    inference(str(args.photos), str(args.out), input_format="files", batch_size=args.batch,
              num_prepro_workers=args.workers, enable_text=False, enable_image=True, enable_metadata=False,
              clip_model=name, use_jit=False)
    seconds = time.perf_counter() - start

    count = len(numpy.load(args.out / "img_emb/img_emb_0.npy"))
    took = json.loads((args.out / "stats/0.json").read_text())
    print(f"its loop alone {took['total_duration']:.2f} s: for photos {took['read_duration']:.2f} s, "
          f"for embeddings {took['inference_duration']:.2f} s", file=out)
    print(f"retrieval {seconds:.2f} s {count / seconds:.1f} photos/s", file=out)


if __name__ == "__main__":
    main()

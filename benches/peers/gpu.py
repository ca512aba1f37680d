"""Ours and the peers on a GPU, whole processes: python gpu.py OURS MODELS TESTDATA [--only PART...]

OURS is the folder of `clipmill` and the benches `encode` and `train`, built with `--features cuda`;
MODELS a folder for models.py to fill. Prints Markdown, the median of the rounds; of whole runs each
round. Parts: encode, train, whole (needs clip-retrieval, see retrieval.py).
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import tempfile

import models
import whole

HERE = pathlib.Path(__file__).parent
parser = argparse.ArgumentParser()
parser.add_argument("ours", type=pathlib.Path)
parser.add_argument("models", type=pathlib.Path)
parser.add_argument("testdata", type=pathlib.Path)
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("--seconds", type=float, default=3)
parser.add_argument("--only", nargs="*", default=["encode", "train", "whole"])
parser.add_argument("--model", nargs="*", default=["vit-b-32", "vit-b-16", "vit-l-14"])
parser.add_argument("--batches", default="256,1024")
parser.add_argument("--peers", nargs="*", default=["torch-cuda", "torch-compile"])
parser.add_argument("--photos", type=int, default=20000)
args = parser.parse_args()


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        print(f"failed: {command}\n{done.stderr[-1500:]}", file=sys.stderr)
        return {}
    lines = (line.split() for line in done.stdout.splitlines())
    return {words[0]: words[1] for words in lines if len(words) > 1}


def medians(command):
    found = [run(command) for _ in range(args.rounds)]
    keys = {key for figures in found for key in figures}
    return {key: statistics.median(float(f[key]) for f in found if key in f) for key in keys}


def model_folder(name):
    folder = models.make(args.models, name, args.testdata / "vocab/clip/tokenizer.json", onnx=False)
    return folder.absolute()


def encode():
    names = {"torch-cuda": "PyTorch, SDPA", "torch-compile": "PyTorch, SDPA, compiled"}
    print("\n### Images/s, bf16\n\nOurs from levels in memory to features in memory, PyTorch's from scaled images on the GPU.\n")
    print(f"| model | batch | clipmill | {' | '.join(names[peer] for peer in args.peers)} | ours / best |")
    print("|---" * (len(args.peers) + 4) + "|")
    for name in args.model:
        folder = model_folder(name)
        tail = [folder, "bf16", args.batches, args.seconds]
        ours = medians([args.ours / "encode", *tail, "cuda"])
        theirs = [medians([sys.executable, HERE / "encode.py", peer, *tail]) for peer in args.peers]
        for batch in args.batches.split(","):
            figures = [found.get(batch, float("nan")) for found in [ours, *theirs]]
            cells = " | ".join(f"{f:.0f}" for f in figures)
            print(f"| {name} | {batch} | {cells} | {figures[0] / max(figures[1:]):.2f} |", flush=True)


def train():
    folder = args.models / "gpt2"
    if not (folder / "model.safetensors").exists():
        subprocess.run([sys.executable, HERE / "train.py", folder, "make"], check=True)
    print("\n### Caption tokens/s in training, GPT-2 small and an mlp mapper, 10 + 20 tokens, bf16\n")
    print("| | rows | clipmill | PyTorch, autocast | ours / PyTorch |\n|---|---|---|---|---|")
    for mode in ["fine-tune", "frozen"]:
        for rows in [40, 256]:
            tail = [folder, mode, "cuda", "bf16", rows]
            ours, torch = medians([args.ours / "train", *tail]), medians([sys.executable, HERE / "train.py", *tail])
            a, b = ours.get("tokens", float("nan")), torch.get("tokens", float("nan"))
            print(f"| {mode} | {rows} | {a:.0f} | {b:.0f} | {a / b:.2f} |", flush=True)


def end_to_end():
    print(f"\n### A whole run over {args.photos} photos, ViT-B/32\n\n| | seconds | photos/s |\n|---|---|---|")
    model = model_folder("vit-b-32")
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="clipmill-speed-") as folder:
        folder = pathlib.Path(folder)
        for _ in range(args.rounds):
            for dtype in ["bf16", "f32"]:
                seconds, _ = whole.clipmill(args.ours / "clipmill", environment, args.testdata, model, dtype,
                                            args.photos, "cuda", 256)
                print(f"| clipmill run, {dtype}, start and loading included | {seconds:.1f} | {args.photos / seconds:.0f} |", flush=True)
        whole.photos_tar(args.testdata, folder / "photos.tar", args.photos)
        with tarfile.open(folder / "photos.tar") as tar:
            tar.extractall(folder / "photos", filter="data")
        workers = len(os.sched_getaffinity(0))
        for turn in range(args.rounds):
            done = subprocess.run([sys.executable, HERE / "retrieval.py", model, folder / "photos", folder / f"out{turn}",
                                   "--workers", str(workers)], capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr[-1500:])
            print(done.stdout, file=sys.stderr)
            words = done.stdout.splitlines()[-1].split()
            print(f"| clip-retrieval inference, {workers} workers | {words[1]} | {words[-2]} |", flush=True)


for part, show in [("encode", encode), ("train", train), ("whole", end_to_end)]:
    if part in args.only:
        show()

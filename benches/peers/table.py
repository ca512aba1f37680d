"""Ours and the peers in turn, whole processes, same files and weights, same threads.

python table.py OURS MODELS TESTDATA [--rounds 3] [--seconds 4] [--only PART...]

OURS is the folder of the built benches (`encode` and `decode`), MODELS a folder for models.py to
fill. Prints Markdown: the median over the rounds of each process's figure, and ours over the best
peer. Parts: f32, bf16, int8, texts, preprocess.
"""

import argparse
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).parent
MODELS = ["vit-b-32", "vit-b-16", "vit-l-14"]
PEERS = {"f32": ["torch", "onnxruntime", "openvino"], "bf16": ["torch", "openvino"], "int8": ["onnxruntime"]}

parser = argparse.ArgumentParser()
parser.add_argument("ours", type=pathlib.Path)
parser.add_argument("models", type=pathlib.Path)
parser.add_argument("testdata", type=pathlib.Path)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--seconds", type=float, default=4)
parser.add_argument("--only", nargs="*", default=["f32", "bf16", "int8", "texts", "preprocess"])
parser.add_argument("--model", nargs="*", default=MODELS)
parser.add_argument("--batches", default="1,8,32")
parser.add_argument("--captions", type=int, default=2048)
args = parser.parse_args()
# Some shells pin OpenBLAS to an old core.
environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}


def run(command):
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
    if done.returncode:
        print(f"failed: {command}\n{done.stderr[-600:]}", file=sys.stderr)
        return {}
    figures = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 2:
            # decode's lines end in `photos/s`
            at = -2 if words[-1] == "photos/s" else -1
            figures[" ".join(words[:at])] = float(words[at])
    return figures


def rounds(commands):
    """{name: {what: median}} of `commands`, each once a round, in turn."""
    all_of = {name: {} for name in commands}
    for _ in range(args.rounds):
        for name, command in commands.items():
            for what, figure in run(command).items():
                all_of[name].setdefault(what, []).append(figure)
    return {name: {what: statistics.median(f) for what, f in of.items()} for name, of in all_of.items()}


def model_folder(name):
    """The model's folder, made if need be, with the tokenizer that a CLIP of ours must have."""
    folder = args.models / name
    if not (folder / "vision.onnx").exists():
        subprocess.run([sys.executable, HERE / "models.py", args.models, name], check=True, stdout=sys.stderr)
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.exists():
        tokenizer.write_bytes((args.testdata / "vocab/clip/tokenizer.json").read_bytes())
    return folder


def encoder(dtype):
    peers = PEERS[dtype]
    print(f"\n### Images/s, {dtype}\n\n| model | batch | clipmill | {' | '.join(peers)} | ours / best |")
    print("|---" * (len(peers) + 4) + "|")
    for model in args.model:
        folder = model_folder(model)
        tail = [folder, dtype, args.batches, args.seconds]
        commands = {"ours": [args.ours / "encode", *tail]}
        commands |= {peer: [sys.executable, HERE / "encode.py", peer, *tail] for peer in peers}
        found = rounds(commands)
        for batch in args.batches.split(","):
            figures = [found[name].get(batch, float("nan")) for name in ["ours", *peers]]
            best = max((f for f in figures[1:] if f == f), default=float("nan"))
            cells = " | ".join(f"{f:.1f}" for f in figures)
            print(f"| {model} | {batch} | {cells} | {figures[0] / best:.2f} |", flush=True)


def texts():
    with tarfile.open(args.testdata / "flickr30k/flickr30k.tar.gz") as tar:
        text = tar.extractfile("results_20130124.token").read().decode()
    lines = [line.split("\t", 1)[1] for line in text.splitlines()]
    # every n-th caption, so that the sample is like the whole
    lines = lines[:: max(1, len(lines) // args.captions)]
    folder = model_folder("vit-b-32")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines))
        file.flush()
        tail = [folder, "f32", f"texts={file.name}", args.seconds]
        found = rounds({"ours": [args.ours / "encode", *tail],
                        "torch": [sys.executable, HERE / "encode.py", "torch", *tail]})
    ours, torch = found["ours"]["texts"], found["torch"]["texts"]
    print(f"\n### Captions/s, {len(lines)} of Flickr30k's, text tower of ViT-B/32\n")
    print("| clipmill | torch, padded to 77 | ours / torch |\n|---|---|---|")
    print(f"| {ours:.0f} | {torch:.0f} | {ours / torch:.1f} |")


def preprocess():
    environment["CLIPMILL_TESTDATA"] = str(args.testdata)
    environment["RAYON_NUM_THREADS"] = "1"
    found = rounds({"ours": [args.ours / "decode"],
                    "peers": [sys.executable, HERE / "preprocess.py", args.testdata]})
    del environment["RAYON_NUM_THREADS"]
    ours, peers = found["ours"], found["peers"]
    print("\n### Photos/s on one thread, 240 photos of Flickr30k\n\n| what | photos/s | ours / it |\n|---|---|---|")
    for what, figure in [*((f"clipmill {k}", v) for k, v in ours.items()), *peers.items()]:
        same = ours["preprocess"] if "torchvision" in what or what.endswith("preprocess") else ours["decode"]
        print(f"| {what} | {figure:.0f} | {same / figure:.2f} |")


print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
      f"{datetime.date.today()}, {args.rounds} rounds of {args.seconds:g} s")
for part in args.only:
    {"texts": texts, "preprocess": preprocess}.get(part, lambda: encoder(part))()

"""Ours and the peers in turn, whole processes, same files and weights, same threads.

python table.py OURS MODELS TESTDATA [--rounds 3] [--seconds 4] [--only PART...]

OURS is the folder of the built benches (`encode`, `decode`, `alone`, `train`, `caption`) and of
`clipmill`, MODELS a folder for models.py to fill. Prints Markdown: the median over the rounds of
each process's figure, and ours over the best peer; a peer that is not installed is named. Parts: f32, bf16, int8, texts, preprocess,
overlap, memory, train, caption. `cargo bench --bench plan` has its peer, dvc, in itself.
"""

import argparse
import datetime
import itertools
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile

import whole

HERE = pathlib.Path(__file__).parent
MODELS = ["vit-b-32", "vit-b-16", "vit-l-14"]
PARTS = ["f32", "bf16", "int8", "texts", "preprocess", "overlap", "memory", "train", "caption"]
PEERS = {"f32": ["torch", "onnxruntime", "openvino"], "bf16": ["torch", "openvino"], "int8": ["onnxruntime"]}

parser = argparse.ArgumentParser()
parser.add_argument("ours", type=pathlib.Path)
parser.add_argument("models", type=pathlib.Path)
parser.add_argument("testdata", type=pathlib.Path)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--seconds", type=float, default=4)
parser.add_argument("--only", nargs="*", default=PARTS)
parser.add_argument("--model", nargs="*", default=MODELS)
parser.add_argument("--batches", default="1,8,32")
parser.add_argument("--captions", type=int, default=2048)
parser.add_argument("--images", type=int, default=31783, help="of the run whose memory is looked at")
parser.add_argument("--whole", action="store_true", help="all images through ViT-B/32 for its memory too, in f32 25 minutes")
args = parser.parse_args()
# Some shells pin OpenBLAS to an old core.
environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}


# Python packages of peers that were looked for in vain.
missing = set()


def run(command):
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
    missing.update(re.findall(r"^not installed: (\S+)", done.stdout, re.M))
    missing.update(re.findall(r"^ModuleNotFoundError: No module named '([^'.]+)", done.stderr, re.M))
    if done.returncode:
        print(f"failed: {command}\n{done.stderr[-600:]}", file=sys.stderr)
        return {}
    figures = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 2:
            # some lines end in a unit
            at = -2 if words[-1] in ("photos/s", "images/s") else -1
            try:
                name = words[: at - 2] if words[at - 1] == "s" else words[:at]
                figures[" ".join(name)] = float(words[at])
            except ValueError:
                pass  # a line for people
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
    ours, torch = (found[name].get("texts", float("nan")) for name in ("ours", "torch"))
    print(f"\n### Captions/s, {len(lines)} of Flickr30k's, text tower of ViT-B/32\n")
    print("| clipmill | torch, padded to 77 | ours / torch |\n|---|---|---|")
    print(f"| {ours:.0f} | {torch:.0f} | {ours / torch:.1f} |")


def preprocess():
    environment["CLIPMILL_TESTDATA"] = str(args.testdata)
    environment["RAYON_NUM_THREADS"] = "1"
    with tempfile.NamedTemporaryFile(suffix=".f32") as values:
        run([args.ours / "decode", f"values={values.name}"])
        found = rounds({"ours": [args.ours / "decode"],
                        "peers": [sys.executable, HERE / "preprocess.py", args.testdata, values.name]})
    del environment["RAYON_NUM_THREADS"]
    ours, peers = found["ours"], found["peers"]
    print("\n### Photos/s on one thread, 240 photos of Flickr30k\n")
    print("| what | photos/s | ours / it | values that are Pillow's and torchvision's | within one level |\n|---|---|---|---|---|")
    shares = {k: f"{peers.pop(k):.3f} %" for k in list(peers) if k.endswith((", equal", ", within a level"))}
    for what, figure in [*((f"clipmill {k}", v) for k, v in ours.items()), *peers.items()]:
        same = "preprocess" if "torchvision" in what or what.endswith("preprocess") else "decode"
        both = " | ".join(shares.get(f"{what}, {of}", "") for of in ("equal", "within a level"))
        print(f"| {what} | {figure:.0f} | {ours.get(same, float('nan')) / figure:.2f} | {both} |")


def overlap():
    whole.overlap(args.ours, environment, args.testdata, model_folder, args.rounds)


def memory():
    whole.memory(args.ours, environment, args.testdata, model_folder, args.images, args.whole)


def train():
    folder = args.models / "gpt2"
    if not (folder / "model.safetensors").exists():
        subprocess.run([sys.executable, HERE / "train.py", folder, "make"], check=True)
    print("\n### A training step of batch 8: GPT-2 small and an mlp mapper, 10 + 20 tokens; a CLIP, texts of 20\n")
    print("| | clipmill | torch | ours / torch |\n|---|---|---|---|")
    for mode, dtype in [*itertools.product(["fine-tune", "frozen"], ["f32", "bf16"]), ("clip", "f32")]:
        of = [model_folder("vit-b-32") if mode == "clip" else folder, mode, "cpu", dtype, "8"]
        found = rounds({"ours": [args.ours / "train", *of], "torch": [sys.executable, HERE / "train.py", *of]})
        for what, unit, digits in [("step", "s", 2), ("peak", "MB", 0)]:
            ours, torch = found["ours"].get(what, float("nan")), found["torch"].get(what, float("nan"))
            print(f"| {mode}, {dtype}, {what} | {ours:.{digits}f} {unit} | {torch:.{digits}f} {unit} | "
                  f"{ours / torch:.2f} |", flush=True)


def caption():
    found = rounds({"ours": [args.ours / "caption"], "peer": [sys.executable, HERE / "caption.py"]})
    print("\n### Captions of 30 tokens, GPT-2 small, images/s\n")
    print("| | clipmill | transformers, cached | our time / theirs |\n|---|---|---|---|")
    for what, theirs in found["peer"].items():
        ours = found["ours"].get(what, float("nan"))
        print(f"| {what} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f} |")
    many, one = (found["ours"].get(f"greedy, {n}", float("nan")) for n in ("32 images", "1 image"))
    print(f"\n32 images at once: {many / one:.1f} times the images/s of one.")


def processor():
    names = re.findall(r"^model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return names[0] if names else platform.machine()


def commit():
    command = ["git", "-C", HERE, "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


print(f"{processor()}, {len(os.sched_getaffinity(0))} cores, {datetime.date.today()}, "
      f"at commit {commit()}, {args.rounds} rounds of {args.seconds:g} s")
for part in args.only:
    encoder(part) if part in PEERS else globals()[part]()
    if missing:
        print(f"\nNot installed, and so not measured: {', '.join(sorted(missing))}.")
        missing.clear()

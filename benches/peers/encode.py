"""One peer of benches/encode.rs in a process of its own: python encode.py PEER FOLDER DTYPE BATCHES SECONDS

PEER is torch, onnxruntime or openvino on the processor, and torch-cuda or torch-compile on a GPU.
There the images lie on the GPU, scaled and in its type, before a call begins.

Prints `batch images/s` of the median call after one call to warm up, as ours does. With
`texts=FILE` in place of batches, the lines of the file are embedded once, padded to 77. With `photos=TAR`,
the cosines of onnxruntime's int8 to its f32 over the archive's first 64 photos are printed, as a
run of ours prints its own.
"""

import json
import os
import pathlib
import statistics
import sys
import time

import numpy as np

peer, folder, dtype, batches, seconds = sys.argv[1:6]
folder, seconds = pathlib.Path(folder), float(seconds)
threads = len(os.sched_getaffinity(0))


def quantized():
    """MatMul and Gemm with 8-bit weights: onnxruntime's own recipe for transformers."""
    path = folder / "vision-int8.onnx"
    if not path.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic
        quantize_dynamic(folder / "vision.onnx", path, op_types_to_quantize=["MatMul", "Gemm"],
                         weight_type=QuantType.QInt8, use_external_data_format=True)
    return path


def load():
    if peer.startswith("torch"):
        return torch_call(None if peer == "torch" else "cuda", peer == "torch-compile")
    if peer == "onnxruntime":
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        path = quantized() if dtype == "int8" else folder / "vision.onnx"
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda batch: session.run(None, {"pixel_values": batch})
    if peer == "openvino":
        import openvino as ov
        core = ov.Core()
        hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                 "INFERENCE_PRECISION_HINT": dtype}
        model = core.compile_model(folder / "vision.onnx", "CPU", hints)
        return lambda batch: model(batch)
    sys.exit(f"no peer {peer}")


def torch_call(device, compiles):
    import torch
    from transformers import CLIPModel
    torch.set_num_threads(threads)
    of = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[dtype]
    model = CLIPModel.from_pretrained(folder, attn_implementation="sdpa").eval().to(device, of)
    forward = lambda x: model.visual_projection(model.vision_model(pixel_values=x).pooler_output)
    if compiles:
        forward = torch.compile(forward, dynamic=False)
    placed = {}

    def call(batch):
        with torch.inference_mode():
            if device is None:
                return forward(torch.from_numpy(batch).to(of))
            if len(batch) not in placed:
                placed[len(batch)] = torch.from_numpy(batch).to(device, of)
            return forward(placed[len(batch)]).float().cpu()
    return call


def texts(path):
    import torch
    from transformers import CLIPModel, PreTrainedTokenizerFast
    torch.set_num_threads(threads)
    model = CLIPModel.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokenizer.pad_token = "<|endoftext|>"
    lines = pathlib.Path(path).read_text().splitlines()

    def call(batch):
        ids = tokenizer(batch, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return model.get_text_features(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"])
    call(lines[:8])
    start = time.perf_counter()
    for at in range(0, len(lines), 256):
        call(lines[at:at + 256])
    print(f"texts {len(lines) / (time.perf_counter() - start):.2f}")


def cosines(tar):
    import io
    import tarfile
    import onnxruntime as ort
    from PIL import Image
    from transformers import CLIPImageProcessor
    with tarfile.open(tar) as photos:
        files = (photos.extractfile(member) for member in photos if member.isfile())
        images = [Image.open(io.BytesIO(file.read())).convert("RGB") for _, file in zip(range(64), files)]
    batch = CLIPImageProcessor.from_pretrained(folder)(images, return_tensors="np")["pixel_values"]
    both = []
    for path in [folder / "vision.onnx", quantized()]:
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        features = session.run(None, {"pixel_values": batch.astype(np.float32)})[0]
        both.append(features / np.linalg.norm(features, axis=1, keepdims=True))
    found = (both[0] * both[1]).sum(axis=1)
    print(f"cosine to f32 at least {found.min():.6f}, median {np.median(found):.6f}")


if batches.startswith("photos="):
    cosines(batches.removeprefix("photos="))
    sys.exit()
if batches.startswith("texts="):
    texts(batches.removeprefix("texts="))
    sys.exit()

side = json.loads((folder / "config.json").read_text())["vision_config"]["image_size"]
call = load()
for rows in map(int, batches.split(",")):
    batch = np.random.default_rng(0).standard_normal((rows, 3, side, side), dtype=np.float32)
    call(batch)
    if peer.startswith("torch-"):
        call(batch)
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        at = time.perf_counter()
        call(batch)
        times.append(time.perf_counter() - at)
    print(f"{rows} {rows / statistics.median(times):.2f}", flush=True)

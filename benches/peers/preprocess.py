"""Pillow, torchvision and hf-processors-rs beside benches/decode.rs, one thread: python preprocess.py TESTDATA"""

import io
import os
import pathlib
import statistics
import sys
import tarfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"

import hf_processors_rs
import numpy
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

torch.set_num_threads(1)
with tarfile.open(pathlib.Path(sys.argv[1]) / "flickr30k/flickr30k-images.tar") as tar:
    photos = [tar.extractfile(m).read() for m in tar if m.isfile()]
mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
steps = [Resize(224, InterpolationMode.BICUBIC), CenterCrop(224), ToTensor(), Normalize(mean, std)]
steps = Compose(steps)
tensors = Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224), lambda t: t.float() / 255, Normalize(mean, std)])
config = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 224}, "resample": 3,
          "do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "do_rescale": True, "rescale_factor": 1 / 255,
          "do_normalize": True, "image_mean": mean, "image_std": std, "do_convert_rgb": True}
processor = hf_processors_rs.AutoImageProcessor.from_dict(config, backend="pil")


def rgb(photo):
    return Image.open(io.BytesIO(photo)).convert("RGB")


def torchvision_decoded(photo):
    return tensors(decode_jpeg(torch.frombuffer(bytearray(photo), dtype=torch.uint8), ImageReadMode.RGB))


def equal(work):
    """Share of values that are Pillow's and torchvision's to the bit."""
    same = [numpy.asarray(work(p)).reshape(3, 224, 224) == steps(rgb(p)).numpy() for p in photos]
    return numpy.mean(same)


def median(work):
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        for photo in photos:
            work(photo)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


pillow = lambda p: steps(rgb(p))
peers = {"Pillow decode + torchvision": pillow, "torchvision decode + transforms": torchvision_decoded,
         "hf-processors-rs preprocess": processor}
print(f"Pillow decode {len(photos) / median(rgb):.0f} photos/s")
for name, work in peers.items():
    print(f"{name} {len(photos) / median(work):.0f} photos/s")
    print(f"{name}, equal {100 * equal(work):.3f}")

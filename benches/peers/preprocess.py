"""Pillow and torchvision beside benches/decode.rs, one thread: python preprocess.py TESTDATA"""

import io
import pathlib
import statistics
import sys
import tarfile
import time

import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

torch.set_num_threads(1)
with tarfile.open(pathlib.Path(sys.argv[1]) / "flickr30k/flickr30k-images.tar") as tar:
    photos = [tar.extractfile(m).read() for m in tar if m.isfile()]
mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
steps = [Resize(224, InterpolationMode.BICUBIC), CenterCrop(224), ToTensor(), Normalize(mean, std)]
steps = Compose(steps)


def rgb(photo):
    return Image.open(io.BytesIO(photo)).convert("RGB")


def median(work):
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        for photo in photos:
            work(photo)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


print(f"Pillow decode               {len(photos) / median(rgb):6.0f} photos/s")
print(f"Pillow decode + torchvision {len(photos) / median(lambda p: steps(rgb(p))):6.0f} photos/s")

"""Pillow, torchvision and hf-processors-rs beside benches/decode.rs, one thread: python preprocess.py TESTDATA [VALUES]

Prints photos/s, and how many values are those of Pillow and torchvision: equal to the bit, and
within one level of 255. VALUES is what `decode values=VALUES` wrote: ours are compared too. What is
not installed is named, and the others are measured.
"""

import importlib
import io
import os
import pathlib
import statistics
import sys
import tarfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"


def imported(module, package):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        print(f"not installed: {package}")


import numpy

Image = imported("PIL.Image", "pillow")
hf_processors_rs = imported("hf_processors_rs", "hf-processors-rs")
torch, torchvision = imported("torch", "torch"), imported("torchvision", "torchvision")

with tarfile.open(pathlib.Path(sys.argv[1]) / "flickr30k/flickr30k-images.tar") as tar:
    photos = [tar.extractfile(m).read() for m in tar if m.isfile()]
mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# what one level makes of a value, and a little for rounding
level = (1.001 / 255 / numpy.array(std)).reshape(3, 1, 1)


def rgb(photo):
    return Image.open(io.BytesIO(photo)).convert("RGB")


def torchvision_works():
    from torchvision import transforms
    from torchvision.io import ImageReadMode, decode_jpeg

    torch.set_num_threads(1)
    fit = [transforms.Resize(224, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(224)]
    steps = transforms.Compose([*fit, transforms.ToTensor(), transforms.Normalize(mean, std)])
    tensors = transforms.Compose([*fit, lambda t: t.float() / 255, transforms.Normalize(mean, std)])
    works = {}
    if Image:
        works["Pillow decode + torchvision"] = lambda photo: steps(rgb(photo))
    works["torchvision decode + transforms"] = lambda photo: tensors(
        decode_jpeg(torch.frombuffer(bytearray(photo), dtype=torch.uint8), ImageReadMode.RGB))
    return works


def hf_processor():
    config = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 224}, "resample": 3,
              "do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "do_rescale": True, "rescale_factor": 1 / 255,
              "do_normalize": True, "image_mean": mean, "image_std": std, "do_convert_rgb": True}
    return hf_processors_rs.AutoImageProcessor.from_dict(config, backend="pil")


def tell_shares(name, values, reference):
    """Shares of `values`, an array a photo, that are those of `reference`."""
    same, near = [], []
    for photo, value in zip(photos, values):
        value, right = numpy.asarray(value).reshape(3, 224, 224), numpy.asarray(reference(photo))
        same.append(numpy.mean(value == right))
        near.append(numpy.mean(abs(value - right) <= level))
    print(f"{name}, equal {100 * numpy.mean(same):.4f}")
    print(f"{name}, within a level {100 * numpy.mean(near):.4f}")


def median(work):
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        for photo in photos:
            work(photo)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


works = torchvision_works() if torch and torchvision else {}
if hf_processors_rs:
    works["hf-processors-rs preprocess"] = hf_processor()
reference = works.get("Pillow decode + torchvision")
if Image:
    print(f"Pillow decode {len(photos) / median(rgb):.0f} photos/s")
for name, work in works.items():
    print(f"{name} {len(photos) / median(work):.0f} photos/s")
if reference:
    if len(sys.argv) > 2:
        # read only: a file that is too short is an error, and not filled up
        ours = numpy.memmap(sys.argv[2], "<f4", "r", shape=(len(photos), 3, 224, 224))
        tell_shares("clipmill preprocess", ours, reference)
    for name, work in works.items():
        tell_shares(name, map(work, photos), reference)

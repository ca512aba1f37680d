"""Whole runs of ours, for table.py: what overlapping gives, and how much memory a run has resident.

Photos are Flickr30k's 240 under other names as often as need be, each with its own bytes behind
the end of the JPEG, so that no two are the same.
"""

import io
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

PIPELINE = """[pipeline]
name = "speed"
store = "store"

[sources.photos.tar]
paths = "photos.tar"

[models.clip.huggingface]
path = "{model}"
dtype = "{dtype}"
device = "{device}"

[stages.images.index_images]
source = "photos"

[stages.image_features.embed_images]
images = "images"
model = "clip"
batch_size = {rows}
"""


def photos_tar(testdata, path, count):
    with tarfile.open(testdata / "flickr30k/flickr30k-images.tar") as tar:
        photos = [tar.extractfile(m).read() for m in tar if m.isfile()]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for n in range(count):
            photo = photos[n % len(photos)] + n.to_bytes(8, "little")
            member = tarfile.TarInfo(f"photos/{n}.jpg")
            member.size = len(photo)
            tar.addfile(member, io.BytesIO(photo))


def clipmill(binary, environment, testdata, model, dtype, count, device="cpu", rows=32):
    """Seconds and peak MB of a run over `count` photos into an empty store."""
    with tempfile.TemporaryDirectory(prefix="clipmill-speed-") as folder:
        folder = pathlib.Path(folder)
        photos_tar(testdata, folder / "photos.tar", count)
        text = PIPELINE.format(model=model.absolute(), dtype=dtype, device=device, rows=rows)
        (folder / "pipeline.toml").write_text(text)
        start = time.perf_counter()
        run = subprocess.Popen([binary, "run", folder / "pipeline.toml"], env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = run.stderr.read()
        _, status, used = os.wait4(run.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            sys.exit(f"clipmill run: {said[-600:]}")
        return seconds, used.ru_maxrss * 1024 / 1e6


def overlap(ours, environment, testdata, model_folder, rounds):
    """A run's time over that of its slowest stage alone; where that stage decodes, also over the
    decoding of photos in memory, which is less than any run has to do."""
    print("\n### A whole run over its slowest stage alone\n")
    print("| run | photos | slowest stage alone | run | run / alone |\n|---|---|---|---|---|")
    for name, count, stages in [
        ("vit-b-32", 960, {"32": "encode"}),
        ("tiny", 4800, {"stage": "read, digest, decode", "decode": "decode photos in memory"}),
    ]:
        model = model_folder(name)
        runs, alone = [], {stage: [] for stage in stages}
        with tempfile.TemporaryDirectory(prefix="clipmill-speed-") as folder:
            photos = pathlib.Path(folder) / "photos.tar"
            photos_tar(testdata, photos, count)
            if "32" in stages:
                command = [ours / "encode", model, "f32", "32", "6"]
            else:
                command = [ours / "alone", photos, "64", "1"]
            for _ in range(rounds):
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                said = dict(line.split()[:2] for line in done.stdout.splitlines() if line.strip())
                for stage, seconds in alone.items():
                    seconds.append(count / float(said[stage]))
                runs.append(clipmill(ours / "clipmill", environment, testdata, model, "f32", count)[0])
        r = statistics.median(runs)
        for stage, what in stages.items():
            a = statistics.median(alone[stage])
            print(f"| {name} | {count} | {what} {a:.1f} s | {r:.1f} s | {r / a:.2f} |", flush=True)


def memory(ours, environment, testdata, model_folder, most, is_whole):
    """Peak resident memory, at several counts each: it must not grow with the images. ViT-B/32 sees
    all of them only where it is asked for."""
    print("\n### Peak resident memory of `clipmill run`\n")
    print("| model | photos | peak | weights' file | beyond the weights |\n|---|---|---|---|---|")
    counts = (240, 720, most) if is_whole else (240, 720)
    for name, dtype, counts in [("vit-b-32", "f32", counts), ("vit-b-32", "int8", counts),
                                ("tiny", "f32", (most // 4, most))]:
        model = model_folder(name)
        weights = (model / "model.safetensors").stat().st_size / 1e6
        for count in counts:
            _, peak = clipmill(ours / "clipmill", environment, testdata, model, dtype, count)
            print(f"| {name}, {dtype} | {count} | {peak:.0f} MB | {weights:.0f} MB | {peak - weights:.0f} MB |", flush=True)

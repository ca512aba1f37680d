"""What Pillow 13 and torchvision make of the real images: python pillow.py TESTDATA

Writes digests only, no pixels of the photos:
pillow/photos.tsv: for each of the 240 photos its name, and SHA-256 of convert("RGB") and of the
preprocessed 224 x 224 image, 8 bits, interleaved;
pillow/odd.tsv: for each file of odd_images its name, OK or ERR, then format, mode, width,
height, SHA-256 of convert("RGB"), SHA-256 of exif_transpose(convert("RGB")) where that turns it
(else -), and for the damaged files of DIFFERENT the means of an 8 x 8 grid, hexadecimal (else -).
"""

import hashlib
import io
import pathlib
import sys
import tarfile
import warnings

import numpy as np
from PIL import Image, ImageOps
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

warnings.simplefilter("ignore")
data = pathlib.Path(sys.argv[1])
out = pathlib.Path(__file__).parent / "pillow"
out.mkdir(exist_ok=True)

# damaged files that libjpeg-turbo guesses at and that are guessed at otherwise here
DIFFERENT = ("8e5e74dbf9b68a322fbb", "10cb2d321386", "25aadffedb22", "7e6883ae5f80", "cde10ca77d16")


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


def grid(rgb):
    """Means of 8 x 8 cells; cell i spans floor(i * n / 8) to max(that + 1, floor((i + 1) * n / 8))."""
    h, w, _ = rgb.shape
    cells = []
    for y in range(8):
        y0 = y * h // 8
        for x in range(8):
            x0 = x * w // 8
            cell = rgb[y0 : max(y0 + 1, (y + 1) * h // 8), x0 : max(x0 + 1, (x + 1) * w // 8)]
            cells.append(cell.reshape(-1, 3).mean(axis=0, dtype=np.float64))
    return np.floor(np.array(cells) + 0.5).astype(np.uint8).tobytes().hex()


steps = Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224)])
lines = []
with tarfile.open(data / "flickr30k/flickr30k-images.tar") as tar:
    for member in tar:
        if member.isfile():
            rgb = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
            lines.append("\t".join((pathlib.Path(member.name).name, digest(rgb), digest(steps(rgb)))))
(out / "photos.tsv").write_text("\n".join(lines) + "\n")

lines = []
for path in sorted((data / "odd_images").iterdir()):
    if path.name == "survey.tsv":
        continue
    try:
        with Image.open(path) as image:
            head = (image.format, image.mode, *map(str, image.size))
            rgb = image.convert("RGB")
            turned = "-"
            if image.getexif().get(0x0112, 1) in range(2, 9):
                turned = digest(ImageOps.exif_transpose(image).convert("RGB"))
            cells = grid(np.asarray(rgb)) if any(d in path.name for d in DIFFERENT) else "-"
            lines.append("\t".join((path.name, "OK", *head, digest(rgb), turned, cells)))
    except Exception as error:
        lines.append("\t".join((path.name, "ERR", type(error).__name__)))
(out / "odd.tsv").write_text("\n".join(lines) + "\n")

"""What Pillow and torchvision make of the real images: python pillow.py TESTDATA [--full DIR]

Writes pillow/photos.bin (for each of the 240 photos, in the archive's order, the 16 x 16 RGB
pixels at every 14th row and column of the preprocessed image, from 7 on, 224 px, 8 bits) and
pillow/odd.tsv (file, OK or ERR, format, mode, width, height, and for OK the means of an 8 x 8
grid of convert("RGB"), hexadecimal). With --full, every photo's whole 224 x 224 x 3 bytes go to
DIR/photos.full, too large to be kept.
"""

import io
import pathlib
import sys
import tarfile
import warnings

import numpy as np
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

warnings.simplefilter("ignore")
data = pathlib.Path(sys.argv[1])
out = pathlib.Path(__file__).parent / "pillow"
out.mkdir(exist_ok=True)
full = pathlib.Path(sys.argv[3]) if sys.argv[2:3] == ["--full"] else None

steps = Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224)])
samples, whole = [], []
with tarfile.open(data / "flickr30k/flickr30k-images.tar") as tar:
    for member in tar:
        if member.isfile():
            image = Image.open(io.BytesIO(tar.extractfile(member).read()))
            values = np.asarray(steps(image.convert("RGB")))
            samples.append(values[7::14, 7::14].tobytes())
            whole.append(values.tobytes())
(out / "photos.bin").write_bytes(b"".join(samples))
if full:
    full.mkdir(exist_ok=True)
    (full / "photos.full").write_bytes(b"".join(whole))


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


lines = []
for path in sorted((data / "odd_images").iterdir()):
    if path.name == "survey.tsv":
        continue
    try:
        with Image.open(path) as image:
            head = (image.format, image.mode, *map(str, image.size))
            lines.append("\t".join((path.name, "OK", *head, grid(np.asarray(image.convert("RGB"))))))
    except Exception as error:
        lines.append("\t".join((path.name, "ERR", type(error).__name__)))
(out / "odd.tsv").write_text("\n".join(lines) + "\n")

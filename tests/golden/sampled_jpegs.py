"""Small drawn JPEGs of every way to sample colours, for tests/decode.rs: python sampled_jpegs.py

Written with Pillow 13.0 into pillow/sampled/; nothing in them comes from a photograph.
"""

import math
import pathlib

from PIL import Image

folder = pathlib.Path(__file__).parent / "pillow" / "sampled"
folder.mkdir(parents=True, exist_ok=True)
width, height = 83, 61
picture = Image.new("RGB", (width, height))
picture.putdata([
    (int(128 + 127 * math.sin(x / 5)), int(128 + 127 * math.cos((x + y) / 7)), (x * 3 + y * 5) % 256)
    for y in range(height) for x in range(width)
])
for name, mode, options in [
    ("444", "RGB", {"subsampling": "4:4:4"}),
    ("422", "RGB", {"subsampling": "4:2:2"}),
    ("420", "RGB", {"subsampling": "4:2:0"}),
    ("420-progressive", "RGB", {"subsampling": "4:2:0", "progressive": True}),
    ("420-restarts", "RGB", {"subsampling": "4:2:0", "restart_marker_blocks": 3}),
    ("grey", "L", {}),
    ("cmyk", "CMYK", {}),
]:
    picture.convert(mode).save(folder / f"{name}.jpg", quality=80, **options)

"""Ours and the peers on a processor with AVX2 and nothing above it, whatever this one has.

python masked.py OURS OUT table.py OUT/ours MODELS TESTDATA --only f32 int8

Copies the built `encode` of OURS, onnxruntime and openvino into OUT, and puts an instruction that does not
exist for each `cpuid` in them, which masked.c answers; PyTorch is told by its own settings. Then runs
the script behind OUT. Wants Linux on x86-64, cc, objdump and readelf. The processor's clock and caches
stay its own, and glibc's copies.
"""

import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
PACKAGES = ["onnxruntime", "openvino"]
# Two bytes, as long as `cpuid`, that mean nothing in 64-bit code, and that no compiler writes.
NOTHING = b"\x06\x06"


def mask(file):
    """Replaces each `cpuid` that a disassembler finds, not the bytes, which may be part of others."""
    bytes_of = bytearray(file.read_bytes())
    if b"\x0f\xa2" not in bytes_of:
        return
    headers = subprocess.run(["readelf", "-lW", file], check=True, capture_output=True, text=True).stdout
    segments = re.findall(r"LOAD\s+(0x\w+)\s+(0x\w+)\s+0x\w+\s+(0x\w+)", headers)
    segments = [tuple(int(number, 16) for number in segment) for segment in segments]
    lines = subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", file], stdout=subprocess.PIPE, text=True)
    for line in lines.stdout:
        if re.search(r"\bcpuid$", line.rstrip()):
            address = int(line.split(":")[0], 16)
            at = next(start + address - first for start, first, size in segments if first <= address < first + size)
            assert bytes_of[at : at + 2] == b"\x0f\xa2", f"{file}: no cpuid at {address:#x}"
            bytes_of[at : at + 2] = NOTHING
    if lines.wait():
        sys.exit(f"objdump of {file} failed")
    file.write_bytes(bytes_of)


if len(sys.argv) < 4:
    sys.exit(__doc__)
ours, out = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
(out / "ours").mkdir(parents=True, exist_ok=True)
shutil.copy(ours / "encode", out / "ours/encode")
mask(out / "ours/encode")
for name in PACKAGES:
    found = importlib.util.find_spec(name)
    if found is None:
        print(f"not installed: {name}", file=sys.stderr)
        continue
    shutil.copytree(pathlib.Path(found.origin).parent, out / "site" / name, dirs_exist_ok=True)
    for file in (out / "site" / name).rglob("*.so*"):
        mask(file)
subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", out / "masked.so", HERE / "masked.c"], check=True)
script, *arguments = sys.argv[3:]
print("Masked: AVX2 and nothing above it.", flush=True)
done = subprocess.run([sys.executable, HERE / script, *arguments], env=os.environ | {
    "LD_PRELOAD": str(out / "masked.so"), "PYTHONPATH": str(out / "site"),
    "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
})
sys.exit(done.returncode)

"""Digests of the token ids that the references give real captions.

    python clip_tokens.py $CLIPMILL_TESTDATA > clip/tokens.json

For each data set and each reference: the number of texts, and the SHA-256 of all ids (with start
and end, cut at 77, no padding), each text as its count and its ids, little-endian u32.
References: open_clip's SimpleTokenizer (OpenAI's, with ftfy) and transformers' CLIPTokenizer,
built from tokenizer.json. Also printed to stderr: how many texts the two tokenize differently.
"""
import hashlib
import json
import pathlib
import struct
import sys
import tarfile

import ftfy
from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPTokenizer

data = pathlib.Path(sys.argv[1])
simple = SimpleTokenizer(bpe_path=str(data / "vocab/clip/bpe_simple_vocab_16e6.txt.gz"))
fast = CLIPTokenizer.from_pretrained(data / "vocab/clip")


def lines(text):
    return [line for line in text.split("\n") if line]


archive = tarfile.open(data / "flickr30k/flickr30k.tar.gz")
token = archive.extractfile("results_20130124.token").read().decode()
SETS = {
    # the caption alone
    "flickr30k": [line.split("\t", 1)[1] for line in lines(token)],
    # whole lines: what matters is the Chinese, and odd text does no harm
    "flickr8k_zh": lines((data / "flickr8k/flickr8kzhb.caption.txt").read_text("utf8")),
    "flickr30k_zh": lines((data / "flickr30k/captions-zh-3000.csv").read_text("utf8")),
    "coco": [a["caption"] for a in
             json.loads((data / "coco/captions_val2017.json").read_text())["annotations"]],
}


def digest(rows):
    h = hashlib.sha256()
    for row in rows:
        row = row if len(row) <= 77 else row[:76] + row[-1:]
        h.update(struct.pack(f"<{len(row) + 1}I", len(row), *row))
    return h.hexdigest()


def openai(text):
    return [simple.sot_token_id] + simple.encode(text) + [simple.eot_token_id]


out = {}
for name, texts in SETS.items():
    a = [openai(text) for text in texts]
    b = []
    for at in range(0, len(texts), 5000):
        b += fast(texts[at: at + 5000])["input_ids"]
    differ = [text for text, x, y in zip(texts, a, b) if x != y]
    repaired = sum(ftfy.fix_encoding(text) != text for text in texts)
    print(f"{name}: {len(texts)} texts, {len(differ)} differ, {repaired} mojibake, {differ[:3]}",
          file=sys.stderr)
    out[name] = {"texts": len(texts), "simple": digest(a), "transformers": digest(b)}
print(json.dumps(out, indent=1))

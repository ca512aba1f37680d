"""Writes HTML's named character references as Python's `html.unescape` knows them.

    python clip_html5.py > ../../src/nn/tokens/html5.tsv
"""
from html.entities import html5

for name, text in sorted(html5.items()):
    print(name, " ".join(f"{ord(c):x}" for c in text), sep="\t")

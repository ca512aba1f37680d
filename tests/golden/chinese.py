"""Chinese: WordPiece ids by transformers, scores by pycocoevalcap. python chinese.py OUT

tests/captioner/codec.rs and tests/caption/scores.rs read OUT. Needs transformers, pycocoevalcap and
jieba. The vocabulary and all captions are invented here.
"""

import json
import pathlib
import sys

import jieba
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from transformers import BertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "一只狗在草地上奔跑。",
    "两个穿着t-shirt的男人在弹吉他，旁边有一位女士！",
    "一个 男人\u3000在 \t街上\n骑 自行车",
    "ＡＢＣ１２３全角字母",
    "NBA球员在2019年的比赛中walking",
    "café naïve Ångström 咖啡",
    "“你好”，他说：《红楼梦》……？",
    "龘靐齉不在词表里",
    "こんにちは 안녕 русский 한국",
    "\U00020000\U0002a700扩展区汉字",
    "狗🐕和猫\u200b在\u00ad一起\u0007玩",
    "[MASK]在草地上[SEP]",
    "一个人walked,walking;walks",
    "3.5米 50% 10:30 5/1",
    "女士women's包",
    "",
    "   ",
    "x" * 101 + " 狗",
    "臺灣的貓與狗",
    "é一é",
]
PAIRS = [
    ("一个男人在弹吉他", ["一个男人在弹吉他。", "男人弹着吉他", "有个人坐在椅子上弹吉他"]),
    ("两只狗在草地上奔跑", ["两只棕色的狗在草地上追逐", "狗狗们在草坪上玩耍", "草地上有两只狗"]),
    ("一位穿红色衣服的女士在街上骑自行车", ["一个女人骑着自行车经过街道", "穿着红衣的女士在骑车"]),
    ("孩子们在海边踢足球", ["一群孩子在沙滩上踢足球", "海滩上孩子们在玩球", "几个小孩在海边玩"]),
    ("桌子上有一杯咖啡和一本书", ["一杯咖啡放在桌上，旁边有书", "书和咖啡在木桌上"]),
    ("NBA球员正在投篮", ["一名篮球运动员在投篮", "穿着 10 号球衣的球员跳起来投篮"]),
    ("狗", ["一只猫躺在沙发上睡觉", "猫在睡觉"]),
    ("", ["天空中飞过一架飞机", "蓝天上的飞机"]),
]


def vocabulary():
    characters = sorted({c for t in [*TEXTS, *(x for p in PAIRS for x in [p[0], *p[1]])] for c in t
                         if "\u4e00" <= c <= "\u9fff" and c not in "龘靐齉"})
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    signs = list("。，！？：；“”《》…,.;:!?%/-'()[]0123456789１２３")
    whole = ["walk", "women", "nba", "NBA", "shirt", "cafe", "café", "naive", "2019", "50", "10", "Ａ", "ａ", "こ", "안"]
    pieces = ["##" + x for x in [*letters, "ing", "ed", "s", "0", "1", "5", "30", "んにちは", "ｂｃ１２３", "ngstrom"]]
    return [*SPECIAL, *characters, *letters, *[x.upper() for x in letters], *signs, *whole, *pieces]


def blank(c):
    return c.isspace() or c in "\u200b\u200c\u200d\u2060\ufeff"


def characters(text):
    return [c for c in text if not blank(c)]


def words(text):
    cut = ("".join(c for c in word if not blank(c)) for word in jieba.cut(text))
    return [word for word in cut if word]


def scores(cut):
    gts = {i: [" ".join(cut(r)) for r in refs] for i, (_, refs) in enumerate(PAIRS)}
    res = {i: [" ".join(cut(c))] for i, (c, _) in enumerate(PAIRS)}
    bleu, bleus = Bleu(4).compute_score(gts, res, verbose=0)
    rouge, rouges = Rouge().compute_score(gts, res)
    cider, ciders = Cider().compute_score(gts, res)
    return {
        "words": [[cut(c), *map(cut, refs)] for c, refs in PAIRS],
        "corpus": [*map(float, bleu), float(rouge), float(cider)],
        "per_image": [[*map(float, of), float(r), float(c)] for *of, r, c in zip(*bleus, rouges, ciders)],
    }


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.txt").write_text("".join(t + "\n" for t in vocabulary()))
    of = {}
    for name, lowercase in [("lowercase", True), ("cased", False)]:
        tokenizer = BertTokenizer(str(out / "vocab.txt"), do_lower_case=lowercase)
        of[name] = [tokenizer.encode(t, add_special_tokens=False) for t in TEXTS]
    cases = [{"candidate": c, "references": r} for c, r in PAIRS]
    made = {"texts": TEXTS, "ids": of, "cases": cases, "characters": scores(characters), "jieba": scores(words)}
    (out / "chinese.json").write_text(json.dumps(made, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

"""The reference of caption scores: pycocoevalcap, with its Java tokeniser.

    python scores.py make OUT [TESTDATA]   writes OUT/lines.tsv, cases.json and, from real data, real.json
    python scores.py tokens                lines on stdin, tokenised lines on stdout
    python scores.py scores                cases as JSON on stdin, their scores as JSON on stdout

Needs pycocoevalcap and java.
"""

import hashlib
import json
import random
import subprocess
import sys
import tarfile
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer import ptbtokenizer

LINES = """\
A dog runs .
it's don't can't won't isn't he'll they've we're I'm he'd shouldn't've
it’s don’t can’t he’ll they’ve we’re I’m boy’s
IT'S DON'T N'T dont' ain't
'em get 'em 'tis 'twas 'Twas 'cause 'til 'till rock 'n' roll rock'n'roll
d'ye more'n gimme lemme gonna gotta wanna cannot whatcha dunno GONNA gonnas wannabe
y'all o'clock O'Brien ol' cap'n ma'am c'mon d'Artagnan l'eau
'60s '90s 60's 1950s 1950's 50s '50s-style '06 '6
boys' dogs' james' the boys' toys x' 5' 6'2" 5 ' 10 "
Mr. Mrs. Dr. St. Jr. and a mr. b on main st. with jr. and co.
etc. vs. v. no. No. 5 no. five a.m. p.m. e.g. i.e. approx. min. ft. oz. lb.
U.S. U.S.A. u.k. in the U.S. Army. at 5 p.m. on
at 5pm. 5pm 4:06pm 10:30am 10:30 a.m. 1:30pm.
a man sat. the sun. sun. sat. wed. mar. dec. fri. no. ave. blvd.
reads K. He is a sign K. on A. The man in plan B. now
1,000 1,000,000 3.5 .5 0.5 -5 +5 $5 $5.00 5$ US$5 50% 5.5% 1/2 10/12 1/2-inch 3/4" 5 1/2 21-1/2
10:30 10:30:15 5:1 2-1 3-0 555-1212 1-800-555-1212 1st 2nd 4x4 3-D mp3 50cc #41 747
http://www.foo.com www.foo.com foo.com bar.co.uk me@foo.com @user #tag #hash_tag
:) :-) :( ;) :D :P =) <3 ^_^ :/ 8)
<b> </b> <a href="x"> <unk> < b > a<b a>b <br/> <person>
&amp; &lt; &gt; &quot; AT&T M&M R&B B&W a&b & W A & B lounge&grill
-- --- ---- a-b a--b a - b a -- b – — a–b t-shirt t-shirts --a a-- -a a- air-
. .. ... .... a... b a.. b a.b end.the dog.5 .neck .a
! !! !!! ? ?! a! b? (a) [b] {c} “a” ‘a’ `a` ``a'' "a" 'a' " '
a"b 'a b' "a b" "a, b," 'a.' 'a'. 'a', "a". "a", a." b."
a/b a / b and/or w/ w/o c/o /a a/ a//b a\\b a|b a~b a_b __ a*b ** a=b a+b 8+ rif=ding on=f
½ ¼ ¾ 1½ ° 5° 90° × • café naïve Ångström São Paulo 中文 日本語 русский
C++ C# F-16 AC/DC A's 3M 7-Eleven 24/7 9/11 u.s.-based non-U.S. well-known.
too,can berlin,germany men,one coat,grey bib,girl :while ;the i<3ny 1,2 a,1 1,a a;b a:b
creature( (using ( non-us) (presumably ) ( #9 ) "kathmandu." 'scrambler 11' 's-eye-view
""".splitlines()


def tokenised(lines):
    """As PTBTokenizer.tokenize, of captions that need not belong to images."""
    jar = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    command = ["java", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer",
               "-preserveLines", "-lowerCase", "-encoding", "utf-8"]
    text = "\n".join(line.replace("\n", " ") for line in lines) + "\n"
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    rows = done.stdout.decode().split("\n")[: len(lines)]
    gone = set(ptbtokenizer.PUNCTUATIONS)
    return [" ".join(w for w in row.rstrip().split(" ") if w not in gone) for row in rows]


def alone(lines):
    """As `tokenised`, but no caption is looked at for the end of the one before it."""
    return tokenised([line for caption in lines for line in (caption, "x")])[::2]


def scores(cases):
    flat = [text for case in cases for text in (case["candidate"], *case["references"])]
    words = iter(alone(flat))
    res, gts = {}, {}
    for key, case in enumerate(cases):
        res[key] = [next(words)]
        gts[key] = [next(words) for _ in case["references"]]
    bleu, bleus = Bleu(4).compute_score(gts, res, verbose=0)
    rouge, rouges = Rouge().compute_score(gts, res)
    cider, ciders = Cider().compute_score(gts, res)
    per_image = [[*map(float, of), float(r), float(c)] for *of, r, c in zip(*bleus, rouges, ciders)]
    return {"corpus": [*map(float, bleu), float(rouge), float(cider)], "per_image": per_image}


def invented(count):
    """Cases out of a small grammar, with what captions hold besides words."""
    random.seed(3)
    pick = random.choice
    def caption():
        who = pick(["a man", "two dogs", "the boy's friend", "a woman (left)", "Three T-shirts", "it"])
        does = pick(["runs", "is sitting", "doesn't move", "rides a bike", "looks at 5 1/2 birds"])
        where = pick(["on the grass", "in the U.S.", "near a \"stop\" sign", "at 10:30 a.m.", "", "by the sea"])
        return f"{who} {does} {where}{pick([' .', '.', '', '!', ' ...'])}".strip()
    cases = [{"candidate": caption(), "references": [caption() for _ in range(random.randint(1, 6))]}
             for _ in range(count)]
    cases[0]["candidate"] = ""
    cases[1]["candidate"] = "."
    cases[2]["references"].append("")
    cases[3]["candidate"] = "dog"
    cases[4]["candidate"] = cases[4]["references"][0]
    return cases


def flickr30k(testdata):
    with tarfile.open(testdata / "flickr30k" / "flickr30k.tar.gz") as archive:
        text = archive.extractfile("results_20130124.token").read().decode()
    return [line.split("\t", 1) for line in text.rstrip("\n").split("\n")]


def digest(lines):
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def make(out, testdata):
    out.mkdir(parents=True, exist_ok=True)
    rows = [f"{line}\t{words}\n" for line, words in zip(LINES, alone(LINES))]
    (out / "lines.tsv").write_text("".join(rows))
    cases = invented(40)
    (out / "cases.json").write_text(json.dumps({"cases": cases, **scores(cases)}, indent=0) + "\n")
    if testdata is None:
        return
    flickr = flickr30k(testdata)
    coco = json.loads((testdata / "coco" / "captions_val2017.json").read_text())["annotations"]
    flickr8k = (testdata / "flickr8k" / "Flickr8k.token.txt").read_text().rstrip("\n").split("\n")
    images = {}
    for key, caption in flickr:
        images.setdefault(key.rsplit("#", 1)[0], []).append(caption)
    sample = [{"candidate": of[0], "references": of[1:]} for of in list(images.values())[:1000]]
    captions = [caption for _, caption in flickr]
    real = {
        # as a whole and each caption alone give the same
        "flickr30k": digest(tokenised(captions)),
        "flickr8k": digest(tokenised([line.split("\t", 1)[1] for line in flickr8k])),
        "coco_alone": digest(alone([of["caption"] for of in coco])),
        # the first caption of each of the first 1,000 images against its others
        "corpus": scores(sample)["corpus"],
    }
    assert real["flickr30k"] == digest(alone(captions))
    (out / "real.json").write_text(json.dumps(real, indent=1) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", out, *testdata]:
            make(Path(out), Path(testdata[0]) if testdata else None)
        case ["tokens"]:
            sys.stdout.write("".join(line + "\n" for line in alone(sys.stdin.read().split("\n")[:-1])))
        case ["scores"]:
            print(json.dumps(scores(json.load(sys.stdin))))
        case _:
            sys.exit(__doc__)

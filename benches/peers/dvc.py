"""`dvc status` and `dvc repro` beside benches/plan.rs, with nothing to do: python dvc.py FOLDER

FOLDER holds images.tar, captions.token, clip/, pipeline.toml and the store that was made of them:
to dvc they are a stage's inputs and its output. Prints one line a command: name, tab, median of
seconds; each is a process of its own, as it is for those who type it."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 5
STAGE = """stages:
  build:
    cmd: "true"
    deps: [images.tar, captions.token, clip, pipeline.toml]
    outs:
      - store:
          cache: false
          persist: true
"""


def dvc(folder, *arguments):
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"dvc {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def median(folder, *arguments):
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        said = dvc(folder, *arguments)
        seconds.append(time.perf_counter() - start)
    assert "up to date" in said, said
    return statistics.median(seconds)


folder = Path(sys.argv[1])
dvc(folder, "init", "--no-scm", "--quiet")
dvc(folder, "config", "core.analytics", "false")
(folder / "dvc.yaml").write_text(STAGE)
dvc(folder, "commit", "--force", "--quiet")
for command in ("status", "repro"):
    print(f"dvc {command}\t{median(folder, command)}")

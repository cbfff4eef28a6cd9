"""What a reader does in the editor: `fill_in_slurm.py PROJECT.yaml`, the worker slurm for here."""

from __future__ import annotations

import sys
from pathlib import Path

from ruamel.yaml import YAML

path = Path(sys.argv[1])
lines = path.read_text().splitlines()
start = lines.index("#   slurm:")
end = next(n for n in range(start + 1, len(lines)) if not lines[n].startswith("#     "))
lines[start:end] = [line.removeprefix("# ") for line in lines[start:end]]
content = YAML(typ="safe").load("\n".join(lines))
worker = content["workers"]["slurm"]
del worker["host"]
worker["type"] = "local"  # this is the login node
worker["work_dir"] = str(path.parent / "slurm-jobs")
worker["pre_run"] = f"export PATH={Path(sys.executable).parent}:$PATH OMP_NUM_THREADS=1"
worker["resources"] = {"nodes": 1, "ntasks": 1, "time": "00:30:00", "partition": "short"}
with path.open("w") as file:
    YAML().dump(content, file)

"""Computes features of photographs with either engine and prints how far they are apart: ADDRESS FOLDER, in a process
of its own, since Ray changes the process that it is used in."""

import sys
import tempfile
from pathlib import Path

import torch

from stego_cli.model.backbones import backbone
from stego_cli.model.vit import build
from stego_cli.progress import Quiet
from stego_cli.stop import NEVER
from stego_cli.training.cached import compute_features
from stego_cli.training.context import RunContext
from stego_cli.training.views import Cut, survey

address, folder = sys.argv[1:]
torch.manual_seed(0)
vit = build(backbone("timm:vit_tiny_patch16_224"), None, block=1)
found = survey(sorted(Path(folder).glob("**/*.png")), Cut(64, vit.row.patch, crops="five"))
results = []
for engine, where in (("local", None), ("ray", address)):
    with tempfile.TemporaryDirectory() as scratch:
        context = RunContext(torch.device("cpu"), Path(scratch), Quiet(), NEVER, engine=engine, ray_address=where)
        results.append(compute_features(vit, found, 10**9, context))
local, ray = results
assert local.paths == ray.paths
assert [path.name for path, _ in ray.failed] == ["bad.png"]
assert torch.equal(local.starts, ray.starts)
assert float(local.tokens.float().abs().max()) > 0.1
apart = float((local.tokens.float() - ray.tokens.float()).abs().max())
print("views", len(ray), "apart", apart)  # noqa: T201  (what the test reads)

"""The GPT of train.py, each layer split over NeuronCores with NxD.

NxD (neuronx-distributed) gives the parallel layers, the wrapped optimizer and the
checkpoints, torch-neuronx the device. It is started by torchrun with a process
for each logical NeuronCore. This file was NOT RUN here, where there is no Neuron
device: the README says which lines rest on NxD's documentation alone.
"""

import argparse
import math
import os
import pathlib
import shutil
import signal
import sys
import time

import neuronx_distributed as nxd
import torch
import torch.distributed as dist
import torch.nn.functional as F
import torch_xla.core.xla_model as xm
import torch_xla.distributed.xla_backend  # noqa: F401, which makes "xla" known
from neuronx_distributed.parallel_layers import parallel_state
from neuronx_distributed.parallel_layers.layers import ColumnParallelLinear, ParallelEmbedding, RowParallelLinear
from neuronx_distributed.parallel_layers.loss_functions import parallel_cross_entropy
from torch import nn

import train


class Block(nn.Module):
    """One layer. Each rank of a tensor-parallel group has some of its heads, and
    of its feed-forward as large a share."""

    def __init__(self, dim, heads, split):
        super().__init__()
        self.heads = heads // split
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = ColumnParallelLinear(dim, 3 * dim, bias=False, gather_output=False)
        self.out = RowParallelLinear(dim, dim, bias=False, input_is_parallel=True)
        self.up = ColumnParallelLinear(dim, 4 * dim, gather_output=False)
        self.down = RowParallelLinear(4 * dim, dim, input_is_parallel=True)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, dim=2)
        )
        mask = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        mixed = scores.masked_fill(mask, float("-inf")).softmax(dim=3) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, -1))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, layers, dim, heads, length, split):
        super().__init__()
        self.tokens, self.places = ParallelEmbedding(256, dim), nn.Embedding(length, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, split) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head = ColumnParallelLinear(dim, 256, bias=False, gather_output=False)

    def forward(self, inputs, targets):
        x = self.tokens(inputs) + self.places.weight[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        return parallel_cross_entropy(self.head(self.norm(x)), targets).mean()


def options():
    """Those of train.py, and how many ways each layer is split."""
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--tensor-parallel", type=int, default=8)
    mine, rest = own.parse_known_args()
    sys.argv[1:] = rest
    o = train.options()
    o.split = mine.tensor_parallel
    return o


def complete(out):
    """The steps of the checkpoints that were renamed, the newest last."""
    names = (path.name.removeprefix("checkpoint-") for path in pathlib.Path(out).glob("checkpoint-*"))
    return sorted(int(name) for name in names if name.isdigit())


def save(model, optimizer, step, rank, o):
    """Writes a checkpoint: every rank of the first copy of the model its part,
    all of them on node 0. Rank 0 renames it when all have written."""
    out = pathlib.Path(o.out)
    nxd.save_checkpoint(str(out / "tmp-nxd"), tag=f"checkpoint-{step}", model=model, optimizer=optimizer, user_content={"step": step})
    xm.rendezvous(f"written {step}")
    if rank == 0:
        os.replace(out / "tmp-nxd" / f"checkpoint-{step}", out / f"checkpoint-{step}")
        shutil.rmtree(out / "tmp-nxd")
        for old in complete(out)[: -o.keep]:
            shutil.rmtree(out / f"checkpoint-{old}", ignore_errors=True)
    xm.rendezvous(f"renamed {step}")


def resume(model, optimizer, device, rank, o):
    """Goes on from the checkpoint that rank 0 found; returns its step."""
    steps = complete(o.out)
    step = int(train.agree(steps[-1] if rank == 0 and steps else 0, device))
    if step:
        nxd.load_checkpoint(o.out, tag=f"checkpoint-{step}", model=model, optimizer=optimizer)
    return step


def main():
    o = options()
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    dist.init_process_group("xla")
    rank, world = dist.get_rank(), dist.get_world_size()
    device = xm.xla_device()
    if o.heads % o.split or world % o.split:
        sys.exit(f"--tensor-parallel {o.split} divides neither {o.heads} heads nor {world} ranks" if rank == 0 else 1)
    config = nxd.neuronx_distributed_config(
        tensor_parallel_size=o.split,
        optimizer_config={"zero_one_enabled": False, "grad_clipping": True, "max_grad_norm": 1.0},
    )

    def build():
        torch.manual_seed(o.seed)
        return GPT(o.layers, o.dim, o.heads, o.length, o.split)

    model = nxd.initialize_parallel_model(config, build)
    optimizer = nxd.initialize_parallel_optimizer(config, torch.optim.AdamW, model.parameters(), lr=o.rate, weight_decay=0.01)
    copies, copy = parallel_state.get_data_parallel_size(), parallel_state.get_data_parallel_rank()
    if o.batch % copies:
        sys.exit(f"--batch {o.batch} cannot be shared out among {copies} copies of the model" if rank == 0 else 1)
    text = train.read_text(o.data)
    start = resume(model, optimizer, device, rank, o)
    if rank == 0:
        print(f"{world} ranks, {copies} copies of the model, {o.split} ranks each; after step {start} of {o.steps}", flush=True)

    saved, stopped, step = start, False, start
    clock, since = time.monotonic(), start
    while step < o.steps and not stopped:
        for group in optimizer.param_groups:
            group["lr"] = train.learning_rate(step, o)
        inputs, targets = train.batch_of(text, step, copy, o.batch // copies, o)
        optimizer.zero_grad()
        loss = model(inputs.to(device), targets.to(device))
        loss.backward()
        optimizer.step()  # with the sum over the copies, and clipped
        xm.mark_step()
        step += 1
        if step % 10 and step < o.steps:
            continue
        stopped = train.agree(1.0 if told else 0.0, device) > 0
        mean = train.agree(loss.item(), device) / world
        if step - saved >= o.checkpoint_every or stopped or step == o.steps:
            save(model, optimizer, step, rank, o)
            saved = step
        if rank == 0:
            speed = (step - since) * o.batch * o.length / max(time.monotonic() - clock, 1e-9)
            train.report(step=step, steps=o.steps, loss=mean, tokens=step * o.batch * o.length, tokens_per_second=speed, checkpoint_step=saved)
    if stopped and step < o.steps:
        sys.exit(train.STOPPED)


if __name__ == "__main__":
    main()

"""A small byte-level GPT in PyTorch, trained by any number of ranks.

It takes its place among the ranks from the variables that torchrun sets (RANK,
WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), resumes from the newest
checkpoint in YARD_CHECKPOINT_DIR, and reports progress in "@yard" lines: rank 0
for all, and under yard every rank how long it worked in a step. On
SIGTERM all ranks finish the step, rank 0 writes a checkpoint, and they leave
with 143. It needs PyTorch 1.13 or later and nothing else.
"""

import argparse
import json
import math
import os
import pathlib
import re
import signal
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

STOPPED = 128 + signal.SIGTERM


class Block(nn.Module):
    """One layer: attention over the past, then a feed-forward."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        batch, length, dim = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, dim // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(dim, dim=2)
        )
        mask = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        scores = q @ k.transpose(2, 3) / math.sqrt(dim // self.heads)
        mixed = scores.masked_fill(mask, float("-inf")).softmax(dim=3) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, layers, dim, heads, length):
        super().__init__()
        self.tokens, self.places = nn.Embedding(256, dim), nn.Embedding(length, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 256, bias=False)

    def forward(self, inputs, targets):
        x = self.tokens(inputs) + self.places.weight[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="directory of text to learn")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16, help="sequences in a step, over all ranks")
    parser.add_argument("--length", type=int, default=64, help="bytes in a sequence")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--checkpoint-every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--keep", type=int, default=int(os.environ.get("YARD_CHECKPOINT_KEEP", "3")))
    parser.add_argument("--out", default=os.environ.get("YARD_CHECKPOINT_DIR", "checkpoints"))
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def device_of(local_rank):
    """The device of this rank, and the backend by which such ranks talk."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank), "nccl"
    if "NEURON_RT_VISIBLE_CORES" in os.environ or os.path.exists("/dev/neuron0"):
        import torch_xla.distributed.xla_backend  # noqa: F401, which makes "xla" known

        return xla_model().xla_device(), "xla"
    return torch.device("cpu"), "gloo"


def xla_model():
    """PyTorch/XLA, which torch-neuronx brings."""
    import torch_xla.core.xla_model

    return torch_xla.core.xla_model


def read_text(directory):
    """All text below the directory as bytes, in the order of the names."""
    paths = sorted(p for p in pathlib.Path(directory).rglob("*") if p.is_file())
    text = b"\n".join(p.read_bytes() for p in paths if b"\0" not in p.read_bytes()[:1024])
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def batch_of(text, step, rank, count, o):
    """The sequences of a rank in a step: the same ones whenever the step is done."""
    generator = torch.Generator().manual_seed(o.seed * 1_000_003 + step)
    starts = torch.randint(len(text) - o.length - 1, (o.batch,), generator=generator)
    own = starts[rank * count : (rank + 1) * count]
    window = torch.stack([text[s : s + o.length + 1] for s in own]).long()
    return window[:, :-1], window[:, 1:]


def checkpoints(directory):
    """Complete checkpoints by step, the newest last."""
    found = {}
    for path in pathlib.Path(directory).glob("checkpoint-*.pt"):
        if match := re.fullmatch(r"checkpoint-(\d+)\.pt", path.name):
            found[int(match[1])] = path
    return sorted(found.items())


def save(state, step, o):
    """Writes a checkpoint whole or not at all, and drops the oldest."""
    out = pathlib.Path(o.out)
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f"tmp-checkpoint-{step}.pt"
    with open(temporary, "wb") as file:
        torch.save({**state, "step": step}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, out / f"checkpoint-{step}.pt")
    for _, path in checkpoints(o.out)[: -o.keep]:
        path.unlink(missing_ok=True)


def on_host(value):
    """The same with its tensors in the host's memory, whatever device they are on."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: on_host(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [on_host(inner) for inner in value]
    return value


def newest(o):
    """The step of the newest checkpoint that can be read, 0 for none."""
    for step, path in reversed(checkpoints(o.out)):
        try:
            torch.load(path, map_location="cpu")
            return step
        except (OSError, RuntimeError, EOFError, KeyError) as problem:
            print(f"checkpoint {path} cannot be read: {problem}", file=sys.stderr)
    return 0


def resume(model, optimizer, device, rank, o):
    """Goes on from the checkpoint that rank 0 found, on all ranks; returns its step."""
    step = int(agree(newest(o) if rank == 0 else 0, device))
    if step:
        state = torch.load(dict(checkpoints(o.out))[step], map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    return step


def agree(value, device):
    """The sum of all ranks' values."""
    if dist.get_world_size() == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float32, device=device)
    dist.all_reduce(tensor)
    return tensor.item()


def learning_rate(step, o):
    warm = min(1.0, (step + 1) / 20)
    return o.rate * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, step / o.steps))))


class OwnWork:
    """What a step takes of this rank's own work, without the wait for the others.

    DistributedDataParallel sums up gradients while others are still computed, and
    waits at the end of backward: the work is up to the last gradient, and after
    backward. PyTorch/XLA runs steps later than it is told, so nothing is known there.
    """

    def __init__(self, model, device):
        self.device, self.marks = device.type, {}
        if device.type != "xla":
            for parameter in model.parameters():
                parameter.register_hook(lambda _: self.mark("gradients"))

    def mark(self, name):
        if self.device == "cuda":
            self.marks.setdefault(name, torch.cuda.Event(enable_timing=True)).record()
        elif self.device != "xla":
            self.marks[name] = time.monotonic()

    def seconds(self):
        """Of the last step, as a field of a report; none where it is not known."""
        if len(self.marks) < 4:
            return {}
        begun, gradients, reduced, ended = (self.marks[m] for m in ("begun", "gradients", "reduced", "ended"))
        if self.device == "cuda":
            ended.synchronize()
            own = (begun.elapsed_time(gradients) + reduced.elapsed_time(ended)) / 1000
        else:
            own = gradients - begun + ended - reduced
        return {"compute_seconds": round(own, 6)}


def report(**fields):
    print("@yard " + json.dumps(fields), flush=True)


def leave(code, backend):
    """Ends this process.

    With gloo it does so at once: a thread of the group may still hold the last
    tensor and wait for the interpreter's lock to let go of it, while the
    teardown of the interpreter holds that lock and waits for the thread.
    """
    if backend != "gloo":
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main():
    o = options()
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    if o.batch % world:
        sys.exit(f"--batch {o.batch} cannot be shared out among {world} ranks")
    device, backend = device_of(int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cpu":
        torch.set_num_threads(1)
    dist.init_process_group(backend, init_method="env://", rank=rank, world_size=world)

    text = read_text(o.data)
    torch.manual_seed(o.seed)
    model = GPT(o.layers, o.dim, o.heads, o.length).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=o.rate, weight_decay=0.01)
    start = resume(model, optimizer, device, rank, o)
    # PyTorch/XLA adds up gradients itself; DistributedDataParallel on it is experimental.
    ranks = DistributedDataParallel(model) if world > 1 and device.type != "xla" else model
    if rank == 0:
        size = sum(p.numel() for p in model.parameters())
        print(f"{size:,} parameters, {world} ranks over {backend}, {len(text):,} bytes of text", flush=True)
        if start:
            print(f"resumed after step {start} of {o.steps}", flush=True)

    def state():
        return on_host({"model": model.state_dict(), "optimizer": optimizer.state_dict()})

    work = OwnWork(model, device)
    saved, stopped, step = start, False, start
    clock, since = time.monotonic(), start
    while step < o.steps and not stopped:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, o)
        work.mark("begun")
        inputs, targets = batch_of(text, step, rank, o.batch // world, o)
        loss = ranks(inputs.to(device), targets.to(device))
        optimizer.zero_grad()
        loss.backward()
        if device.type == "xla":
            xla_model().reduce_gradients(optimizer)
        work.mark("reduced")
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        work.mark("ended")
        if device.type == "xla":
            xla_model().mark_step()
        step += 1
        if step % 10 and step < o.steps and world == 1 and not told:
            continue
        stopped = agree(1.0 if told else 0.0, device) > 0
        if step % 10 and step < o.steps and not stopped:
            continue
        mean = agree(loss.item(), device) / world
        if rank == 0:
            if step - saved >= o.checkpoint_every or stopped or step == o.steps:
                save(state(), step, o)
                saved = step
            speed = (step - since) * o.batch * o.length / max(time.monotonic() - clock, 1e-9)
            report(step=step, steps=o.steps, loss=mean, tokens=step * o.batch * o.length, tokens_per_second=speed, checkpoint_step=saved, **work.seconds())
        elif "YARD_RANK" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ:
            # Rank 0 speaks for this one, but for how fast it is. The ranks that
            # torchrun started are one to yard, and write into one log.
            report(step=step, **work.seconds())
    if rank == 0:
        print(f"told to stop: leaving after step {step} of {o.steps}" if stopped else f"done, loss {mean:.3f}", flush=True)
    dist.destroy_process_group()
    leave(STOPPED if stopped and step < o.steps else 0, backend)


if __name__ == "__main__":
    main()

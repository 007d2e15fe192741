"""Run by a test in two processes: each measures its half batch and writes the capability that it then holds."""

import sys
from pathlib import Path

import torch

from direct import Direct, batch_of, progress_at
from standout.distill import DynamicDropout, VirtualTeacher
from standout.train.step import TrainingStep


def main(rank, folder):
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 5, 5, generator=generator)
    mask = (torch.rand(4, 1, 5, 5, generator=generator) > 0.5).float()
    half = slice(2 * rank, 2 * rank + 2)
    dropout = DynamicDropout(VirtualTeacher())
    step = TrainingStep(Direct(logits[half]), [dropout])
    lines = []
    for number in range(3):
        terms = step(batch_of(mask[half]), progress_at(number))
        step.after_step(progress_at(number))
        lines.append(f"{float(dropout.average)!r} {int(dropout.count)} {float(terms['dynamic_dropout'].detach())!r}")
    (folder / f"{rank}.txt").write_text("\n".join(lines))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

"""Training runs that are killed at a random moment and resumed, on one device and sharded."""

import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
from attacks.arena import Arena
from attacks.children import ROOT, Clock, Ended
from attacks.journey import STEPS, Step
from attacks.outcomes import Outcome, is_traceback, last_line
from launches import environment, launch_command

# Moments are counted from when the run's folder is there: before, libraries and weights are read.
NATIVE, SHARDED = "kills, one device", "kills, sharded"
_TRAIN = replace(next(step for step in STEPS if step.name == "train"), begun="runs/run")
# What the runs change of the journey's own, which trains LoRA in float32.
NATIVE_RUNS = {
    "LoRA": (),
    "LoRA with dropout": ("--lora.dropout=0.2",),
    "full": ("--lora=null",),
    "full in bfloat16": ("--lora=null", "--model.dtype=bfloat16"),
}
SHARDED_RUNS = {
    "ZeRO-1, LoRA": (1, ()),
    "ZeRO-2, full": (2, ("--lora=null", "--model.dtype=bfloat16")),
    "ZeRO-3, LoRA": (3, ()),
    "ZeRO-3, full": (3, ("--lora=null", "--model.dtype=bfloat16")),
}
RANKS = 2
# How long the processes of a sharded run may take to end after one of them was killed, in seconds.
GRACE = 180


@dataclass(frozen=True)
class ShardedStep(Step):
    """A run of ds_finetune.py under the launcher, of two processes."""

    def run(
        self,
        folder: Path,
        kill_after: float | None = None,
        seconds: float = 600,
        largest_file: int | None = None,
        victim: str = "all",
    ) -> Ended:
        """Run it; after `kill_after` seconds kill the `victim`: "all", or one of the processes."""
        command = launch_command(RANKS, str(ROOT / "ds_finetune.py"), *self.flags)
        clock = Clock(folder / self.begun, seconds, kill_after)
        notes = folder.parent
        with (notes / "out").open("w") as out, (notes / "error").open("w") as error:
            job = subprocess.Popen(command, cwd=folder, env=environment(), stdout=out, stderr=error)
            while job.poll() is None and not clock.is_over():
                time.sleep(0.005)
            counted = clock.counted()
            if clock.kills():
                _kill(job.pid, victim)
                with suppress(subprocess.TimeoutExpired):
                    job.wait(GRACE)
            hung = job.poll() is None
            _kill(job.pid, "all")
            job.wait()
        texts = [(notes / name).read_text(errors="replace") for name in ("out", "error")]
        return Ended(None if hung else job.returncode, *texts, counted)


def _kill(launcher: int, victim: str) -> None:
    """Kill a launcher with all that it started, or one process of its ranks."""
    with suppress(psutil.NoSuchProcess):
        job = psutil.Process(launcher)
        started = job.children(recursive=True)
        ranks = [process for process in started if "--local_rank" in " ".join(process.cmdline())]
        chosen = [*started, job] if victim == "all" else ranks[int(victim) :][:1]
        for process in chosen:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def attack_native(arena: Arena, number: int) -> Outcome:
    """Kill a run of finetune.py at a random moment, resume it, and compare all that it leaves."""
    chance = arena.chance(NATIVE, number)
    name = list(NATIVE_RUNS)[number % len(NATIVE_RUNS)]
    step = replace(_TRAIN, name=f"train {name}", flags=(*_TRAIN.flags, *NATIVE_RUNS[name]))
    reference = arena.reference(step)
    arena.copy_inputs(step)
    moment = chance.random() * reference.seconds
    step.run(arena.folder, kill_after=moment)
    left = _left(arena.folder)
    ended = _resumed(step, arena.folder)
    return _judge(arena, step, ended, NATIVE, number, f"after {moment:.2f} s, {left}")


def attack_sharded(arena: Arena, number: int) -> Outcome:
    """Kill one rank or all of a sharded run, resume it, and compare all that it leaves."""
    chance = arena.chance(SHARDED, number)
    name = list(SHARDED_RUNS)[number % len(SHARDED_RUNS)]
    stage, flags = SHARDED_RUNS[name]
    settings = f"--deepspeed_config.zero_optimization.stage={stage}"
    small = "--deepspeed_config.zero_optimization.stage3_param_persistence_threshold=0"
    kept = asdict(_TRAIN) | {"name": f"train {name}", "module": "ds_finetune"}
    kept["flags"] = (*_TRAIN.flags, settings, small, *flags)
    step = ShardedStep(**kept)
    reference = arena.reference(step)
    arena.copy_inputs(step)
    moment, victim = chance.random() * reference.seconds, chance.choice(["all", "0", "1"])
    first = step.run(arena.folder, kill_after=moment, victim=victim)
    left = _left(arena.folder)
    killed = "all processes" if victim == "all" else f"rank {victim}"
    what = f"{killed} after {moment:.2f} s, {left}"
    if first.code is None:
        detail = f"after {GRACE} s the other rank had not ended"
        return Outcome(SHARDED, number, step.name, what, "traceback", detail)
    return _judge(arena, step, _resumed(step, arena.folder), SHARDED, number, what)


def _left(folder: Path) -> str:
    """Return which checkpoints a killed run left."""
    places = sorted(place.name for place in (folder / "runs/run").glob("*"))
    return f"left {', '.join(places)}" if places else "left nothing"


def _resumed(step: Step, folder: Path) -> Ended:
    """Resume a run, or start it anew where it says that no checkpoint is there."""
    ended = replace(step, flags=(*step.flags, "--resume")).run(folder)
    if ended.code == 1 and "start without --resume" in ended.error:
        ended = step.run(folder)
    return ended


def _judge(arena: Arena, step: Step, ended: Ended, kind: str, number: int, what: str) -> Outcome:
    if is_traceback(ended):
        return Outcome(kind, number, step.name, what, "traceback", last_line(ended))
    if ended.code != 0:
        return Outcome(kind, number, step.name, what, "detected", last_line(ended))
    if differing := arena.differences(step, ended, printed=False):
        detail = ", ".join(differing)[:200]
        return Outcome(kind, number, step.name, what, "used in silence", detail)
    return Outcome(kind, number, step.name, what, "recovered")

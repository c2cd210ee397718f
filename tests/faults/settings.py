"""
How much of it: see docs/faults.md.

SCANPOD_FAULT_ROUNDS: faults of each kind (25). SCANPOD_FAULT_SEED: repeats a run, as far as
machines do. SCANPOD_FAULT_FULL=1: lease times as they are, and few rounds. SCANPOD_FAULT_KEEP=1:
directories stay. SCANPOD_LEASE_SCALE: what the times of leases are divided by (20).
"""

import os
import random
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _switch(name):
    return os.environ.get(name, "") not in ("", "0")


FULL = _switch("SCANPOD_FAULT_FULL")
KEEP = _switch("SCANPOD_FAULT_KEEP")
ROUNDS = int(os.environ.get("SCANPOD_FAULT_ROUNDS", "3" if FULL else "25"))
SEED = int(os.environ.get("SCANPOD_FAULT_SEED", str(random.SystemRandom().randrange(1 << 32))))
SCALE = 1 if FULL else int(os.environ.get("SCANPOD_LEASE_SCALE", "20"))

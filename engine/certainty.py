"""How sure an evaluation says that it is: calibrated, where certainties are written and a temperature is there."""

from __future__ import annotations

from pathlib import Path

import inference
from engine.session import Run
from inference import temperature


def temperature_of(run: Run) -> float:
    """Give the temperature of an evaluation that writes certainties, and log what it is; 1 for any other."""
    e, named = run.cfg.EVAL, run.cfg.SNAPSHOT or run.cfg.RESUME
    if not (e.MODE and e.DUMP_CONFIDENCE):
        return 1.0
    if e.DUMP_FOR_AUTO_LABELLING:
        run.log.line("certainties are the network's own: --dump_for_auto_labelling takes them as they are")
        return 1.0
    value, line = temperature.of(Path(named), run.spec.classes, inference.eval_rule(run.cfg))
    run.log.line(line)
    return value

"""Probe: the audit of anybody's stream, from outside, while it streams.

A *probe file* (``Probe``) says what is known of a stream: how it is opened, how its events look,
how readers resume, how it ends, how its work is cancelled. ``audit`` lets *readers* meet it live
(*trials*: one leaves alone, several read together, one is cut and resumes, one comes late, one
after the end, one cancels) and keeps a *recording* of each: keys, ids and moments, no contents.
From the recordings alone follow *findings*, one per *capability* of a durable session; what fails
has a *mode* (``MODES``) and a cause, and the causes ask for the *steps* of a migration.
It knows the wire and nothing of this market, and takes no more than the bounds of the file.
"""

from market.probe.advice import Step
from market.probe.checks import Trouble, troubles
from market.probe.findings import CAPABILITIES, MODES, Finding, Mode, Verdict
from market.probe.form import Probe, schema
from market.probe.service import Report, audit
from market.probe.trials import NoStream

__all__ = [
    "CAPABILITIES",
    "MODES",
    "Finding",
    "Mode",
    "NoStream",
    "Probe",
    "Report",
    "Step",
    "Trouble",
    "Verdict",
    "audit",
    "schema",
    "troubles",
]

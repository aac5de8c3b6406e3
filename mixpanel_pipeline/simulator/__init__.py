"""A stand-in for Mixpanel's read APIs (`python -m mixpanel_pipeline.simulator --help`), and made-up web traffic."""

from mixpanel_pipeline.simulator.events import ABSENT, Event
from mixpanel_pipeline.simulator.faults import FAULTS, FaultPlan, fault_table
from mixpanel_pipeline.simulator.generated_days import write_day
from mixpanel_pipeline.simulator.limits import Limits
from mixpanel_pipeline.simulator.project import Project, ReceivedRequest
from mixpanel_pipeline.simulator.server import SimulatorServer, serve
from mixpanel_pipeline.simulator.web_traffic import WebTraffic

__all__ = [
    "ABSENT",
    "FAULTS",
    "Event",
    "FaultPlan",
    "Limits",
    "Project",
    "ReceivedRequest",
    "SimulatorServer",
    "WebTraffic",
    "fault_table",
    "serve",
    "write_day",
]
